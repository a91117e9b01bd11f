"""Files of examples, with every example reachable by its number.

    .jsonl    offsets of its lines                      row(n): seek, read a line
    .json     offsets of the elements of one list       row(n): seek, read an element
    .tar      offsets of members, grouped by key        row(n): seek, read the members of a sample
    .parquet  number of rows of every row group         row(n): the row group that holds it
    datasets: what Hugging Face's library opens         row(n): hf_datasets.py

What a file is shows in its first bytes, whatever its name. Files are opened for every read, so a container holds
numbers only and travels to worker processes.

The trap: random access into Parquet reads a whole row group; for that reason Hugging Face writes images in groups of
100.
"""

import json
import tarfile
from array import array
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

from vl2.data.hf_datasets import DatasetError, HfDataset, is_dataset
from vl2.data.records import RecordError, parse_json
from vl2.data.shapes import FIELDS, Row

_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}
_IMAGE_ENDINGS = frozenset(("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "ppm", "jp2", "avif"))
_BOM = b"\xef\xbb\xbf"


class DataError(ValueError):
    """A file that cannot be used at all, whichever of its records are good."""


class Container(Protocol):
    """Examples of one file."""

    def __len__(self) -> int: ...

    def where(self, number: int) -> str:
        """Where an example stands, for messages: file and line."""
        ...

    def row(self, number: int) -> Row:
        """An example. Raises RecordError, which does not say where."""
        ...


def open_container(path: Path, *, all_columns: bool = False) -> Container:
    """The examples of a file; of Parquet those columns that training knows, or all. Raises DataError."""
    if is_dataset(path):
        try:
            return HfDataset(str(path))
        except DatasetError as error:
            raise DataError(str(error)) from None
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            raise DataError(f"{path}: compressed with {name}; unpack it, records are read in random order")
    try:
        if start.startswith(b"PAR1"):
            return Parquet(path, all_columns)
        if start[257:262] == b"ustar":
            return Tar(path)
        is_list = start.removeprefix(_BOM).lstrip().startswith(b"[")
        return JsonList(path) if is_list else JsonLines(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def _read_at(path: Path, offset: int, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise RecordError(f"cannot be read ({error})", "unreadable file") from error


class JsonLines:
    """One JSON object a line; blank lines are skipped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets, self._sizes, self._lines = array("q"), array("q"), array("q")
        offset = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                skipped = len(_BOM) if number == 1 and line.startswith(_BOM) else 0
                if line[skipped:].strip():
                    self._offsets.append(offset + skipped)
                    self._sizes.append(len(line) - skipped)
                    self._lines.append(number)
                offset += len(line)

    def __len__(self) -> int:
        return len(self._offsets)

    def where(self, number: int) -> str:
        return f"{self._path}:{self._lines[number]}"

    def row(self, number: int) -> Row:
        return Row(parse_json(_read_at(self._path, self._offsets[number], self._sizes[number])))


class JsonList(JsonLines):
    """One JSON list of objects, as LLaVA's own files; a line number is where an object begins."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets, self._sizes, self._lines = array("q"), array("q"), array("q")
        encoded = path.read_bytes()
        start = len(_BOM) if encoded.startswith(_BOM) else 0
        try:
            text = encoded[start:].decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 at byte {start + error.start}") from error
        del encoded
        self._index(text, start)

    def _index(self, text: str, offset: int) -> None:
        """Walks through the list; characters are counted in bytes, since files are read by byte."""
        decoder = json.JSONDecoder()
        cursor, seen, line = text.index("[") + 1, 0, 1
        while True:
            cursor = _skip_space(text, cursor)
            if text[cursor : cursor + 1] == "]":
                break
            try:
                _, end = decoder.raw_decode(text, cursor)
                after = _skip_space(text, end)
                if text[after : after + 1] not in (",", "]"):
                    raise ValueError(f"expected , or ] after the object, found {text[after : after + 1]!r}")
            except (ValueError, RecursionError) as error:
                broken = text.count("\n", 0, cursor) + 1
                raise DataError(f"{self._path}:{broken}: not JSON in the object that begins here ({error})") from None
            line += text.count("\n", seen, cursor)
            offset += len(text[seen:cursor].encode())
            self._offsets.append(offset)
            self._sizes.append(len(text[cursor:end].encode()))
            self._lines.append(line)
            seen, cursor = cursor, after + (text[after] == ",")
        if rest := text[cursor + 1 :].strip():
            raise DataError(
                f"{self._path}: {rest[:20]!r} stands after the list; a file is one list or one object a line"
            )


def _skip_space(text: str, cursor: int) -> int:
    while text[cursor : cursor + 1] in (" ", "\t", "\r", "\n"):
        cursor += 1
    return cursor


class Tar:
    """A WebDataset shard: members that share the name up to its first dot are one sample."""

    def __init__(self, path: Path) -> None:
        self._path = path
        samples: dict[str, list[tuple[str, int, int]]] = {}
        try:
            with tarfile.open(path, "r:") as archive:
                for member in archive:
                    folder, slash, short = member.name.rpartition("/")
                    if not member.isreg() or member.issparse() or short.startswith("."):
                        continue
                    key = folder + slash + short.partition(".")[0]
                    samples.setdefault(key, []).append((member.name, member.offset_data, member.size))
        except tarfile.TarError as error:
            raise DataError(f"{path}: damaged .tar file ({error})") from error
        self._keys, self._samples = list(samples), list(samples.values())

    def __len__(self) -> int:
        return len(self._keys)

    def where(self, number: int) -> str:
        return f"{self._path}: sample {self._keys[number]!r}"

    def row(self, number: int) -> Row:
        values: Any = {}
        images: list[tuple[str, bytes]] = []
        text = None
        for name, offset, size in self._samples[number]:
            kind = name.rpartition(".")[2].lower()
            if kind in _IMAGE_ENDINGS:
                images.append((name, _read_at(self._path, offset, size)))
            elif kind == "json":
                values = parse_json(_read_at(self._path, offset, size))
            elif kind == "txt":
                try:
                    text = _read_at(self._path, offset, size).decode("utf-8")
                except UnicodeDecodeError as error:
                    raise RecordError(f"{name}: not UTF-8 at byte {error.start}") from error
        return Row(values, tuple(images), text)


class Parquet:
    """Rows of a Parquet file; of its columns those that a shape knows, or all of them."""

    def __init__(self, path: Path, all_columns: bool = False) -> None:
        self._path = path
        try:
            from pyarrow import ArrowException
            from pyarrow.parquet import ParquetFile
        except ImportError:
            raise DataError(f"{path}: reading Parquet needs pyarrow; pip install 'vl2[data]'") from None
        try:
            with ParquetFile(path) as file:
                metadata = file.metadata
                sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
                self._columns = tuple(n for n in file.schema_arrow.names if all_columns or n in FIELDS)
        except ArrowException as error:
            raise DataError(f"{path}: damaged Parquet file ({error})") from error
        self._ends = list(accumulate(sizes))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def where(self, number: int) -> str:
        return f"{self._path}: row {number}"

    def row(self, number: int) -> Row:
        group = bisect_right(self._ends, number)
        first = self._ends[group - 1] if group else 0
        try:
            table = _row_group(self._path, group, self._columns)
            return Row(table.slice(number - first, 1).to_pylist()[0])
        except UnicodeDecodeError as error:
            raise RecordError(f"not UTF-8 at byte {error.start} of a text") from error


@lru_cache(maxsize=1)  # records are checked in order, which should read each group once
def _row_group(path: Path, group: int, columns: tuple[str, ...]) -> Any:
    """One row group as a table. Raises RecordError."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            return file.read_row_group(group, columns=list(columns), use_threads=False)  # workers are processes
    except (OSError, ArrowException) as error:
        raise RecordError(f"cannot be read ({error})", "unreadable file") from error
