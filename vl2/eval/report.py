"""Results to something a person looks at: a terminal table, a Markdown table and a picture of good and bad cases.

    Results --table--> rich table        {name: Results} --to_markdown--> table, one column a model
    Results + records --gallery--> PNG: bad cases right, good cases left, one card each

The trap: error rates are better when lower; `quality` turns every score into "higher is better" to choose cases.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps
from rich.table import Table

from vl2.data.records import Record
from vl2.eval.metrics import ERROR_RATES
from vl2.eval.runner import Results, ScoredOutput, TaskSummary
from vl2.files import write_whole
from vl2.processing.boxes import Box, Region
from vl2.processing.images import open_image

NAMES = {"anls": "ANLS", "relaxed_accuracy": "relaxed accuracy", "cer": "CER", "wer": "WER", "iou": "IoU@0.5"}

_CARD = (620, 190)  # width, height in pixels
_THUMB = (240, 166)
_MARGIN = 12
_GOOD, _BAD, _GOLD, _INK, _FAINT = "#1a7f37", "#b42318", "#0b7a75", "#1f2328", "#6b7280"
_PREDICTED = "#ff2d95"


def table(results: Results) -> Table:
    """One row a task: metric, value, 95 % interval, records, time, tokens."""
    grid = Table(title="vl2 eval")
    for name in ("task", "metric"):
        grid.add_column(name)
    for name in ("value", "95 % interval", "records", "s", "tokens"):
        grid.add_column(name, justify="right")
    for summary in results["tasks"].values():
        n = f"{summary['n']} ({summary['failed']} failed)" if summary["failed"] else str(summary["n"])
        low, high = format_number(summary, "ci_low"), format_number(summary, "ci_high")
        seconds, tokens = f"{summary['seconds']:.1f}", str(summary["tokens"])
        grid.add_row(summary["task"], _metric(summary), _value(summary), f"{low} – {high}", n, seconds, tokens)
    return grid


def to_markdown(runs: Mapping[str, Results]) -> str:
    """A Markdown table of tasks against models, each cell a value with its 95 % interval.

    Args:
        runs: results by the model's name; a task that a model was not asked shows a dash.
    """
    if not runs:
        raise ValueError("runs: empty; expected the results of at least one model")
    # By task and metric: whether a run names a row "line" or "line (cer)" depends on what else it was asked.
    cells = {name: {(s["task"], s["metric"]): s for s in results["tasks"].values()} for name, results in runs.items()}
    rows: dict[tuple[str, str], TaskSummary] = {}
    for summaries in cells.values():
        rows = summaries | rows
    lines = [f"| task | metric | records | {' | '.join(runs)} |", f"|---|---|---:|{'---:|' * len(runs)}"]
    for key in dict.fromkeys(key for summaries in cells.values() for key in summaries):
        values = [_cell(summaries[key]) if key in summaries else "–" for summaries in cells.values()]
        lines.append(f"| {key[0]} | {_metric(rows[key])} | {rows[key]['n']} | {' | '.join(values)} |")
    return "\n".join(lines) + "\n"


def _metric(summary: TaskSummary) -> str:
    metric = summary["metric"]
    return f"{NAMES.get(metric, metric)} ↓" if metric in ERROR_RATES else NAMES.get(metric, metric)


def format_number(summary: TaskSummary, key: str) -> str:
    """A number of a summary as tables show it: points where full marks are not 1, per cent for error rates, a dash if
    no answer could be scored.
    """
    if not summary["n"]:
        return "–"
    number = float(summary[key])
    if "scale" in summary:
        return f"{number:.1f}" if number != int(number) else f"{number:.0f}"
    return f"{100 * number:.2f} %" if summary["metric"] in ERROR_RATES else f"{number:.3f}"


def _value(summary: TaskSummary) -> str:
    value = format_number(summary, "value")
    return f"{value} (mean IoU {summary['mean_iou']:.3f})" if "mean_iou" in summary else value


def _cell(summary: TaskSummary) -> str:
    return (
        f"{format_number(summary, 'value')} ({format_number(summary, 'ci_low')} – {format_number(summary, 'ci_high')})"
    )


def gallery(
    results: Results,
    records: Sequence[Record],
    out: str | Path,
    good: int = 10,
    bad: int = 10,
    *,
    seed: int = 0,
    font_path: str | Path | None = None,
) -> None:
    """Draw good cases (left) and bad cases (right) as one PNG, written whole.

    Cases are taken from the tasks in turn: the worst first for bad ones, the best first for good ones, equals in random
    order. A case without a fault is never among the bad ones, so there may be fewer than asked for.

    Args:
        results: of these records.
        records: the records evaluated; found by id.
        out: the PNG to write.
        good, bad: most cases of each kind.
        seed: decides among equals.
        font_path: a font for texts that the built-in one (Latin letters) cannot show.

    Raises:
        ValueError: for an output without its record, or if there is nothing to draw.
    """
    by_id = {record.id: record for record in records}
    unknown = [output["id"] for output in results["outputs"] if output["id"] not in by_id]
    if unknown:
        raise ValueError(f"records: {unknown[0]!r} is in the results but not among the records; give the same file")
    bad_cases, good_cases = choose_cases(results, good=good, bad=bad, seed=seed)
    if not bad_cases and not good_cases:
        raise ValueError("results: no case to draw; ask for at least one good or bad case")
    columns = [("Good", _GOOD, good_cases), ("Bad", _BAD, bad_cases)]
    columns = [column for column in columns if column[2]]
    title, body = _font(20, font_path), _font(14, font_path)
    header = 40
    rows = max(len(cases) for _, _, cases in columns)
    width = _MARGIN + len(columns) * (_CARD[0] + _MARGIN)
    sheet = Image.new("RGB", (width, header + rows * (_CARD[1] + _MARGIN)), "#f3f4f6")
    draw = ImageDraw.Draw(sheet)
    for index, (name, colour, cases) in enumerate(columns):
        x = _MARGIN + index * (_CARD[0] + _MARGIN)
        draw.text((x, 8), f"{name} ({len(cases)})", fill=colour, font=title)
        draw.text((x + 150, 13), "gold box", fill=_GOLD, font=body)
        draw.text((x + 220, 13), "box of the output", fill=_PREDICTED, font=body)
        for row, output in enumerate(cases):
            card = _card(by_id[output["id"]], output, results["tasks"][output["task"]], colour, body)
            sheet.paste(card, (x, header + row * (_CARD[1] + _MARGIN)))
    with write_whole(Path(out)) as staging:
        sheet.save(staging, format="PNG")


def quality(output: ScoredOutput, summary: TaskSummary) -> float:
    """The score of one output from 0 (worst) to 1, whatever the metric; the IoU decides between located phrases."""
    if "error" in output:
        return 0.0
    if summary["metric"] in ERROR_RATES:
        return 1.0 - min(output["score"], 1.0)
    if "iou" in output:
        return 0.5 * output["score"] + 0.5 * output["iou"]
    return output["score"]


def choose_cases(results: Results, *, good: int, bad: int, seed: int) -> tuple[list[ScoredOutput], list[ScoredOutput]]:
    """Bad and good cases, never the same one twice, taken from the tasks in turn."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(results["outputs"]))
    shuffled = [results["outputs"][i] for i in order]

    def rank(output: ScoredOutput) -> float:
        return quality(output, results["tasks"][output["task"]])

    def is_fault(output: ScoredOutput) -> bool:
        # A located phrase is right at IoU 0.5, however loose the box; elsewhere anything short of full marks is wrong.
        return output["score"] < 1 if "iou" in output else rank(output) < 1

    bad_cases = _take_in_turn(sorted(filter(is_fault, shuffled), key=rank), bad)
    taken = {output["id"] for output in bad_cases}
    rest = [output for output in shuffled if output["id"] not in taken and rank(output) >= 0.5]
    return bad_cases, _take_in_turn(sorted(rest, key=rank, reverse=True), good)


