"""Documents of several pages: every answer stands on the page that the question or the answer names."""

import re
from pathlib import Path

import numpy as np
import pytest

import vl2
from vl2.config import PRESETS
from vl2.data.mixture import MixtureSpec, PackedDataset, Sources, SynthSource
from vl2.data.packing import Budget
from vl2.processing.render import Renderer
from vl2.processing.tokenizer import Tokenizer
from vl2.synth import han, pages_wordings
from vl2.synth.canvas import character_ids
from vl2.synth.patches import patch_targets
from vl2.synth.registry import generate
from vl2.synth.sample import FIRST_HAN, FIRST_STRUCTURE, NUM_LABELS, Sample

COUNT = 30
TASKS = ("pages", "pages-zh")
PAGE = re.compile(r"page (\d)|第(\d)页")


@pytest.fixture(scope="module", params=TASKS)
def samples(request: pytest.FixtureRequest) -> list[Sample]:
    return [generate(request.param, 3, index, ("train", "test")[index % 2]) for index in range(COUNT)]


def drawn(sample: Sample) -> str:
    """Labels of the drawn characters but spaces, in drawing order."""
    ids = [i for i in sample.mark_ids.tolist() if 1 < i < FIRST_STRUCTURE or i >= FIRST_HAN]
    return f",{','.join(map(str, ids))},"


def labels(text: str) -> str:
    return f",{','.join(map(str, character_ids(text.replace(' ', ''))))},"


def named(text: str) -> int | None:
    found = PAGE.findall(text)
    return int("".join(found[0])) if len(found) == 1 else None


def test_values_stand_on_their_page_and_on_no_other(samples: list[Sample]):
    checked = 0
    for sample in samples:
        pages = [drawn(page) for page in (*sample.earlier, sample)]
        assert 2 <= len(pages) <= 4
        for question in sample.questions:
            if (
                question.kind != "ask"
                or question.metric != "anls"
                or question.answers[0].startswith(("It is", "文件中"))
            ):
                continue
            number = named(question.text)
            answer = labels(question.answers[0])
            checked += 1
            assert any(answer in page for page in pages), question
            if number is not None:
                assert answer in pages[number - 1], question
    assert checked > 3 * COUNT


def test_pages_are_the_right_ones(samples: list[Sample]):
    checked = 0
    for sample in samples:
        pages = [drawn(page) for page in (*sample.earlier, sample)]
        for question in sample.questions:
            heading = re.fullmatch(r'Which page is headed "(.+)"\?|标题“(.+)”在第几页？', question.text)
            item = re.fullmatch(r"Which page lists (.+)\?|(.+)列在第几页？", question.text)
            found = heading or item
            if found:
                name = labels(next(filter(None, found.groups())))
                number = int(question.answers[1])
                assert named(question.answers[0]) == number
                assert name in pages[number - 1]
                checked += 1
            if question.text in ("how many pages are there", "有几页？"):
                assert question.answers == (str(len(pages)),)
    assert checked > COUNT / 3


def test_boxes_lie_on_the_last_page_and_markdown_is_one_page(samples: list[Sample]):
    conversions = 0
    for sample in samples:
        assert len(sample.questions) <= 20
        for question in sample.questions:
            for region in question.regions:
                x0, y0, x1, y1 = region.box
                assert 0 <= x0 < x1 <= sample.image.width
                assert 0 <= y0 < y1 <= sample.image.height
                assert (
                    np.ptp(np.asarray(sample.image.convert("L")).astype(int)[int(y0) : int(y1), int(x0) : int(x1)]) > 40
                )
            if question.kind == "convert":
                conversions += 1
                number = named(question.text)
                assert number is not None
                page = drawn((*sample.earlier, sample)[number - 1])
                heading = next(line for line in question.answers[0].splitlines() if line.startswith("# "))
                assert labels(heading.removeprefix("# ")) in page
    assert conversions == COUNT
    again = generate(samples[0].task, 3, 0)
    assert again.questions == samples[0].questions
    assert [page.image.tobytes() for page in again.earlier] == [page.image.tobytes() for page in samples[0].earlier]


def test_wordings_are_there_in_both_languages():
    assert set(pages_wordings.WORDINGS) == set(pages_wordings.WORDINGS_ZH)
    assert all(
        text and text.count("{") == text.count("}") for texts in pages_wordings.WORDINGS.values() for text in texts
    )
    assert "页" in han.characters()


@pytest.mark.parametrize("task", ["pages", "pages-zh", "screen", "real-chart", "chart-zh", "table-zh", "formula"])
def test_training_packs_them(task: str):
    config = PRESETS["nano"]
    weights = Path(vl2.__file__).parent / "weights" / "nano"
    renderer = Renderer(Tokenizer.from_file(weights / "tokenizer.json"), config)
    source = SynthSource(generate, patch_targets, (task,), NUM_LABELS)
    spec = MixtureSpec(((task, 1.0),), 3, 0, None, 4, 1, True, True)
    budget = Budget(tokens=8192, tiles=24, max_sequence=8192, max_prompts=4)
    batch = PackedDataset(spec, Sources(source, {}), renderer, config, budget, pad_id=0)[0]
    assert (batch.patch_classes_NP > 0).sum() > 50
    assert batch.num_tiles >= len(batch.sequence_lengths) * (2 if task.startswith("pages") else 1)
    assert batch.num_dropped == 0
