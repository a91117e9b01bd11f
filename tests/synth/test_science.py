"""Pages of papers: formulas and statements are asked about by their numbers, and are what was drawn."""

import re

import pytest

from vl2.synth.formulas import TYPEFACES, draw_formula
from vl2.synth.registry import generate
from vl2.synth.sample import Question, Sample

COUNT = 24


@pytest.fixture(scope="module", params=["science", "science-zh"])
def samples(request: pytest.FixtureRequest) -> list[Sample]:
    return [generate(request.param, 4, index, ("train", "test")[index % 2]) for index in range(COUNT)]


def formulas_of(sample: Sample) -> list[Question]:
    return [question for question in sample.questions if len(question.answers) == 2 and question.metric == "cer"]


def number_of(text: str) -> str:
    found = re.search(r"\d+", text)
    return found[0] if found else ""


def test_the_box_of_a_numbered_formula_holds_the_glyphs_of_its_latex(samples: list[Sample]) -> None:
    compared = 0
    for index, sample in enumerate(samples):
        latex = {number_of(question.text): question.answers[0] for question in formulas_of(sample)}
        for question in sample.questions:
            for region in question.regions:
                x0, y0, x1, y1 = region.box
                middles = (sample.mark_boxes[:, :2] + sample.mark_boxes[:, 2:]) / 2
                inside = ((middles > (x0, y0)) & (middles < (x1, y1))).all(1)
                wanted = draw_formula(latex[number_of(question.text)], 20, TYPEFACES[("train", "test")[index % 2]][0])
                assert sorted(sample.mark_ids[inside].tolist()) == sorted(wanted.ids)
                compared += 1
    assert compared > 10


def test_formulas_are_numbered_one_after_the_other_or_alone(samples: list[Sample]) -> None:
    seen = [len(formulas_of(sample)) for sample in samples]
    assert min(seen) >= 1
    assert max(seen) >= 3
    for sample, count in zip(samples, seen, strict=True):
        numbers = [int(number_of(question.text) or 0) for question in formulas_of(sample)]
        assert count == 1 or numbers == list(range(numbers[0], numbers[0] + count))


def test_a_page_as_markdown_displays_its_formulas_and_says_its_statements(samples: list[Sample]) -> None:
    whole = 0
    for sample in samples:
        pages = [question.answers[0] for question in sample.questions if question.kind == "convert"]
        for page in pages:
            whole += 1
            asked = formulas_of(sample)
            assert re.findall(r"\$\$(.+?)(?: \\tag\{\d+\})?\$\$", page) == [question.answers[0] for question in asked]
            tags = re.findall(r"\\tag\{(\d+)\}", page)
            assert tags == [number_of(question.text) for question in asked if number_of(question.text)]
            said = [question for question in sample.questions if len(question.answers) == 1 and question.kind == "ask"]
            assert all(question.answers[0] in page for question in said)
    assert whole > COUNT / 3


def test_splits_have_typefaces_of_their_own_and_an_index_gives_the_same_page() -> None:
    first, second = generate("science", 4, 1, "test"), generate("science", 4, 1, "test")
    assert first.image.tobytes() == second.image.tobytes()
    assert first.questions == second.questions
    assert generate("science", 4, 1).image.tobytes() != first.image.tobytes()
