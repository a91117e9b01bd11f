"""Random cases for the benchmarks' metrics, what we say of them and what lmms-eval says.

    python tests/eval/lmms_eval_cases.py       writes lmms_eval.json again; needs lmms-eval

lmms-eval (0.7.3) brings torchvision, wandb and dozens more, so its verdicts are recorded, and asked again where it is
installed. These parts of it need less: pip install --no-deps lmms-eval==0.7.3, and evaluate, loguru, pytz,
sacrebleu, tenacity. The functions `draw_...` leave out where the two differ on purpose, and say why.
"""

import json
import random
import re
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark_files import write_jsonl
from rapidfuzz.distance import Levenshtein

from vl2.eval.benchmarks import find_benchmark, read_items
from vl2.eval.judges import ocrbench_hit
from vl2.eval.metrics import anls, box_iou, grounding, relaxed_accuracy
from vl2.eval.rows import Rows
from vl2.eval.run import judge
from vl2.eval.summary import TaskSummary
from vl2.eval.vqa import vqa_accuracy
from vl2.processing.boxes import Box, Region

RECORDED = Path(__file__).with_name("lmms_eval.json")
WORDS = (
    "the", "a", "cat", "Dog", "two", "2", "ten", "none", "dont", "couldnt've", "Café", "it's", "blue/green", "x-ray",
    "(red)", "3.5", "m.", "what?", "no,", "1,000",
)  # fmt: skip
Case = Any  # JSON


@dataclass(frozen=True)
class Comparison:
    """draw: a case that both should judge alike. ours: our verdict; the folder is for files."""

    draw: Callable[[random.Random], Case]
    ours: Callable[[Case, Path], Any]
    theirs: Callable[[Case], Any]
    count: int = 100


def _until(draw: Callable[[], Case], fits: Callable[[Case], bool]) -> Case:
    while not fits(case := draw()):
        pass
    return case


def _changed(text: str, rng: random.Random) -> str:
    """A few edits away."""
    for _ in range(rng.choice((0, 0, 1, 1, 2, 4))):
        at = rng.randint(0, len(text))
        text = text[:at] + rng.choice(("", "e", "7", "B")) + text[at + rng.randint(0, 1) :]
    return text.swapcase() if rng.random() < 0.2 else text


def draw_anls(rng: random.Random) -> Case:
    """Without NL = 0.5 (1 - NL is then 0.5 there, and 0 by the definition) and without white space at the ends or in
    runs, which lmms-eval counts in the length but not in the distance.
    """

    def draw() -> Case:
        golds = [" ".join(rng.sample(WORDS, rng.randint(1, 3))) for _ in range(rng.randint(1, 3))]
        return [_changed(rng.choice(golds), rng), golds]

    def fits(case: Case) -> bool:
        answer, golds = case
        clean = all(text == " ".join(text.split()) for text in (answer, *golds))
        return clean and all(
            2 * Levenshtein.distance(answer.lower(), g.lower()) != max(len(answer), len(g)) for g in golds
        )

    return _until(draw, fits)


def _anls_theirs(case: Case) -> float:
    from lmms_eval.api.metrics import anls as theirs  # pyright: ignore[reportMissingImports]

    return float(theirs(case[1], [case[0]])["anls"])


def draw_relaxed(rng: random.Random) -> Case:
    """Without an error of 5 % exactly, which binary rounding decides there; without texts that only Python reads as
    numbers ("nan", "inf", "1_000") and without white space at the ends, which lmms-eval keeps.
    """

    def number() -> str:
        value = rng.choice((rng.randint(-20, 300), round(rng.uniform(-3, 90), rng.randint(1, 3)), 0))
        return rng.choice((f"{value}", f"{value}", f"{value}%", f"{value:,}", f"{value} %"))

    def draw() -> Case:
        gold = number() if rng.random() < 0.8 else rng.choice(WORDS)
        value = _value(gold)
        factor = rng.choice((0.95, 1.05)) + rng.choice((0.001, 0.01, 0.1)) * rng.uniform(-1, 1)
        near = f"{(value or 0) * factor:.{rng.choice((0, 2, 6))}f}"
        return [rng.choice((near, near, near, gold, gold.upper(), number(), rng.choice(WORDS))), gold]

    def fits(case: Case) -> bool:
        answer, gold = map(_value, case)
        return answer is None or not gold or abs(abs(answer - gold) / abs(gold) - 0.05) > 1e-6

    return _until(draw, fits)


