"""Pages for people: one self-contained HTML file a run, and one for the comparison of two.

    Results, items --rows, cases with small pictures as data: URLs--> pages/run.html --Jinja2--> report.html

The trap: everything on a page was written by a model or by strangers. Templates escape every value; nothing is loaded
from anywhere.
"""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image as PILImage

from vl2.eval.compare import Comparison
from vl2.eval.items import Item
from vl2.eval.metrics import ERROR_RATES
from vl2.eval.report import NAMES, choose_cases, format_number
from vl2.eval.runner import Results, ScoredOutput, TaskSummary
from vl2.files import write_whole
from vl2.processing.images import open_image
from vl2.processing.messages import Image
from vl2.processing.tiling import TiledImage

_PAGES = Path(__file__).parent / "pages"
_PICTURE = (560, 420)  # most pixels of a picture
_MOST_PICTURES = 3  # of one case
_LONGEST = 600  # characters of an answer
_BAD, _GOOD = 24, 6
_MOST_CHANGES = 200


def write_report(results: Results, items: Sequence[Item], out: Path, title: str, bad: int = _BAD) -> None:
    """The page of a run, written whole.

    Args:
        items: what was asked; of the cases shown their images are opened again.
        bad: most bad answers shown.
    """
    by_id, config = {item.id: item for item in items}, results["config"]
    worst, best = choose_cases(results, good=_GOOD, bad=bad, seed=0)
    cases = [[_case(by_id[output["id"]], output) for output in outputs] for outputs in (worst, best)]
    context = {
        "title": title,
        "model": config.get("model", "unnamed model"),
        "version": " at ".join(f"{config[key]}" for key in ("vl2", "commit") if key in config),
        "config": {key: value for key, value in config.items() if value is not None},
        "tiles": _tiles(results),
        "rows": [_row(name, summary, results) for name, summary in results["tasks"].items()],
        "unscored": max((summary.get("unscored", 0) for summary in results["tasks"].values()), default=0),
        "boxes": any("iou" in output for output in results["outputs"]),
        "bad": cases[0],
        "good": cases[1],
    }
    _write("run.html", context, out)


def write_comparison(comparison: Comparison, first: str, second: str, out: Path) -> None:
    """The page of a comparison, written whole. first, second: what to call the runs."""
    reach = max((max(abs(row.low), abs(row.high)) for row in comparison.rows), default=0) or 1.0
    rows = [
        {
            "task": row.task,
            "metric": NAMES.get(row.metric, row.metric) + (" ↓" if row.metric in ERROR_RATES else ""),
            "n": row.n,
            "first": f"{row.first:.3f}",
            "second": f"{row.second:.3f}",
            "difference": f"{row.second - row.first:+.3f}",
            "low": f"{row.low:+.3f}",
            "high": f"{row.high:+.3f}",
            "left": round(50 + 50 * row.low / reach, 2),
            "width": round(50 * (row.high - row.low) / reach, 2),
            "at": round(50 + 50 * (row.second - row.first) / reach, 2),
            "better": row.better,
            "worse": row.worse,
            "p": f"{row.p:.2g}",
            "test": row.test,
            "verdict": f"{row.winner} better" if row.winner else "none shown",
            "colour": {"B": "better", "A": "worse", "": "faint"}[row.winner],
        }
        for row in comparison.rows
    ]
    changes = comparison.changes[:_MOST_CHANGES]
    context = {"first": first, "second": second, "rows": rows, "unmatched": comparison.unmatched, "changes": changes}
    _write("comparison.html", {**context, "total": len(comparison.changes)}, out)


def _write(template: str, context: dict[str, Any], out: Path) -> None:
    environment = Environment(loader=FileSystemLoader(_PAGES), autoescape=True, undefined=StrictUndefined)
    style = Markup((_PAGES / "style.css").read_text("utf-8"))  # ours, the only text that is not escaped
    page = environment.get_template(template).render(**context, style=style)
    with write_whole(out) as staging:
        staging.write_text(page, encoding="utf-8", errors="replace")


