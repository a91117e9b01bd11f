"""Small files in the formats in which benchmarks are handed out: VLMEvalKit's .tsv, Parquet of the hub, JSONL."""

import base64
import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image


def png(colour: str = "white", size: tuple[int, int] = (48, 24)) -> bytes:
    """An encoded picture; longer in base64 than the 64 characters below which a cell is an index."""
    out = io.BytesIO()
    Image.effect_noise(size, 40).convert("RGB").save(out, "PNG")
    picture = Image.open(io.BytesIO(out.getvalue())).convert("RGB")
    picture.putpixel((0, 0), {"white": (255, 255, 255), "red": (255, 0, 0), "blue": (0, 0, 255)}[colour])
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def colour_of(image: bytes) -> str:
    """Which of the pictures it is."""
    pixel = Image.open(io.BytesIO(image)).convert("RGB").getpixel((0, 0))
    return {(255, 255, 255): "white", (255, 0, 0): "red", (0, 0, 255): "blue"}[pixel]  # type: ignore[index]


def b64(colour: str = "white") -> str:
    return base64.b64encode(png(colour)).decode("ascii")


def write_tsv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """As pandas' to_csv(sep="\\t", index=False): quotes where needed, missing values empty."""
    header = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(header)
        writer.writerows([[row.get(name, "") for name in header] for row in rows])
    return path


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Two rows a group, so that reading one row is not reading the file."""
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), path, row_group_size=2)
    return path


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def struct(colour: str = "white") -> dict[str, Any]:
    """An image as Hugging Face's library stores it."""
    return {"bytes": png(colour), "path": f"{colour}.png"}