def _take_in_turn(outputs: Sequence[ScoredOutput], count: int) -> list[ScoredOutput]:
    """The first of each task, then the second of each, until `count` are taken."""
    rank_in_task: dict[str, int] = {}
    ranked: list[tuple[int, ScoredOutput]] = []
    for output in outputs:
        rank_in_task[output["task"]] = rank_in_task.get(output["task"], -1) + 1
        ranked.append((rank_in_task[output["task"]], output))
    return [output for _, output in sorted(ranked, key=lambda pair: pair[0])[:count]]


def _card(
    record: Record, output: ScoredOutput, summary: TaskSummary, colour: str, font: ImageFont.FreeTypeFont
) -> Image.Image:
    """One case: the picture with its boxes on the left; question, gold and output on the right."""
    card = Image.new("RGB", _CARD, "white")
    draw = ImageDraw.Draw(card)
    draw.rectangle((0, 0, _CARD[0] - 1, _CARD[1] - 1), outline="#d0d7de")
    draw.rectangle((0, 0, 4, _CARD[1] - 1), fill=colour)
    card.paste(_thumbnail(record, output), (_MARGIN, _MARGIN))
    score = f"{output['score']:.2f}" + (f"  IoU {output['iou']:.2f}" if "iou" in output else "")
    images = f"  ({len(record.images)} images)" if len(record.images) > 1 else ""
    question = record.question or "(read everything)"
    if summary["metric"] == "iou":
        gold, answer = _boxes(len(record.answers)), _boxes(len(output.get("regions", [])))
    else:
        gold, answer = " | ".join(map(str, record.answers)), output["text"]
    if "error" in output:
        answer = f"failed: {output['error']}"
    name = NAMES.get(summary["metric"], summary["metric"])
    x, y = _MARGIN * 2 + _THUMB[0], _MARGIN - 2
    width = _CARD[0] - x - _MARGIN
    parts = (
        (f"{record.id}   {name} {score}{images}", _FAINT, 1),
        (question, _INK, 3),
        (f"gold: {gold or '(nothing)'}", _GOLD, 4),
        (f"output: {answer or '(nothing)'}", colour, 4),
    )
    for text, fill, most in parts:
        for line in _wrap(_one_line(text), font, width, most):
            draw.text((x, y), line, fill=fill, font=font)
            y += 17
    return card


