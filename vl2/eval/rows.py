"""Benchmark files as people have them: rows whose fields are checked, and whose images are read when they are needed.

    .tsv of VLMEvalKit             image: base64, a list of these, or the index of the row that has it; image_path
    .parquet of Hugging Face       image: {"bytes", "path"}, image_1 ... image_7, decoded_image
    .jsonl, .json (a list)         image: a path beside the file, or a data: URL
    a folder of such files         one after the other, by name

The trap: a file of 5,000 pages is gigabytes of images. A first pass reads every row for its texts and forgets the
images; `Row.images` reads that row again.
"""

import ast
import base64
import binascii
import csv
import hashlib
import io
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vl2.data.containers import Container, DataError, open_container
from vl2.data.image_references import locate
from vl2.data.records import RecordError, shown
from vl2.data.shapes import Row as Raw

_SUFFIXES = (".tsv", ".parquet", ".jsonl", ".json")
_IMAGE_FIELDS = ("decoded_image", "image", "images", *(f"image_{i}" for i in range(1, 8)), "image_path")
_LONGEST_INDEX = 64  # VLMEvalKit's rule: a shorter cell is no image but the index of the row that has it
_MAX_CELL = 1 << 28


class TabSeparated:
    """Rows of a .tsv file as pandas writes it: a header, quotes around cells that hold tabs, quotes or line ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offsets, self._sizes, self._lines = array("q"), array("q"), array("q")
        self.by_index: dict[str, int] = {}  # row numbers, for cells that name another row instead of holding an image
        csv.field_size_limit(_MAX_CELL)
        consumed = [0, 0]  # bytes, lines

        def lines(file: io.BufferedReader) -> Iterator[str]:
            for line in file:
                consumed[0] += len(line)
                consumed[1] += 1
                yield line.decode("utf-8-sig" if consumed[1] == 1 else "utf-8")

        with path.open("rb") as file:
            reader = csv.reader(lines(file), delimiter="\t")
            try:
                self.header = next(reader, [])
                start, line = consumed
                for cells in reader:
                    if cells:
                        if "index" in self.header[: len(cells)]:
                            self.by_index[cells[self.header.index("index")]] = len(self)
                        self._offsets.append(start)
                        self._sizes.append(consumed[0] - start)
                        self._lines.append(line + 1)
                    start, line = consumed
            except (UnicodeDecodeError, csv.Error) as error:
                raise DataError(f"{path}:{consumed[1]}: not a .tsv file in UTF-8 ({error})") from None
        if len(set(self.header)) < max(len(self.header), 2):
            raise DataError(f"{path}: header {shown(self.header)}; expected at least two columns, each of them once")

    def __len__(self) -> int:
        return len(self._offsets)

    def where(self, number: int) -> str:
        return f"{self.path}:{self._lines[number]}"

    def row(self, number: int) -> Raw:
        with self.path.open("rb") as file:
            file.seek(self._offsets[number])
            text = file.read(self._sizes[number]).decode("utf-8")
        (cells,) = csv.reader(io.StringIO(text, newline=""), delimiter="\t")
        if len(cells) != len(self.header):
            raise RecordError(f"{len(cells)} cells, but the header has {len(self.header)}")
        return Raw(dict(zip(self.header, cells, strict=True)))


class Rows:
    """All rows of a file or of a folder of files."""

    def __init__(self, path: Path) -> None:
        self.paths = sorted(p for p in path.iterdir() if p.suffix in _SUFFIXES) if path.is_dir() else [path]
        if not self.paths:
            raise DataError(f"{path}: holds no file that ends in {', '.join(_SUFFIXES)}")
        self._files: list[Container] = []
        for file in self.paths:
            try:
                tabs = file.suffix == ".tsv"
                self._files.append(TabSeparated(file) if tabs else open_container(file, all_columns=True))
            except OSError as error:
                raise DataError(f"{file}: cannot be read ({error.strerror or error})") from error
        if not any(map(len, self._files)):
            raise DataError(f"{path}: no rows")

    def __iter__(self) -> Iterator["Row"]:
        for path, file in zip(self.paths, self._files, strict=True):
            for number in range(len(file)):
                yield Row(file, path, number)

    def digest(self) -> str:
        """sha256 of the bytes of all files, one after the other; images that they name by path are not in it."""
        digest = hashlib.sha256()
        for path in self.paths:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()


@dataclass(frozen=True)
class Row:
    """One row. Fields are read through methods that raise RecordError naming file, row and field."""

    container: Container
    path: Path
    number: int

    @cached_property
    def fields(self) -> dict[str, Any]:
        """What is given: no empty cells, no nulls, no images."""
        return {k: v for k, v in self._read().items() if k not in _IMAGE_FIELDS and _given(v)}

    def _read(self) -> Mapping[str, Any]:
        try:
            values = self.container.row(self.number).values
        except RecordError as error:
            raise RecordError(f"{self.where}: {error}", error.reason) from None
        if not isinstance(values, Mapping):
            raise RecordError(f"{self.where}: expected an object, got {type(values).__name__}")
        return values

    @property
    def where(self) -> str:
        return self.container.where(self.number)

    def wrong(self, field: str, expected: str) -> RecordError:
        """The error for a field."""
        return RecordError(f"{self.where}: {field} = {shown(self.fields.get(field))}: expected {expected}")

    def name_of(self, *names: str) -> str | None:
        """The first of these fields that is given."""
        return next((name for name in names if name in self.fields), None)

    def text(self, *names: str, default: str | None = None) -> str:
        """The first of these fields that is given, as text."""
        name = self.name_of(*names)
        if name is None:
            if default is not None:
                return default
            have = ", ".join(self.fields) or "none"
            raise RecordError(f"{self.where}: {' or '.join(names)} is missing; fields with a value are {have}")
        value = self.fields[name]
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return str(value)
        raise self.wrong(name, "a text")

    def texts(self, *names: str) -> tuple[str, ...]:
        """A list of texts, also one written as a list inside a text; a single text is a list of one; none is none."""
        name = self.name_of(*names)
        if name is None:
            return ()
        value = _written_list(self.fields[name])
        values = value if isinstance(value, list | tuple) else [value]
        if not all(isinstance(v, str | int | float) and not isinstance(v, bool) for v in values):
            raise self.wrong(name, "a text or a list of texts")
        return tuple(map(str, values))

    def numbers(self, count: int, *names: str) -> tuple[float, ...]:
        """A list of `count` finite numbers."""
        value = _written_list(self.fields.get(self.name_of(*names) or names[0]))
        if isinstance(value, list | tuple) and len(value) == count:
            numbers = [float(v) for v in value if isinstance(v, int | float) and math.isfinite(v)]
            if len(numbers) == count:
                return tuple(numbers)
        raise self.wrong(self.name_of(*names) or names[0], f"a list of {count} numbers")

    @property
    def id(self) -> str:
        """What the file calls it, or its number."""
        return self.text("index", "question_id", "questionId", "pid", "id", default=str(self.number))

    def images(self) -> list[Path | bytes]:
        """Encoded images or paths, in order. Raises RecordError, without any image."""
        values = self._read()
        names = [name for name in _IMAGE_FIELDS if _given(values.get(name))]
        if "decoded_image" in names:
            names = ["decoded_image"]  # `image` beside it is a name inside somebody's archive
        elif "image_path" in names and len(names) > 1:
            names.remove("image_path")
        found = [image for name in names for image in self._cell(name, values[name])]
        if not found:
            raise RecordError(f"{self.where}: no image; expected one of {', '.join(_IMAGE_FIELDS)}")
        return found

    def _cell(self, name: str, value: Any) -> list[Path | bytes]:
        tabs = isinstance(self.container, TabSeparated) and name != "image_path"
        if isinstance(self.container, TabSeparated) and tabs and len(value) <= _LONGEST_INDEX:
            number = self.container.by_index.get(value)
            if number is None or number == self.number:
                raise RecordError(f"{self.where}: {name} = {shown(value)}: neither base64 nor the index of another row")
            other = Row(self.container, self.path, number)
            cell = str(other._read().get(name, ""))
            if len(cell) <= _LONGEST_INDEX:
                raise RecordError(f"{self.where}: {name} = {shown(value)}: row {other.where} has no image itself")
            return other._cell(name, cell)
        cells = _written_list(value) if isinstance(self.container, TabSeparated) else value
        found: list[Path | bytes] = []
        for position, cell in enumerate(cells if isinstance(cells, Sequence) and not _single(cells) else [cells]):
            field = f"{self.where}: {name}[{position}]"
            found.append(_base64(cell, field) if tabs else self._locate(cell, field))
        return found

    def _locate(self, cell: Any, field: str) -> Path | bytes:
        image = locate(cell, field, self.path.parent)
        if isinstance(image, Path) and not image.is_file():
            raise RecordError(f"{field} = {shown(str(cell))}: no such file beside {self.path.name}")
        return image


def _single(value: Any) -> bool:
    return isinstance(value, str | bytes)


def _given(value: Any) -> bool:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return False
    return not (isinstance(value, str) and not value.strip())


def _written_list(value: Any) -> Any:
    """ "['a', 'b']" as the list it spells; everything else as it is."""
    if isinstance(value, str) and value[:1] == "[" and value.rstrip()[-1:] == "]":
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
    return value


def _base64(cell: Any, field: str) -> bytes:
    try:
        return base64.b64decode("".join(str(cell).split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RecordError(f"{field} = {shown(cell)}: not base64 ({error})") from None
