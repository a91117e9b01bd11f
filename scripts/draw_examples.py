"""Draw the pictures of examples/ and write examples/records.jsonl with every question about them.

    CHOSEN (name, task, seed, index) --generate, test split--> examples/NAME.png, examples/records.jsonl

All are samples of the test split, so Nano has seen neither their fonts, words and drawings nor their layouts.

    python scripts/draw_examples.py [OUT]
"""

import json
import sys
from pathlib import Path

from vl2.files import write_whole
from vl2.synth.export import question_records
from vl2.synth.registry import generate

CHOSEN = (
    ("receipt", "receipt", 1, 0),
    ("form", "form", 1, 0),
    ("chart", "chart", 1, 0),
    ("scene", "ground", 7, 4),
)


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "examples"
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, task, seed, index in CHOSEN:
        sample = generate(task, seed, index, "test")
        sample.image.save(out / f"{name}.png", optimize=True)
        lines += [json.dumps(record, ensure_ascii=False) for record in question_records(sample, f"{name}.png", name)]
    with write_whole(out / "records.jsonl") as staging:
        staging.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(CHOSEN)} pictures, {len(lines)} questions -> {out}")


if __name__ == "__main__":
    main()