def _boxes(count: int) -> str:
    return {0: "not there", 1: "1 box"}.get(count, f"{count} boxes")


def _one_line(text: str) -> str:
    return " / ".join(line.strip() for line in text.splitlines() if line.strip())


def _thumbnail(record: Record, output: ScoredOutput) -> Image.Image:
    """The record's first image, letterboxed, with gold boxes solid and predicted boxes over them."""
    frame = Image.new("RGB", _THUMB, "#e5e7eb")
    try:
        image = open_image(record.images[0])
    except (ValueError, OSError) as error:
        ImageDraw.Draw(frame).text((6, 6), f"unreadable: {type(error).__name__}", fill=_BAD, font=_font(12, None))
        return frame
    small = ImageOps.contain(image, _THUMB)
    scale_x, scale_y = small.width / image.width, small.height / image.height
    draw = ImageDraw.Draw(small)
    predicted = [Box(*region["box"]) for region in output.get("regions", [])]
    gold = [answer.box for answer in record.answers if isinstance(answer, Region)]
    for boxes, fill, line in ((gold, _GOLD, 3), (predicted, _PREDICTED, 1)):
        for box in boxes:
            x0, x1 = sorted((box.x0 * scale_x, box.x1 * scale_x))
            y0, y1 = sorted((box.y0 * scale_y, box.y1 * scale_y))
            # Around the box, not inside it: a line of small text must stay readable.
            draw.rectangle((x0 - line, y0 - line, x1 + line, y1 + line), outline=fill, width=line)
    frame.paste(small, ((_THUMB[0] - small.width) // 2, (_THUMB[1] - small.height) // 2))
    return frame


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int, most: int) -> list[str]:
    """Lines of at most `width` pixels, broken at spaces where possible; the last ends in "…" if text is left."""
    lines: list[str] = []
    rest = text.strip()[:1000]
    while rest and len(lines) < most:
        end = len(rest)
        while end > 1 and font.getlength(rest[:end]) > width:
            space = rest.rfind(" ", 0, end - 1)
            end = space if space > 0 and font.getlength(rest[:space]) > width * 0.5 else end - 1
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    if rest:
        last = lines[-1]
        while last and font.getlength(last + "…") > width:
            last = last[:-1]
        lines[-1] = last + "…"
    return lines


def _font(size: int, path: str | Path | None) -> ImageFont.FreeTypeFont:
    font = ImageFont.truetype(str(path), size) if path is not None else ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType; install a Pillow wheel to draw galleries")
    return font
