"""Let Tesseract and RapidOCR read what Nano is measured on, and keep what they made of it.

python scripts/peers.py FOLDER [--records 100]

groups of nano_records.py, FOLDER/samples of fetch_samples.py --> Tesseract, RapidOCR --> FOLDER/peers/*.jsonl (texts)
                                                                               --> docs/nano/peers.json (counts)

On a CPU, once: `measure_nano.py` compares Nano with the counts as long as the pictures are the same. RapidOCR is
installed for this script only (`pip install 'vl2[peers]'`), as is Tesseract with eng and chi_sim.

The trap: programs have settings. Both are told whether a picture is a line or a page, and Tesseract its language, since
it reads only what it is told.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from nano_records import GROUPS, PEERS_FILE, PICTURES, Group, digest, make_group, slug

from vl2.data.records import Record, read_records
from vl2.eval.reading import Reading, compare_reading, total
from vl2.eval.runner import answer_each
from vl2.eval.tesseract import TesseractAnswerer
from vl2.files import write_whole
from vl2.processing.images import open_image

_LINE, _PAGE = "7", "3"  # Tesseract's page segmentation modes

Reader = Callable[[Record], str]


@dataclass(frozen=True)
class Texts:
    """Pictures that are read together; is_line: each shows one line."""

    name: str
    records: Path
    is_line: bool
    is_chinese: bool


def tesseract(texts: Texts) -> Reader:
    """The real program on one thread."""
    language = "chi_sim" if texts.is_chinese else "eng"
    answerer = TesseractAnswerer(language=language, mode=_LINE if texts.is_line else _PAGE)

    def read(record: Record) -> str:
        found = answer_each(answerer.answer, [record])[0]
        return "" if isinstance(found, ValueError) else found.text

    return read


def rapidocr(texts: Texts) -> Reader:
    """PP-OCR's models as the package brings them, on one thread."""
    engine = _rapidocr_engine()

    def read(record: Record) -> str:
        pixels = np.asarray(open_image(record.images[0]))
        found = engine(pixels)
        if not found.txts and texts.is_line:  # a line that fills its picture is not always detected
            found = engine(pixels, use_det=False, use_cls=False)
        lines: Sequence[str] = found.txts or ()
        if texts.is_line and found.txts and getattr(found, "boxes", None) is not None:
            lines = [text for _, text in sorted(zip(found.boxes[:, :, 0].min(1).tolist(), lines, strict=True))]
        return (" " if texts.is_line else "\n").join(lines)

    return read


def _rapidocr_engine() -> Any:
    from rapidocr import RapidOCR

    threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
    return RapidOCR(params={**threads, "Global.log_level": "error"})


PEERS: dict[str, Callable[[Texts], Reader]] = {"tesseract": tesseract, "rapidocr": rapidocr}


def read_all(texts: Texts, peer: str, out: Path, number: int) -> dict[str, Any]:
    """What a peer reads of the first `number` pictures, as counts; texts that are in `out` are not read again."""
    done: dict[str, dict[str, Any]] = {}
    if out.exists():
        done = {line["id"]: line for line in map(json.loads, out.read_text("utf-8").splitlines())}
    read: Reader | None = None
    out.parent.mkdir(parents=True, exist_ok=True)
    readings: list[Reading] = []
    seconds = 0.0
    with out.open("a", encoding="utf-8") as log:
        for record in islice(read_records(texts.records), number):
            if record.id not in done:
                read = read or PEERS[peer](texts)
                began = time.perf_counter()
                text = read(record)
                line = {"id": record.id, "text": text, "seconds": round(time.perf_counter() - began, 3)}
                log.write(json.dumps(line, ensure_ascii=False) + "\n")
                log.flush()
                done[record.id] = line
            seconds += done[record.id]["seconds"]
            readings.append(compare_reading(done[record.id]["text"], str(record.answers[0])))
    whole = total(readings)
    print(f"{texts.name}, {peer}: CER {whole.cer:.2%}, word F1 {whole.word_f1:.3f}, {seconds:.1f} s", flush=True)
    return {
        "seconds": round(seconds, 1),
        "readings": [[r.edits, r.length, r.shared, r.said, r.meant] for r in readings],
    }


def texts_of_group(folder: Path, group: Group) -> Texts:
    """A group's pictures, drawn if they are not there yet."""
    return Texts(group.name, make_group(folder, group), group.is_line, group.is_chinese)


def texts_of_samples(folder: Path) -> list[Texts]:
    """What fetch_samples.py wrote: one file of lines, one of pages and so on."""
    return [
        Texts(f"samples, {path.stem}", path, "line" in path.stem, "zh" in path.stem)
        for path in sorted(folder.glob("*.jsonl"))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--records", type=int, default=PICTURES, help="of a group, at least; more if they were read before"
    )
    arguments = parser.parse_args()
    every = [texts_of_group(arguments.folder, group) for group in GROUPS]
    every += texts_of_samples(arguments.folder / "samples")
    found: dict[str, Any] = {
        "tesseract": TesseractAnswerer().version,
        "rapidocr": f"rapidocr {version('rapidocr')} (onnxruntime {version('onnxruntime')})",
        "columns": ["edits", "length", "words shared", "words said", "words meant"],
        "groups": {},
    }
    for texts in every:
        logs = {peer: arguments.folder / "peers" / f"{peer}-{slug(texts.name)}.jsonl" for peer in PEERS}
        there = [len(path.read_bytes().splitlines()) if path.exists() else 0 for path in logs.values()]
        number = max(arguments.records, min(there))
        rows = {peer: read_all(texts, peer, path, number) for peer, path in logs.items()}
        found["groups"][texts.name] = {"sha256": digest(texts.records, number), **rows}
        with write_whole(PEERS_FILE) as staging:  # after every group, so that a stop loses little
            staging.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
