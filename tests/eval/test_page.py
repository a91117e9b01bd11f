"""The page of a run: self-contained, escaped, with pictures and boxes."""

import re
from pathlib import Path

from benchmark_files import png, write_jsonl

from vl2.eval.benchmarks import find_benchmark, read_items
from vl2.eval.page import write_report
from vl2.eval.rows import Rows
from vl2.eval.run import judge


def test_report(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(png())
    bad = "<script>alert(1)</script>"
    rows = [{"id": n, "image": "1.png", "sent": f"cat {n}{bad}", "bbox": [10, 4, 30, 20]} for n in range(3)]
    items = read_items(find_benchmark("refcoco"), Rows(write_jsonl(tmp_path / "r.jsonl", rows)))
    answers = {
        "0": {"id": "0", "text": bad, "seconds": 1.0, "regions": [{"label": "", "box": [30, 4, 12, 20]}]},
        "1": {"id": "1", "text": "", "seconds": 1.0, "error": "the image is damaged"},
        "2": {"id": "2", "text": "", "seconds": 1.0, "regions": [{"label": "", "box": [10, 4, 30, 20]}]},
    }
    results = judge(find_benchmark("refcoco"), items, answers, {"benchmark": "refcoco", "model": "m", "dtype": None})
    write_report(results, items, tmp_path / "report.html", "RefCOCO")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    sources = re.findall(r"(?:src|href|url\()=?[\"']?([^\"'\s)>]+)", page)
    assert sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "http" not in page
    assert page.count('class="gold"') == 3
    assert page.count('class="predicted"') == 2
    assert 'x="12" y="4" width="18" height="16"' in page  # a box turned inside out is drawn all the same
    assert "failed: the image is damaged" in page
    assert "0.333" in page


def test_pictures_that_are_gone(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(png())
    path = write_jsonl(tmp_path / "r.jsonl", [{"id": 0, "image": "1.png", "question": "q", "answer": "a"}])
    items = read_items(find_benchmark("docvqa"), Rows(path))
    results = judge(find_benchmark("docvqa"), items, {"0": {"id": "0", "text": "b", "seconds": 0.0}}, {})
    (tmp_path / "1.png").unlink()
    write_report(results, items, tmp_path / "report.html", "DocVQA")
    assert "no such file beside r.jsonl" in (tmp_path / "report.html").read_text("utf-8")
