"""Receipts and forms: deterministic, every answer stands on the picture, boxes lie where the ink is."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from vl2.synth import document_words, forms, wordings
from vl2.synth.canvas import text_width
from vl2.synth.ingredients import fonts, load_font
from vl2.synth.paper import Sheet, paper, shorten
from vl2.synth.receipt_items import LAYOUTS, rows_needed
from vl2.synth.registry import generate
from vl2.synth.sample import FIRST_STRUCTURE, OTHER_CHARACTER, STRUCTURES, Question, Sample, structure_id

TASK_SPLITS = [(task, split) for task in ("receipt", "form") for split in ("train", "test")]
COUNT = 150
KINDS = [kind for kind in wordings.kinds() if kind.startswith(("receipt.", "form."))]


@pytest.fixture(scope="module", params=TASK_SPLITS, ids=lambda pair: "-".join(pair))
def samples(request: pytest.FixtureRequest) -> list[Sample]:
    task, split = request.param
    return [generate(task, 11, index, split) for index in range(COUNT)]


def drawn(sample: Sample) -> str:
    """All characters in drawing order; anything else is a NUL."""
    ids = sample.mark_ids.tolist()
    return "".join(chr(31 + i) if 0 < i < OTHER_CHARACTER else "?" if i == OTHER_CHARACTER else "\0" for i in ids)


def as_drawn(text: str) -> str:
    return "".join(char if " " <= char <= "~" else "?" for char in text)


def asked(samples: list[Sample], kind: str) -> list[tuple[Sample, Question]]:
    return [(sample, question) for sample in samples for question in sample.questions if question.kind == kind]


def structures(sample: Sample) -> set[str]:
    return {STRUCTURES[i - FIRST_STRUCTURE] for i in sample.mark_ids.tolist() if i >= FIRST_STRUCTURE}


@pytest.mark.parametrize(("task", "split"), TASK_SPLITS)
def test_same_index_same_sample(task: str, split: str):
    first, second = generate(task, 1, 7, split), generate(task, 1, 7, split)
    assert first.image.tobytes() == second.image.tobytes()
    assert first.questions == second.questions
    assert (first.mark_boxes == second.mark_boxes).all()
    assert generate(task, 1, 8, split).questions != first.questions


def test_answers_are_drawn(samples: list[Sample]):
    for sample, question in asked(samples, "ask"):
        text, answer = drawn(sample), question.answers[0]
        if answer in ("Yes", "No") or (answer.isdigit() and int(answer) <= 12):
            continue
        parts = [answer] if as_drawn(answer) in text else answer.split(", ")
        assert all(as_drawn(part) in text for part in parts), (question.text, answer)


def test_reading_is_all_that_is_drawn(samples: list[Sample]):
    found = asked(samples, "read")
    assert found
    for sample, question in found:
        lines = question.answers[0].split("\n")
        assert len(lines) <= 24
        assert all(line == line.strip() and line for line in lines)
        assert question.metric == "cer"
        marked = Counter(drawn(sample).replace("\0", "").replace(" ", ""))
        assert marked == Counter(as_drawn(question.answers[0].replace("\n", "").replace(" ", "")))


def test_boxes_lie_inside_and_around_ink(samples: list[Sample]):
    found = [pair for pair in asked(samples, "ground") if pair[1].regions]
    assert len(found) > 20
    for sample, question in found:
        (region,) = question.regions
        assert region.label == question.text
        x0, y0, x1, y1 = region.box
        assert 0 <= x0 < x1 <= sample.image.width
        assert 0 <= y0 < y1 <= sample.image.height
        middles = (sample.mark_boxes[:, :2] + sample.mark_boxes[:, 2:]) / 2
        inside = (middles >= (x0 - 2, y0 - 2)).all(1) & (middles <= (x1 + 2, y1 + 2)).all(1)
        assert inside.any(), question.text


def test_samples_are_well_formed(samples: list[Sample]):
    for sample in samples:
        width, height = sample.image.size
        assert 200 <= width <= 770
        assert 90 <= height <= 770
        assert 2 <= len(sample.questions) <= 18
        assert len({question.text for question in sample.questions}) == len(sample.questions)
        for question in sample.questions:
            assert "{" not in question.text
            assert question.text.strip() == question.text
            assert question.kind == "ground" or question.answers[0].strip() == question.answers[0] != ""
            assert question.metric == {"ask": "anls", "read": "cer", "ground": "iou"}[question.kind]
        middles = (sample.mark_boxes[:, :2] + sample.mark_boxes[:, 2:]) / 2
        assert (middles >= -2).all()
        assert (middles <= np.array([width, height]) + 2).all()


def test_sizes_and_letters_suit_the_tiles(samples: list[Sample]):
    small = [max(sample.image.size) <= 384 for sample in samples]
    assert 0.4 < np.mean(small) < 0.8
    for sample in samples:
        letters = sample.mark_boxes[(sample.mark_ids > 0) & (sample.mark_ids < OTHER_CHARACTER)]
        assert np.median(letters[:, 3] - letters[:, 1]) >= 10, "glyphs must stay legible"


@pytest.mark.parametrize("kind", KINDS)
def test_questions_have_many_wordings(kind: str):
    assert len(wordings.wordings(kind)) >= 15


def test_receipts_say_what_receipts_say():
    texts = [question.text.lower() for index in range(200) for question in generate("receipt", 5, index).questions]
    for words in ("total", "date", "how many", "store", "price", "phone", "tax", "cashier"):
        assert sum(words in text for text in texts) >= 3, words


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], list[Sheet]]:
    """The sheets of a task as they are before questions are drawn from them."""
    kept: list[Sheet] = []
    finish = Sheet.sample

    def keep(self: Sheet, task: str, *, readable: bool) -> Sample:
        kept.append(self)
        return finish(self, task, readable=readable)

    monkeypatch.setattr(Sheet, "sample", keep)

    def make(task: str, count: int) -> list[Sheet]:
        kept.clear()
        for index in range(count):
            generate(task, 6, index)
        return list(kept)

    return make


def cents(text: str) -> int:
    """An amount with two decimals in any style."""
    number = int("".join(char for char in text if char.isdigit()))
    return -number if text.startswith("-") else number


def test_receipt_sums_add_up(sheets: Callable[[str, int], list[Sheet]]):
    checked = 0
    for sheet in sheets("receipt", 120):
        one = {fact.kind: fact.answers[0] for fact in sheet.facts if fact.answers}
        prices = [cents(fact.answers[0]) for fact in sheet.facts if fact.kind == "receipt.item_price"]
        if len(prices) != int(one["receipt.num_items"]):
            continue
        checked += 1
        parts = [cents(one.get(f"receipt.{name}", "0")) for name in ("tax", "tip", "discount")]
        assert sum(prices) + sum(parts) == cents(one["receipt.total"])
        assert cents(one.get("receipt.subtotal", str(sum(prices)))) == sum(prices)
        if "receipt.change" in one:
            assert cents(one["receipt.paid"]) - cents(one["receipt.change"]) == cents(one["receipt.total"])
    assert checked > 80


def test_price_without_its_sign_is_right_as_well(sheets: Callable[[str, int], list[Sheet]]):
    totals = [fact.answers for sheet in sheets("receipt", 60) for fact in sheet.facts if fact.kind == "receipt.total"]
    signed = [answers for answers in totals if not answers[0][0].isdigit()]
    assert len(signed) > 10
    assert all(answers[1] in answers[0] and answers[1][0].isdigit() for answers in signed)


def test_item_found_by_price_is_the_only_one(sheets: Callable[[str, int], list[Sheet]]):
    for sheet in sheets("receipt", 60):
        prices = [fact.answers[0] for fact in sheet.facts if fact.kind == "receipt.item_price"]
        for fact in sheet.facts:
            if fact.kind == "receipt.item_for_price":
                assert prices.count(str(fact.slots["price"])) == 1


def test_ticks_are_answered_as_drawn(sheets: Callable[[str, int], list[Sheet]]):
    answers: Counter[str] = Counter()
    for sheet in sheets("form", 80):
        finished = sheet.canvas.finish(np.random.default_rng(0), damage=None)
        for fact in sheet.facts:
            if fact.kind != "form.ticked":
                continue
            box = np.array(finished.regions[fact.region], np.float32)
            (mark,) = finished.mark_ids[(finished.mark_boxes == box).all(1)].tolist()
            full = mark in (structure_id("checked box"), structure_id("selected radio"))
            assert fact.answers == ("Yes" if full else "No",)
            answers[fact.answers[0]] += 1
    assert min(answers["Yes"], answers["No"]) > 20


def test_all_ticked_boxes_are_listed(sheets: Callable[[str, int], list[Sheet]]):
    several = 0
    for sheet in sheets("form", 120):
        boxes = [fact for fact in sheet.facts if fact.kind == "form.ticked"]
        ticked = [str(fact.slots["box"]) for fact in boxes if fact.answers == ("Yes",)]
        for fact in sheet.facts:
            if fact.kind == "form.ticked_all":
                several += 1
                assert set(ticked) <= set(fact.answers[0].split(", "))
                assert len(fact.answers[0].split(", ")) > 1
    assert several > 5


def test_a_field_is_asked_about_once(sheets: Callable[[str, int], list[Sheet]]):
    for sheet in sheets("form", 60):
        fields = [str(fact.slots["field"]).lower() for fact in sheet.facts if fact.kind == "form.value"]
        assert len(fields) == len(set(fields))


def test_all_kinds_of_marks_appear():
    seen: set[str] = set()
    for index in range(150):
        seen |= structures(generate("form", 8, index)) | structures(generate("receipt", 8, index))
    assert seen >= {
        "rule", "dashed rule", "input field", "underline", "checkbox", "checked box", "radio button", "selected radio",
        "barcode", "logo", "grid line",
    }  # fmt: skip


def test_labels_of_one_form_are_told_apart():
    labels = [label.lower() for synonyms, _ in forms.FIELDS for label in synonyms]
    assert len(labels) == len(set(labels)), "a label stands for one concept"
    assert len(forms.FIELDS) >= 80
    options = [option for _, group in document_words.GROUPS for option in group]
    assert len(options) >= 60


def test_rows_of_a_list_are_counted_with_its_header():
    assert rows_needed("plain", 5) == 5
    assert rows_needed("two rows", 5) == 10
    assert rows_needed("columns", 5) == 6
    assert all(rows_needed(layout, 1) >= 1 for layout in LAYOUTS)


def test_shortened_text_fits():
    font = load_font(fonts("train", "sans")[0], 20)
    text = "Membership application, second page"
    for width in (20, 60, 150, 1000):
        short = shorten(text, font, width)
        assert text.startswith(short)
        assert text_width(short, font) <= width or len(short) == 1
    assert shorten(text, font, 1000) == text


def test_paper_is_light_and_within_its_range():
    rng = np.random.default_rng(3)
    for _ in range(60):
        ground = paper(rng, 120, 90)
        assert ground.image.size == (120, 90)
        assert np.asarray(ground.image).mean() > 140
        assert ground.low <= ground.high