def _tiles(results: Results) -> list[dict[str, str]]:
    """The headline, if there is one, and what the run was."""
    config, tasks = results["config"], results["tasks"]
    name = config.get("benchmark")
    tiles = []
    if name in tasks:
        full = tasks[name].get("scale")
        scale = f" of {full:.0f}" if full else ""
        metric = NAMES.get(tasks[name]["metric"], tasks[name]["metric"])
        tiles.append({"value": format_number(tasks[name], "value") + scale, "label": metric})
    outputs = results["outputs"]
    failed = sum("error" in output for output in outputs)
    cut = sum(output["finish_reason"] == "length" for output in outputs)
    alone = [tasks[name]] if name in tasks else list(tasks.values())
    minutes = sum(summary["seconds"] for summary in alone) / 60
    tiles.append({"value": f"{len(outputs):,}", "label": "answers scored"})
    tiles.append({"value": str(failed), "label": "refused or unreadable"})
    tiles.append({"value": str(cut), "label": "cut at the longest length"})
    tiles.append({"value": f"{minutes:.1f}", "label": "minutes"})
    return tiles


def _row(name: str, summary: TaskSummary, results: Results) -> dict[str, Any]:
    full = summary.get("scale", 1.0) or 1.0
    low, high, value = (min(max(100 * summary[key] / full, 0), 100) for key in ("ci_low", "ci_high", "value"))
    metric = summary["metric"]
    return {
        "task": name,
        "metric": NAMES.get(metric, metric) + (" ↓" if metric in ERROR_RATES else ""),
        "value": format_number(summary, "value"),
        "low": format_number(summary, "ci_low"),
        "high": format_number(summary, "ci_high"),
        "left": round(low, 2),
        "width": round(high - low, 2),
        "at": round(value, 2),
        "n": summary["n"],
        "failed": summary["failed"],
        "seconds": f"{summary['seconds']:.1f}",
        "tokens": f"{summary['tokens']:,}",
        "total": name == results["config"].get("benchmark"),
    }


def _case(item: Item, output: ScoredOutput) -> dict[str, Any]:
    answer = f"failed: {output['error']}" if "error" in output else output["text"]
    if "iou" in output and "error" not in output:
        answer = _boxes(output.get("regions", [])) + (f"\n{answer}" if answer else "")
    expected = " | ".join(item.texts) if item.texts else _boxes([{"box": region.box} for region in item.regions])
    score = f"{output['score']:.2f}" + (f" · IoU {output['iou']:.2f}" if "iou" in output else "")
    return {
        "id": output["id"],
        "task": output["task"],
        "score": f"score {score}",
        "question": _cut(item.question),
        "choices": "   ".join(f"{letter}. {text}" for letter, text in item.choices.items()),
        "expected": _cut(expected) or "(nothing)",
        "answer": _cut(answer) or "(nothing)",
        "read": output.get("read", ""),
        "pictures": _pictures(item, output),
    }


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"


def _boxes(regions: Sequence[dict[str, Any]]) -> str:
    boxes = [f"[{', '.join(f'{v:.0f}' for v in region['box'])}]" for region in regions]
    return ", ".join(boxes) or "not there"


def _pictures(item: Item, output: ScoredOutput) -> list[dict[str, Any]]:
    """The images of a question, small, with boxes on the last."""
    try:
        sources = [part.source for part in item.message().parts if isinstance(part, Image)]
        images = [open_image(source) for source in sources if not isinstance(source, TiledImage)]
    except ValueError as error:
        return [{"source": "", "error": str(error)}]
    boxes = [("gold", region.box) for region in item.regions]
    boxes += [("predicted", region["box"]) for region in output.get("regions", [])]
    first = max(len(images) - _MOST_PICTURES, 0)
    pictures = [_picture(image) for image in images[first:]]
    pictures[-1]["boxes"] = [
        {"kind": kind, "x": min(x0, x1), "y": min(y0, y1), "width": abs(x1 - x0), "height": abs(y1 - y0)}
        for kind, (x0, y0, x1, y1) in boxes
    ]
    return pictures


def _picture(image: PILImage.Image) -> dict[str, Any]:
    small = image.copy()
    small.thumbnail(_PICTURE, PILImage.Resampling.LANCZOS)
    encoded = io.BytesIO()
    small.save(encoded, format="JPEG", quality=82)
    source = "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")
    return {"source": source, "width": image.width, "height": image.height, "boxes": []}
