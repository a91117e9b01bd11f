"""The first eleven tasks draw what they drew when Nano's published scores were measured on them.

But for training pictures of things (ground, count, scene, caption), which have got more drawings and looks since.

Questions that read a chart or a table as a whole came later; they stand behind the older ones, as
tests/synth/test_chart_tables.py and test_table_wholes.py see to.
"""

import hashlib

import PIL
import pytest

from vl2.synth import charts, tables
from vl2.synth.registry import generate

DRAWN_WITH = "13."  # Pillow; another FreeType draws other edges
DIGESTS = {
    ("line", "train"): "ba9fd0d13be6fbe5",
    ("line", "test"): "c49e9c54a9ecb464",
    ("paragraph", "train"): "45f9def4d7dd7b69",
    ("paragraph", "test"): "b21817b9fbab8ee6",
    ("page", "train"): "669a4aaec82ddcc2",
    ("page", "test"): "b38b123c849fa878",
    ("receipt", "train"): "d9d6bd7323309d38",
    ("receipt", "test"): "2d71d5e5e6d21479",
    ("form", "train"): "d382f2a3fb6721b2",
    ("form", "test"): "c06863efd6432bb5",
    ("table", "train"): "81201edb1f9729d2",
    ("table", "test"): "43c941da9f03e549",
    ("chart", "train"): "b6a44e1e7fee9ea1",
    ("chart", "test"): "b10983f06c347e33",
    ("ground", "train"): "a712ccfc0c3edebb",
    ("ground", "test"): "560bcf1aadf98fe3",
    ("count", "train"): "f87a62ad930275bd",
    ("count", "test"): "56f8d1684e1956b0",
    ("scene", "train"): "bd74c1e45af7d258",
    ("scene", "test"): "fda13f9bbdc38eef",
    ("caption", "train"): "c695de7276136e5c",
    ("caption", "test"): "33d57f9d5cda24e4",
}


@pytest.mark.skipif(not PIL.__version__.startswith(DRAWN_WITH), reason=f"digests were made with Pillow {DRAWN_WITH}")
@pytest.mark.parametrize(("task", "split"), DIGESTS)
def test_pictures_and_questions_are_the_same(task: str, split: str, monkeypatch: pytest.MonkeyPatch):
    for module in (charts, tables):
        monkeypatch.setattr(module, "whole_questions", lambda *_: [])
    digest = hashlib.sha256()
    for index in range(4):
        sample = generate(task, 7, index, split)
        questions = [
            (
                q.kind,
                q.text,
                q.answers,
                q.metric,
                [(r.label, tuple(round(float(v), 2) for v in r.box)) for r in q.regions],
            )
            for q in sample.questions
        ]
        digest.update(repr(questions).encode())
        digest.update(sample.image.tobytes())
        digest.update(sample.mark_ids.tobytes())
    assert digest.hexdigest()[:16] == DIGESTS[task, split]