def _value(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None


def _relaxed_theirs(case: Case) -> float:
    from lmms_eval.tasks.chartqa.utils import relaxed_correctness  # pyright: ignore[reportMissingImports]

    return float(relaxed_correctness(*case))


def draw_vqa(rng: random.Random) -> Case:
    """Without "'s", which lmms-eval cuts off (from a tokeniser of another data set), and without a comma or question
    mark inside a word, which it drops before all else; VQA's own evaluation puts a space there, or, beside a comma
    between digits, nothing for any mark.
    """

    def phrase() -> str:
        text = " ".join(rng.choices(WORDS, k=rng.randint(1, 3)))
        return rng.choice((text, text, text.upper(), f" {text}\n", f"{text}."))

    def draw() -> Case:
        said = [phrase() for _ in range(rng.randint(1, 4))]
        return [rng.choice((rng.choice(said), phrase())), rng.choices(said, k=10)]

    def fits(case: Case) -> bool:
        return not any(re.search(r"'s|[,?]\S", text, re.IGNORECASE) for text in (case[0], *case[1]))

    return _until(draw, fits)


def _vqa_theirs(case: Case) -> float:
    from lmms_eval.tasks.textvqa.utils import textvqa_process_results  # pyright: ignore[reportMissingImports]

    answer, golds = case
    return float(textvqa_process_results({"answers": list(golds), "question_id": 1}, [answer])["exact_match"])


def draw_ocrbench(rng: random.Random) -> Case:
    """Without full-width letters, which lmms-eval (but not OCRBench's authors) reads as plain ones."""
    golds = [" ".join(rng.choices(WORDS, k=rng.randint(1, 2))) for _ in range(rng.randint(1, 2))]
    inside = rng.choice(golds)
    if rng.random() < 0.3:
        inside = rng.choice((inside.upper(), inside.replace(" ", "\n"), inside.replace(" ", "")))
    answer = rng.choice((f"It says {inside}.", f" {inside}", inside[:-1], rng.choice(WORDS)))
    return [answer, golds, rng.random() < 0.4]


def _ocrbench_theirs(case: Case) -> float:
    from lmms_eval.tasks.ocrbench.utils import ocrbench_process_results  # pyright: ignore[reportMissingImports]

    answer, golds, formulas = case
    doc = {"answer": golds, "dataset": "HME100k" if formulas else "IAM", "question_type": ""}
    return float(ocrbench_process_results(doc, [answer])["ocrbench_accuracy"]["score"])


def draw_boxes(rng: random.Random) -> Case:
    """With an area each: lmms-eval divides by zero for two empty boxes, and counts a box turned inside out."""

    def box() -> list[float]:
        x, y = rng.randint(0, 30), rng.randint(0, 30)
        return [x, y, x + rng.randint(1, 40), y + rng.randint(1, 40)]

    first = box()
    near = [edge + rng.choice((0, 0, 1)) for edge in first]
    half = [first[0], first[1], first[2] + (first[2] - first[0]), first[3]]  # an IoU of 0.5 exactly
    return [rng.choice((near, half, box(), box())), first]


def _boxes_ours(case: Case, folder: Path) -> list[float]:
    predicted, gold = Box(*case[0]), Box(*case[1])
    return [box_iou(predicted, gold), grounding([Region("x", predicted)], [Region("x", gold)]).value]


def _boxes_theirs(case: Case) -> list[float]:
    from lmms_eval.tasks.refcoco.utils_rec import compute_accuracy, compute_iou  # pyright: ignore[reportMissingImports]

    return [float(compute_iou(*case)), float(compute_accuracy(*case))]


def draw_mme(rng: random.Random) -> Case:
    """Rows with answers to them. Without "yes" or "no" later than in the fourth letter (lmms-eval looks no further, and
    VLMEvalKit and this look everywhere), without words that begin with "no", and without "y" and "n".
    """
    said = ("Yes", "No", "yes.", "NO", "Yes, it is.", "No, there are two of them.", "maybe", "")
    categories = rng.sample(("existence", "count", "OCR", "code_reasoning", "text_translation"), rng.randint(1, 4))
    pairs = [(category, image) for category in categories for image in range(rng.randint(1, 6))]
    return [
        {"question_id": f"{category}/{image}.png", "question": "Is it?", "answer": gold, "category": category,
         "said": gold if rng.random() < 0.6 else rng.choice(said)}
        for category, image in pairs for gold in ("Yes", "No")
    ]  # fmt: skip


def _tasks(name: str, rows: Case, folder: Path) -> dict[str, TaskSummary]:
    """What the benchmark makes of a file with these rows and of the answers in their field `said`."""
    items = read_items(find_benchmark(name), Rows(write_jsonl(folder / "rows.jsonl", rows)))
    lines = {item.id: {"text": row["said"], "seconds": 0.0} for item, row in zip(items, rows, strict=True)}
    return judge(find_benchmark(name), items, lines, {})["tasks"]


def _mme_ours(rows: Case, folder: Path) -> list[float]:
    tasks = _tasks("mme", rows, folder)
    return [tasks[part]["value"] if part in tasks else 0.0 for part in ("mme: perception", "mme: cognition")]


def _mme_theirs(rows: Case) -> list[float]:
    from lmms_eval.tasks.mme.utils import (  # pyright: ignore[reportMissingImports]
        mme_aggregate_results,
        mme_process_results,
    )

    scored = [mme_process_results(row, [row["said"]]) for row in rows]
    parts = ("mme_perception_score", "mme_cognition_score")
    return [float(mme_aggregate_results([score[part] for score in scored if part in score])) for part in parts]


def draw_mmbench(rng: random.Random) -> Case:
    """Rows of a file with its rotations. Answers are a letter in a usual form or the text of no option; what is made of
    longer ones is each tool's own.
    """
    rows: list[dict[str, Any]] = []
    for index in rng.sample(range(1, 900), rng.randint(2, 8)):
        texts = rng.sample(("cat", "dog", "cow", "hen"), rng.randint(2, 4))
        luck = rng.choice((1.0, 1.0, 0.7))
        category = rng.choice(("attribute", "logic"))
        rows += list(_rotations(index, texts, category, luck, rng))
    return rows


def _rotations(
    index: int, texts: Sequence[str], category: str, luck: float, rng: random.Random
) -> Iterator[dict[str, Any]]:
    for turn in range(len(texts)):
        turned = [*texts[turn:], *texts[:turn]]
        right = string.ascii_uppercase[turned.index(texts[0])]
        said = right if rng.random() < luck else rng.choice("ABCD")
        form = rng.choice(("{}", "{}.", "({})", "{})", "{}:", "The answer is {}", "{}", "{}", "horse"))
        options = dict(zip("ABCD", [*turned, "", ""], strict=False))
        said = form.format(said) if form != "horse" or luck < 1 else right
        yield {"index": index + turn * 1_000_000, "question": "What?", "answer": right, "category": category,
               "said": said} | options  # fmt: skip


def _mmbench_ours(rows: Case, folder: Path) -> list[float]:
    tasks = _tasks("mmbench", rows, folder)
    return [tasks[name]["value"] for name in tasks] if len(tasks) > 1 else [tasks["mmbench"]["value"]] * 2


def _mmbench_theirs(rows: Case) -> list[float]:
    """Overall, then by category, sorted by name."""
    from lmms_eval.tasks.mmbench.mmbench_evals import MMBench_Evaluator  # pyright: ignore[reportMissingImports]

    missing = float("nan")  # as pandas has it
    frame = [{**{k: v or missing for k, v in row.items()}, "prediction": row["said"]} for row in rows]
    overall, categories, _ = MMBench_Evaluator().eval_result(frame, "static")
    return [float(overall), *(float(categories[name]) for name in sorted(categories))]


COMPARISONS = {
    "anls": Comparison(draw_anls, lambda case, folder: anls(*case), _anls_theirs),
    "relaxed": Comparison(draw_relaxed, lambda case, folder: relaxed_accuracy(case[0], [case[1]]), _relaxed_theirs),
    "vqa": Comparison(draw_vqa, lambda case, folder: vqa_accuracy(*case), _vqa_theirs),
    "ocrbench": Comparison(draw_ocrbench, lambda case, folder: float(ocrbench_hit(*case)), _ocrbench_theirs),
    "boxes": Comparison(draw_boxes, _boxes_ours, _boxes_theirs),
    "mme": Comparison(draw_mme, _mme_ours, _mme_theirs, 15),
    "mmbench": Comparison(draw_mmbench, _mmbench_ours, _mmbench_theirs, 15),
}


def record() -> None:
    rng = random.Random(0)
    lines: list[str] = []
    for name, comparison in COMPARISONS.items():
        cases = [comparison.draw(rng) for _ in range(comparison.count)]
        lines += [json.dumps([name, case, comparison.theirs(case)], ensure_ascii=False) for case in cases]
    RECORDED.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    record()
