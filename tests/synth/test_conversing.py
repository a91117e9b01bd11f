"""Two images, markers and follow-ups: what is said is true of the pictures, boxes hold what was drawn."""

from pathlib import Path

import numpy as np
import pytest

import vl2
from vl2.config import PRESETS
from vl2.data.mixture import MixtureSpec, PackedDataset, Sources, SynthSource
from vl2.data.packing import Budget
from vl2.processing.render import Renderer
from vl2.processing.tokenizer import Tokenizer
from vl2.synth.canvas import character_ids
from vl2.synth.patches import patch_targets
from vl2.synth.rate import images_per_second
from vl2.synth.registry import generate
from vl2.synth.sample import FIRST_CONCEPT, NUM_LABELS, Question, Sample

TASKS = ("compare", "in-context", "pointing", "pointing-zh", "dialogue")
COUNT = 40
WEIGHTS = Path(vl2.__file__).parent / "weights" / "nano"


@pytest.fixture(scope="module")
def samples() -> dict[str, list[Sample]]:
    return {task: [generate(task, 6, index, ("train", "test")[index % 2]) for index in range(COUNT)] for task in TASKS}


def difference(first: Sample, second: Sample) -> np.ndarray:
    """(height, width) how much two pictures of one size differ, with noise smoothed away."""
    pictures = [np.asarray(sample.image.convert("RGB"), np.float32) for sample in (first, second)]
    apart = np.abs(pictures[0] - pictures[1]).max(-1)
    height, width = (side // 4 * 4 for side in apart.shape)
    return apart[:height, :width].reshape(height // 4, 4, width // 4, 4).mean((1, 3))


def all_questions(sample: Sample) -> list[Question]:
    return [asked for first in sample.questions for asked in (first, *first.then)]


@pytest.mark.parametrize("task", TASKS)
def test_same_index_same_sample(task: str):
    first, second = generate(task, 1, 2), generate(task, 1, 2)
    assert first.questions == second.questions
    assert first.image.tobytes() == second.image.tobytes()
    assert [p.image.tobytes() for p in first.earlier] == [p.image.tobytes() for p in second.earlier]


@pytest.mark.parametrize("task", TASKS)
def test_boxes_lie_in_the_last_picture_and_hold_a_mark(task: str, samples: dict[str, list[Sample]]):
    found = 0
    for sample in samples[task]:
        assert len(sample.earlier) == (1 if task in ("compare", "in-context") else 0)
        for question in all_questions(sample):
            assert question.text.strip() == question.text != ""
            assert "{" not in question.text
            assert question.kind == "ground" or question.answers[0]
            for region in question.regions:
                found += 1
                x0, y0, x1, y1 = region.box
                assert 0 <= x0 < x1 <= sample.image.width
                assert 0 <= y0 < y1 <= sample.image.height
                assert (np.abs(sample.mark_extents - np.array(region.box, np.float32)).max(1) < 1).any()
    assert found > COUNT / 2


def test_pictures_differ_where_the_change_is_said_to_be(samples: dict[str, list[Sample]]):
    moved = same = 0
    for sample in samples["compare"]:
        apart = difference(sample.earlier[0], sample)
        answers = {question.answers[0] for question in sample.questions if question.kind == "ask"}
        if "Nothing changed." in answers:
            same += 1
            assert "yes" in answers
            continue
        changed = sample.earlier[0].mark_boxes.tolist() != sample.mark_boxes.tolist()
        recoloured = any("changed from" in answer for answer in answers)
        assert changed or recoloured or any("became" in answer for answer in answers)
        for question in sample.questions:
            for region in question.regions:
                x0, y0, x1, y1 = (round(v / 4) for v in region.box)
                inside = apart[y0:y1, x0:x1]
                outside = np.median(apart)
                moved += 1
                assert inside.max() > outside + 12, question
    assert moved > COUNT / 3
    assert same < COUNT / 3


def test_in_context_boxes_are_all_of_the_marked_kind(samples: dict[str, list[Sample]]):
    none = 0
    for sample in samples["in-context"]:
        (asked,) = {
            question.regions and tuple(r.box for r in question.regions)
            for question in sample.questions
            if question.kind == "ground"
        }
        count = next(q.answers[0] for q in sample.questions if q.metric == "exact")
        assert count == str(len(asked))
        none += not asked
        kinds = set()
        for box in asked:
            place = np.abs(sample.mark_boxes - np.array(box, np.float32)).max(1).argmin()
            kinds.add(int(sample.mark_ids[place]))
        if asked:
            (kind,) = kinds
            assert kind >= FIRST_CONCEPT
            assert (sample.mark_ids == kind).sum() == len(asked)
            assert kind in sample.earlier[0].mark_ids
    assert 0 < none < COUNT / 3


def test_a_marker_is_drawn_beside_what_it_marks(samples: dict[str, list[Sample]]):
    for sample in (*samples["pointing"], *samples["pointing-zh"]):
        region = next(question for question in sample.questions if question.kind == "ground").regions[0]
        x0, y0, x1, y1 = (round(v) for v in region.box)
        pixels = np.asarray(sample.image).astype(int)
        around = pixels[max(0, y0 - 30) : y1 + 30, max(0, x0 - 30) : x1 + 30].reshape(-1, 3)
        assert (np.ptp(around, axis=1) > 120).sum() > 20  # a pure colour


def test_follow_ups_speak_of_one_thing(samples: dict[str, list[Sample]]):
    followed = [q for sample in samples["dialogue"] for q in sample.questions if q.then]
    assert len(followed) > COUNT
    refused = [
        q for s in samples["dialogue"] for q in s.questions if q.answers and q.answers[0].startswith("There is no")
    ]
    assert len(refused) >= 2 * COUNT
    assert all(question.answers for question in followed)


def test_training_packs_two_images():
    config = PRESETS["nano"]
    renderer = Renderer(Tokenizer.from_file(WEIGHTS / "tokenizer.json"), config)
    source = SynthSource(generate, patch_targets, TASKS, NUM_LABELS)
    spec = MixtureSpec((("in-context", 1.0),), 3, 0, None, 4, 1, True, True)
    budget = Budget(tokens=8192, tiles=24, max_sequence=8192, max_prompts=4)
    batch = PackedDataset(spec, Sources(source, {}), renderer, config, budget, pad_id=0)[0]
    assert (batch.patch_classes_NP >= FIRST_CONCEPT).any()
    assert batch.num_tiles >= 2 * len(batch.sequence_lengths)
    assert batch.num_dropped == 0


def test_rate_counts_what_was_drawn():
    assert min(images_per_second("line", 20)) > 1
    assert min(images_per_second("line", 20, workers=2)) > 0
    assert min(images_per_second({"line": 1.0, "count": 2.0}, 20)) > 0
    with pytest.raises(ValueError, match="nonsense"):
        images_per_second("nonsense", 1)


def test_the_marked_line_says_the_answer(samples: dict[str, list[Sample]]):
    for sample in samples["pointing-zh"]:
        (region,) = (region for question in sample.questions for region in question.regions)
        (answer,) = {question.answers[0] for question in sample.questions if question.kind == "ask"}
        of_line = np.abs(sample.mark_extents - np.array(region.box, np.float32)).max(1) < 1
        assert sample.mark_ids[of_line].tolist() == character_ids(answer).tolist()
        assert any(ord(char) > 0x2E7F for char in answer) or answer.isascii()
