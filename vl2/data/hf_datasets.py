"""Hugging Face datasets as a source of examples: what `save_to_disk` wrote, or a name on the hub.

    "datasets:DIR", "datasets:NAME", "datasets:NAME:CONFIG#SPLIT" --> rows of Arrow files, read by number

Rows are those of Parquet: columns that a shape knows, images as {"bytes", "path"}, nothing decoded. The trap: without a
split a name means "train"; a directory with several splits needs one.
"""

from pathlib import Path
from typing import Any

from vl2.data.shapes import FIELDS, Row

PREFIX = "datasets:"


class DatasetError(ValueError):
    """A dataset that cannot be opened."""


class HfDataset:
    """Rows of a dataset, which stays where the library keeps it: mapped, not in memory."""

    def __init__(self, source: str) -> None:
        self._source = source
        rows = _open(source.removeprefix(PREFIX))
        self._rows = rows.select_columns([name for name in rows.column_names if name in FIELDS]).with_format("arrow")

    def __len__(self) -> int:
        return len(self._rows)

    def where(self, number: int) -> str:
        return f"{self._source}: row {number}"

    def row(self, number: int) -> Row:
        return Row(self._rows[number : number + 1].to_pylist()[0])


def is_dataset(source: str | Path) -> bool:
    return str(source).startswith(PREFIX)


def folder_of(source: str | Path) -> Path:
    """Where paths of images in a dataset are looked up."""
    path = Path(str(source).removeprefix(PREFIX).partition("#")[0])
    return path if path.is_dir() else Path.cwd()


def _open(name: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise DatasetError(f"{PREFIX}{name}: needs Hugging Face datasets; pip install 'vl2[datasets]'") from error
    place, _, split = name.partition("#")
    try:
        if Path(place).is_dir():
            found = datasets.load_from_disk(place)
        else:
            repository, _, config = place.partition(":")
            found = datasets.load_dataset(repository, config or None, split=split or "train")
    except Exception as error:  # of any kind: it speaks to the network, and reads what others wrote
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{PREFIX}{name}: cannot be opened ({reason})") from error
    if isinstance(found, datasets.DatasetDict):
        if split not in found:
            raise DatasetError(
                f"{PREFIX}{name}: holds splits {', '.join(map(str, found))}; add one, as in {PREFIX}{place}#train"
            )
        return found[split]
    return found
