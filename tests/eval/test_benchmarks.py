"""Every benchmark from files in its own formats: the exact prompts, what is right, and what the summary says."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from benchmark_files import b64, colour_of, png, struct, write_jsonl, write_parquet, write_tsv

from vl2.data.records import RecordError
from vl2.eval.benchmarks import BENCHMARKS, find_benchmark, read_items
from vl2.eval.items import Item
from vl2.eval.report import format_number
from vl2.eval.rows import Rows
from vl2.eval.run import judge
from vl2.eval.runner import Results
from vl2.processing.boxes import Box, Region
from vl2.processing.images import open_image
from vl2.processing.messages import Image, Ref, Text

SHORT = "\nAnswer the question using a single word or phrase."


def items_of(name: str, path: Path) -> list[Item]:
    return read_items(find_benchmark(name), Rows(path))


def prompt_of(item: Item) -> str:
    """As the model gets it, images as <image>."""
    said = {Image: lambda part: "<image>", Text: lambda part: part.text, Ref: lambda part: f"<ref>{part.phrase}</ref>"}
    return "".join(said[type(part)](part) for part in item.message().parts)


def judged(name: str, items: list[Item], texts: Mapping[str, Any]) -> Results:
    """Results of answers given by id; an answer is a text, or boxes."""
    answers = {}
    for item in items:
        said = texts.get(item.id, "")
        regions = [{"label": "", "box": list(box)} for box in said] if isinstance(said, list) else []
        answers[item.id] = {"id": item.id, "text": "" if regions else said, "seconds": 0.0, "regions": regions}
    return judge(find_benchmark(name), items, answers, {})


def scores(name: str, items: list[Item], texts: Mapping[str, Any]) -> dict[str, float]:
    return {output["id"]: output["score"] for output in judged(name, items, texts)["outputs"]}


def test_docvqa_in_its_formats(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(png())
    tsv = write_tsv(
        tmp_path / "a.tsv",
        [{"index": 5, "image": b64(), "question": "Date?", "answer": "['May 1', '1 May']", "split": "val"}],
    )
    parquet = write_parquet(
        tmp_path / "a.parquet",
        [{"questionId": "5", "question": "Date?", "question_types": ["layout", "form"], "image": struct(),
          "docId": 1, "answers": ["May 1", "1 May"], "data_split": "val"}],
    )  # fmt: skip
    line = {"questionId": 5, "question": "Date?", "image": "p.png", "answers": ["May 1", "1 May"]}
    jsonl = write_jsonl(tmp_path / "a.jsonl", [line])
    for path in (tsv, parquet, jsonl):
        (item,) = items_of("docvqa", path)
        assert (item.id, item.golds) == ("5", ("May 1", "1 May"))
        assert prompt_of(item) == f"<image>\nDate?{SHORT}"
        assert scores("docvqa", [item], {"5": "1 may."}) == {"5": 1.0}  # full stops at the end are dropped
        assert scores("docvqa", [item], {"5": "1 Max"}) == {"5": pytest.approx(0.8)}


def test_infovqa_and_its_hidden_answers(tmp_path: Path) -> None:
    assert find_benchmark("infovqa").max_tiles == 18
    assert {b.max_tiles for name, b in BENCHMARKS.items() if name != "infovqa"} == {9}
    path = write_parquet(
        tmp_path / "test.parquet",
        [{"questionId": str(n), "question": "Who?", "answers": None, "image": struct()} for n in range(3)],
    )
    items = items_of("infovqa", path)
    results = judged("infovqa", items, {"0": "she"})
    assert results["outputs"] == []
    assert results["tasks"]["infovqa"].get("unscored") == 3
    assert results["tasks"]["infovqa"]["n"] == 0


def test_infovqa_in_its_formats(tmp_path: Path) -> None:
    golds = ["1,020", "1,020 million"]
    tsv = write_tsv(
        tmp_path / "InfoVQA_VAL.tsv",
        [
            {"index": 0, "image": b64("red"), "question": "How many?", "answer": str(golds)},
            {"index": 1, "image": "0", "question": "Who?", "answer": "['nan']"},  # a grandmother, not a gap
            {"index": 2, "image": "0", "question": "What?", "answer": "nan"},
        ],
    )
    parquet = write_parquet(
        tmp_path / "a.parquet",
        [{"questionId": "65718", "question": "How many?", "answers": golds, "answer_type": ["single span"],
          "image": struct("red"), "image_url": "http://x", "operation/reasoning": ["counting"], "ocr": "[{}]",
          "data_split": "val"}],
    )  # fmt: skip
    for path, name in ((tsv, "0"), (parquet, "65718")):
        item = items_of("infovqa", path)[0]
        assert (item.id, item.golds) == (name, tuple(golds))
        assert prompt_of(item) == f"<image>\nHow many?{SHORT}"
        assert scores("infovqa", [item], {name: "1,020 Millions"}) == {name: pytest.approx(1 - 1 / 14)}
    asked = items_of("infovqa", tsv)
    assert [item.golds for item in asked[1:]] == [("nan",), ("nan",)]
    assert scores("infovqa", asked, {"1": "Nan", "2": "nap"}) == {"0": 0.0, "1": 1.0, "2": pytest.approx(2 / 3)}


def test_chartqa_in_its_formats(tmp_path: Path) -> None:
    lmms = {"type": "human_test", "question": "How many?", "answer": "14", "image": struct()}
    m4 = {"query": "How many?", "label": ["14"], "human_or_machine": 0, "image": struct()}
    vlmevalkit = {"index": 0, "question": "How many?", "answer": "14", "split": "test_human", "image": b64()}
    paths = [
        write_parquet(tmp_path / "a.parquet", [lmms]),
        write_parquet(tmp_path / "b.parquet", [m4]),
        write_tsv(tmp_path / "c.tsv", [vlmevalkit]),
    ]
    for path, group in zip(paths, ("human_test", "0", "test_human"), strict=True):
        (item,) = items_of("chartqa", path)
        assert item.group == group
        assert prompt_of(item) == f"<image>\nHow many?{SHORT}"
        assert scores("chartqa", [item], {"0": "14.7"}) == {"0": 1.0}
        assert scores("chartqa", [item], {"0": "14.8"}) == {"0": 0.0}


def test_textvqa_in_its_formats(tmp_path: Path) -> None:
    people = ["nokia"] * 2 + ["Toshiba"] * 8
    parquet = write_parquet(
        tmp_path / "a.parquet",
        [{"image_id": "x", "question_id": 34602, "question": "brand?", "question_tokens": ["brand"], "image": struct(),
          "image_width": 48, "image_height": 24, "answers": people, "image_classes": ["Camera"], "set_name": "val",
          "ocr_tokens": ["NOKIA"]}],
    )  # fmt: skip
    tsv = write_tsv(
        tmp_path / "TextVQA_VAL.tsv",
        [{"index": 34602, "image": b64(), "question": "brand?", "answer": str(people)}],
    )
    for path in (parquet, tsv):
        (item,) = items_of("textvqa", path)
        assert (item.id, item.golds) == ("34602", tuple(people))  # every person counts, equal answers too
        assert prompt_of(item) == f"<image>\nbrand?{SHORT}"
        assert scores("textvqa", [item], {"34602": "Nokia"}) == {"34602": pytest.approx(0.6)}


def test_ocrbench_counts_and_groups(tmp_path: Path) -> None:
    kinds = ["Regular Text Recognition", "Handwriting Recognition", "Doc-oriented VQA",
             "Handwritten Mathematical Expression Recognition"]  # fmt: skip
    golds = [["CENTRE"], ["tall"], ["14 May"], [r"\frac { a } { b }"]]
    rows = zip(kinds, golds, strict=True)
    tsv = write_tsv(
        tmp_path / "a.tsv",
        [
            {"index": n, "image": b64(), "question": "what?", "answer": str(g), "category": k}
            for n, (k, g) in enumerate(rows)
        ],
    )
    parquet = write_parquet(
        tmp_path / "a.parquet",
        [{"dataset": "d", "question": "what?", "question_type": k, "answer": g, "image": struct()}
         for k, g in zip(kinds, golds, strict=True)],
    )  # fmt: skip
    for path in (tsv, parquet):
        items = items_of("ocrbench", path)
        assert prompt_of(items[0]) == "<image>\nwhat?"
        said = {"0": "The word is Centre", "1": "a ball", "2": "on 14\nMAY", "3": r"$\frac{a}{b}$"}
        tasks = judged("ocrbench", items, said)["tasks"]
        assert (tasks["ocrbench"]["value"], tasks["ocrbench"].get("scale")) == (3.0, 4.0)
        assert tasks["ocrbench: Text Recognition"]["value"] == 1.0
        assert tasks["ocrbench: Handwritten Mathematical Expression Recognition"]["value"] == 1.0
        assert scores("ocrbench", items, {"3": r"\Frac{a}{b}"})["3"] == 0.0  # formulas keep their case
    bad = write_tsv(tmp_path / "b.tsv", [{"index": 0, "image": b64(), "question": "q", "answer": "a", "category": "x"}])
    with pytest.raises(RecordError, match=r"b\.tsv:2: category = 'x': expected one of Regular Text"):
        items_of("ocrbench", bad)


OPTIONS = (
    "<image>\nQuestion: What?\nOptions:\nA. cat\nB. dog\n"
    + "Please select the correct answer from the options above. \n"
)


def test_choices_in_their_formats(tmp_path: Path) -> None:
    paths = [
        write_tsv(tmp_path / "mmstar.tsv", [
            {"index": 0, "question": "What?", "A": "cat", "B": "dog", "C": "", "answer": "B", "category": "c",
             "image": b64()}]),
        write_parquet(tmp_path / "ai2d.parquet", [
            {"question": "What?", "options": ["cat", "dog"], "answer": "1", "image": struct()}]),
        write_tsv(tmp_path / "AI2D_TEST.tsv", [
            {"index": 0, "image": b64(), "question": "What?", "A": "cat", "B": "dog", "C": "", "D": "", "answer": "B",
             "category": "foodChainsWebs", "image_path": "0.png"}]),
        write_tsv(tmp_path / "MMT-Bench_VAL.tsv", [
            {"index": 0, "image": b64(), "question": "What?", "answer": "B", "category": "animals", "A": "cat",
             "B": "dog", "C": "", "D": "", "E": "", "l2-category": "recognition", "split": "val"}]),
        write_parquet(tmp_path / "mmstar.parquet", [
            {"index": 0, "question": "What?\nOptions: A: cat, B: dog", "image": struct(), "answer": "B",
             "category": "c", "l2_category": "d", "meta_info": {"source": "s"}}]),
    ]  # fmt: skip
    for name, path in zip(("mmstar", "ai2d", "ai2d", "mmtbench", "mmstar"), paths, strict=True):
        (item,) = items_of(name, path)
        assert prompt_of(item) == OPTIONS
        assert (item.golds, item.choices) == (("B",), {"A": "cat", "B": "dog"})
        assert scores(name, [item], {"0": "B. dog"}) == {"0": 1.0}
        assert scores(name, [item], {"0": "a cat"}) == {"0": 0.0}
        assert judged(name, [item], {"0": "horse"})["outputs"][0].get("read") == "none"


def test_choices_that_are_wrong(tmp_path: Path) -> None:
    path = write_tsv(
        tmp_path / "a.tsv", [{"index": 0, "question": "q", "A": "x", "B": "y", "answer": "C", "image": b64()}]
    )
    with pytest.raises(RecordError, match=r"a\.tsv:2: answer = 'C': expected the letter of an option \(A, B\)"):
        items_of("mmstar", path)
    path = write_tsv(tmp_path / "b.tsv", [{"index": 0, "question": "q", "answer": "C", "image": b64()}])
    with pytest.raises(RecordError, match=r"b\.tsv:2: question = 'q': expected options in columns A, B"):
        items_of("ai2d", path)


def test_a_hint_comes_first(tmp_path: Path) -> None:
    row = {"index": 0, "question": "What?", "hint": "Look.", "A": "cat", "B": "dog", "answer": "A", "image": b64()}
    (item,) = items_of("realworldqa", write_tsv(tmp_path / "a.tsv", [row]))
    assert prompt_of(item) == OPTIONS.replace("Question", "Hint: Look.\nQuestion")


def test_mmbench_asks_every_rotation(tmp_path: Path) -> None:
    row = {"index": 3, "question": "What?", "A": "cat", "B": "dog", "C": "cow", "answer": "B", "category": "c",
           "l2-category": "l", "split": "dev", "image": b64()}  # fmt: skip
    items = items_of("mmbench", write_tsv(tmp_path / "a.tsv", [row]))
    assert [list(item.choices.values()) for item in items] == [
        ["cat", "dog", "cow"],
        ["dog", "cow", "cat"],
        ["cow", "cat", "dog"],
    ]
    assert [item.golds for item in items] == [("B",), ("A",), ("C",)]
    right = {item.id: item.golds[0] for item in items}
    assert judged("mmbench", items, right)["tasks"]["mmbench"]["value"] == 1.0
    tasks = judged("mmbench", items, right | {"3+2": "A"})["tasks"]
    assert (tasks["mmbench"]["value"], tasks["mmbench"]["n"]) == (0.0, 1)  # two of three are not enough
    assert tasks["mmbench"]["ci_high"] == pytest.approx(0.793, abs=1e-3)  # Wilson's for 0 of 1


def test_mmbench_with_its_rotations_in_the_file(tmp_path: Path) -> None:
    first = {"index": 3, "question": "What?", "A": "cat", "B": "dog", "answer": "A", "image": b64("red")}
    turned = {"index": 1_000_003, "question": "What?", "A": "dog", "B": "cat", "answer": "B", "image": "3"}
    other = {"index": 4, "question": "What?", "A": "cat", "B": "dog", "answer": "A", "image": b64()}
    items = items_of("mmbench", write_tsv(tmp_path / "a.tsv", [first, turned, other]))
    assert [(item.id, item.unit) for item in items] == [("3", "3"), ("1000003", "3"), ("4", "4")]
    source = items[1].message().parts[0]
    assert isinstance(source, Image)
    assert isinstance(source.source, bytes)
    assert colour_of(source.source) == "red"
    tasks = judged("mmbench", items, {"3": "A", "1000003": "A", "4": "A"})["tasks"]
    assert (tasks["mmbench"]["value"], tasks["mmbench"]["n"]) == (0.5, 2)


def mmbench_row(index: int, image: str = "red", **fields: Any) -> dict[str, Any]:
    """A row of lmms-lab/MMBench with two options, missing values as that file has them."""
    row = {"index": index, "question": "What?", "hint": "nan", "answer": "B", "A": "cat", "B": "dog", "C": "nan",
           "D": "nan", "category": "c", "image": struct(image), "source": "s", "L2-category": "l", "comment": "nan",
           "split": "dev"}  # fmt: skip
    return row | fields


@pytest.mark.parametrize("missing", ["nan", None, math.nan, ""])
def test_mmbench_parquet_has_only_the_options_that_are_there(missing: object, tmp_path: Path) -> None:
    row = mmbench_row(241, hint=missing, C=missing, D=missing)
    items = items_of("mmbench", write_parquet(tmp_path / "dev.parquet", [row]))
    assert [item.choices for item in items] == [{"A": "cat", "B": "dog"}, {"A": "dog", "B": "cat"}]
    assert [item.golds for item in items] == [("B",), ("A",)]
    assert prompt_of(items[0]) == OPTIONS
    assert {(item.unit, item.group) for item in items} == {("241", "c")}
    with_hint = items_of("mmbench", write_parquet(tmp_path / "h.parquet", [row | {"hint": "Look."}]))
    assert prompt_of(with_hint[0]) == OPTIONS.replace("Question", "Hint: Look.\nQuestion")


def test_mmbench_parquet_with_its_rotations(tmp_path: Path) -> None:
    rows = [mmbench_row(3), mmbench_row(1_000_003, A="dog", B="cat", answer="A")]
    items = items_of("mmbench", write_parquet(tmp_path / "dev.parquet", rows))
    assert [(item.id, item.unit, prompt_of(item)) for item in items] == [
        ("3", "3", OPTIONS),
        ("1000003", "3", OPTIONS.replace("A. cat\nB. dog", "A. dog\nB. cat")),
    ]
    assert judged("mmbench", items, {"3": "B", "1000003": "B"})["tasks"]["mmbench"]["value"] == 0.0


def test_mmbench_parquet_that_hides_its_answers_or_has_no_options(tmp_path: Path) -> None:
    hidden = items_of("mmbench", write_parquet(tmp_path / "test.parquet", [mmbench_row(3, answer="nan")]))
    assert [item.golds for item in hidden] == [(), ()]
    summary = judged("mmbench", hidden, {})["tasks"]["mmbench"]
    assert summary.get("unscored") == 2
    assert format_number(summary, "value") == format_number(summary, "ci_high") == "–"  # nothing is known
    empty = write_parquet(tmp_path / "b.parquet", [mmbench_row(3, A="nan", B="nan")])
    with pytest.raises(RecordError, match=r"question = 'What\?': expected options in columns A, B"):
        items_of("mmbench", empty)


def test_missing_options_and_hints_of_other_benchmarks(tmp_path: Path) -> None:
    row = {"index": 0, "question": "What?", "hint": "nan", "A": "cat", "B": "dog", "C": "nan", "D": None,
           "answer": "B", "image_1": struct()}  # fmt: skip
    path = write_parquet(tmp_path / "a.parquet", [row])
    for name in ("mmstar", "ai2d", "realworldqa", "mmtbench"):
        assert prompt_of(items_of(name, path)[0]) == OPTIONS
    assert prompt_of(items_of("mmmu", path)[0]) == f"<image>\n<image 1> What?\nA. cat\nB. dog\n{SELECT}"
    listed = write_jsonl(tmp_path / "a.jsonl", [{"question": "Which?", "options": ["1", "nan", "inf"], "answer": "B"}])
    (item,) = items_of("ai2d", listed)
    assert item.choices == {"A": "1", "B": "nan", "C": "inf"}  # a list has no gaps


SELECT = "Answer with the option's letter from the given choices directly. " + SHORT[1:] + "\n \n"


def test_mmmu_in_its_formats(tmp_path: Path) -> None:
    question = "In <image 2> and <image 1>, which?"
    tsv = write_tsv(
        tmp_path / "a.tsv",
        [{"index": 0, "id": "validation_Math_1", "question": question, "A": "up", "B": "<image 1>", "answer": "A",
          "category": "Math", "image": str([b64("red"), b64("blue")])}],
    )  # fmt: skip
    parquet = write_parquet(
        tmp_path / "a.parquet",
        [{"id": "validation_Math_1", "question": question, "options": "['up', '<image 1>']", "answer": "A",
          "question_type": "multiple-choice", "image_1": struct("red"), "image_2": struct("blue"), "image_3": None}],
    )  # fmt: skip
    for path in (tsv, parquet):
        (item,) = items_of("mmmu", path)
        assert item.group == "Math"
        # three markers, renumbered in the order in which they stand; "Question:" and "Options:" are gone
        asked = f" In <image 1> and <image 2>, which?\nA. up\nB. <image 3>\n{SELECT}"
        assert prompt_of(item) == f"<image><image><image>\n{asked}"
        shown = [part.source for part in item.message().parts if isinstance(part, Image)]
        assert open_image(shown[0]).size == (96, 48)  # type: ignore[arg-type] -- twice as large
        assert [colour_of(image) for image in shown[1:] if isinstance(image, bytes)] == ["red", "red"]
        assert scores("mmmu", [item], {item.id: "A"}) == {item.id: 1.0}


def test_mmmu_open_question_and_missing_image(tmp_path: Path) -> None:
    rows = [
        {"id": "validation_Math_2", "question": "How many?", "options": "[]", "answer": "['24/7', '3.429']",
         "question_type": "open", "image_1": struct()},
        {"id": "validation_Math_3", "question": "See <image 2>", "options": "['a', 'b']", "answer": "A",
         "question_type": "multiple-choice", "image_1": struct()},
    ]  # fmt: skip
    number, missing = items_of("mmmu", write_parquet(tmp_path / "a.parquet", rows))
    assert prompt_of(number) == "<image>\n<image 1> How many?\n"
    assert scores("mmmu", [number], {number.id: "so x = 3.43"}) == {number.id: 1.0}
    with pytest.raises(RecordError, match=r"row 1: question = .*: expected markers up to <image 1>"):
        missing.message()


def test_mme_sums(tmp_path: Path) -> None:
    def pair(category: str, image: str, answers: tuple[str, str]) -> list[dict[str, Any]]:
        asked = "Is it? Please answer yes or no."
        return [
            {"question_id": f"{category}/{image}.png", "question": asked, "answer": a, "category": category,
             "image": struct()}
            for a in answers
        ]  # fmt: skip

    rows = pair("existence", "1", ("Yes", "No")) + pair("existence", "2", ("Yes", "No"))
    rows += pair("code_reasoning", "1", ("Yes", "No"))
    items = items_of("mme", write_parquet(tmp_path / "a.parquet", rows))
    assert [item.id for item in items[:2]] == ["existence/1.png", "existence/1.png#2"]  # the file numbers its images
    assert prompt_of(items[0]) == "<image>\nIs it? Please answer yes or no."
    said = dict(zip([item.id for item in items], ["Yes", "no.", "Yes", "yes", "No", "yes"], strict=True))
    tasks = judged("mme", items, said)["tasks"]
    assert tasks["mme: existence"]["value"] == pytest.approx(100 * (3 / 4 + 1 / 2))
    assert tasks["mme: code_reasoning"]["value"] == 0.0
    assert tasks["mme: perception"]["value"] == tasks["mme"]["value"] == pytest.approx(125.0)
    assert tasks["mme: cognition"]["value"] == 0.0
    assert (tasks["mme"].get("scale"), tasks["mme: perception"].get("scale")) == (400.0, 200.0)
    assert tasks["mme"]["ci_low"] <= 125.0 <= tasks["mme"]["ci_high"]


def test_mme_tsv_pairs_by_path_or_picture(tmp_path: Path) -> None:
    rows = [
        {"index": 0, "category": "count", "question": "q", "answer": "Yes", "image": b64("red"), "image_path": "1.jpg"},
        {"index": 1, "category": "count", "question": "q", "answer": "No", "image": "0", "image_path": "1.jpg"},
        {"index": 2, "category": "count", "question": "q", "answer": "No", "image": b64("blue"), "image_path": "2.jpg"},
    ]
    items = items_of("mme", write_tsv(tmp_path / "a.tsv", rows))
    assert items[0].unit == items[1].unit != items[2].unit
    rows[1]["answer"] = "perhaps"
    with pytest.raises(RecordError, match=r"a\.tsv:3: answer = 'perhaps': expected Yes or No"):
        items_of("mme", write_tsv(tmp_path / "a.tsv", rows))


def test_mathvista_in_its_formats(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").write_bytes(png())
    query = "Hint: Provide the correct option letter.\nQuestion: Which?\nChoices:\n(A) Yes\n(B) No"
    parquet = write_parquet(
        tmp_path / "a.parquet",
        [{"pid": "1", "question": "Which?", "image": "images/1.jpg", "decoded_image": struct("red"),
          "choices": ["Yes", "No"], "precision": None, "answer": "No", "question_type": "multi_choice",
          "answer_type": "text", "metadata": {"task": "geometry", "skills": ["x"]}, "query": query},
         {"pid": "2", "question": "How far?", "image": "images/1.jpg", "decoded_image": struct("red"), "choices": None,
          "precision": 1.0, "answer": "1.2", "question_type": "free_form", "answer_type": "float",
          "metadata": {"task": "vqa", "skills": ["x"]}, "query": "Hint\nQuestion: How far?"}],
    )  # fmt: skip
    tsv = write_tsv(
        tmp_path / "a.tsv",
        [{"index": 1, "question": query, "image": b64("red"), "choices": "['Yes', 'No']", "answer": "No",
          "answer_option": "B", "question_type": "multi_choice", "answer_type": "text", "task": "geometry"},
         {"index": 2, "question": "Hint\nQuestion: How far?", "image": b64("red"), "answer": "1.2",
          "question_type": "free_form", "answer_type": "float", "task": "vqa"}],
    )  # fmt: skip
    for path in (parquet, tsv):
        choice, number = items_of("mathvista", path)
        assert (choice.group, number.group) == ("geometry", "vqa")
        assert prompt_of(choice) == f"<image>\n{query}"
        assert scores("mathvista", [choice, number], {"1": "(B)", "2": "about 1.24"}) == {"1": 1.0, "2": 1.0}
        assert scores("mathvista", [choice, number], {"1": "Yes", "2": "1.26"}) == {"1": 0.0, "2": 0.0}


def test_refcoco_in_its_formats(tmp_path: Path) -> None:
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco" / "1.png").write_bytes(png())
    gold = Box(10.0, 4.0, 30.0, 20.0)
    asked = "Please provide the bounding box coordinate of the region this sentence describes: <ref>the cat</ref>"
    paths = [
        write_parquet(tmp_path / "lmms.parquet", [
            {"question_id": "q", "image": struct(), "question": "Describe the region.", "answer": ["the cat", "a pet"],
             "segmentation": [1.0], "bbox": [10.0, 4.0, 20.0, 16.0], "iscrowd": 0, "file_name": "x.jpg"}]),
        write_jsonl(tmp_path / "qwen.jsonl", [
            {"image": "coco/1.png", "sent": "the cat", "bbox": [10, 4, 30, 20], "height": 24, "width": 48}]),
        write_tsv(tmp_path / "vlmevalkit.tsv", [
            {"index": 0, "image": b64(), "question": asked, "answer": "[10, 4, 30, 20]", "width": 48, "height": 24,
             "split": "RefCOCO_val"},
            {"index": 1, "image": b64(), "question": asked, "answer": f"[{10 / 48}, {4 / 24}, {30 / 48}, {20 / 24}]",
             "width": 48, "height": 24, "split": "RefCOCO_testA"}]),
    ]  # fmt: skip
    for path, count in zip(paths, (2, 1, 2), strict=True):
        items = items_of("refcoco", path)
        assert len(items) == count
        for item in items:
            (region,) = item.golds
            assert isinstance(region, Region)
            assert tuple(region.box) == pytest.approx(tuple(gold))
        assert prompt_of(items[0]) == "<image>\nLocate <ref>the cat</ref> in the given image."
        first = items[0].id
        assert scores("refcoco", items[:1], {first: [(10, 4, 30, 20)]}) == {first: 1.0}
        assert scores("refcoco", items[:1], {first: [(0, 0, 9, 9), (10, 4, 30, 20)]}) == {
            first: 0.0
        }  # the first counts
        assert scores("refcoco", items[:1], {}) == {first: 0.0}
    bad = write_jsonl(tmp_path / "bad.jsonl", [{"image": "coco/1.png", "sent": "x", "bbox": [10, 4, 10, 20]}])
    with pytest.raises(RecordError, match=r"bad\.jsonl:1: bbox = .*: expected a box with a width"):
        items_of("refcoco", bad)


def test_one_split_of_a_file(tmp_path: Path) -> None:
    rows = [
        {"index": n, "question": "q", "answer": "a", "image": b64(), "split": s} for n, s in enumerate(["dev", "val"])
    ]
    data = Rows(write_tsv(tmp_path / "a.tsv", rows))
    assert [item.id for item in read_items(find_benchmark("docvqa"), data, "val")] == ["1"]
    with pytest.raises(ValueError, match="--split 'test': no row has it; rows have dev, val"):
        read_items(find_benchmark("docvqa"), data, "test")


def test_a_missing_question_names_file_row_and_field(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "a.tsv", [{"index": 0, "image": b64(), "answer": "x"}])
    reads: list[Callable[[], object]] = [lambda name=name: items_of(name, path) for name in ("docvqa", "mme", "mmmu")]
    for read in reads:
        with pytest.raises(
            RecordError, match=r"a\.tsv:2: question.* is missing; fields with a value are index, answer"
        ):
            read()
    with pytest.raises(ValueError, match="benchmark 'doc': must be one of docvqa, infovqa"):
        find_benchmark("doc")
