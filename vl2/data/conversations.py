"""Conversations for training, from files as they lie: a file or a glob of shards, any container, any shape.

    "shards/*.tar" --sorted--> files --open_container, recognise--> rows --to_messages--> conversations[n]
                                  `--check_file: every record once--> Report, numbers of the good ones

Which record has which number depends on the files alone, so a draw of the mixture is repeated exactly by a resume.

The trap: one file holds one shape. A record of another is not skipped as a bad one; it ends the reading.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from glob import glob
from itertools import accumulate
from pathlib import Path

import numpy as np

from vl2.data.containers import DataError, open_container
from vl2.data.hf_datasets import folder_of, is_dataset
from vl2.data.image_references import Fetch, locate, locate_members
from vl2.data.records import RecordError
from vl2.data.shapes import RECORDS, ImageSource, Row, recognise, to_messages
from vl2.processing.images import ImageError, check_image
from vl2.processing.messages import Image, Message

MAX_SHOWN = 10  # bad records that a report spells out
_LOOKED_AT = 100  # records at the beginning of a file, of which one must have a known shape

Progress = Callable[[int, int], None]


def find_files(pattern: str | Path) -> list[Path]:
    """The file of that name, or those that a glob matches, sorted. Raises DataError if there is none."""
    path = Path(pattern)
    if path.is_file() or is_dataset(pattern):
        return [path]
    found = sorted(Path(name) for name in glob(str(pattern), recursive=True) if Path(name).is_file())
    if not found:
        raise DataError(f"{pattern}: no such file, and no file matches it as a pattern")
    return found


class ConversationFile:
    """One file of examples of one shape.

    Args:
        fetch: what downloads images named by http(s) URLs, which are refused without it.

    shape: its name, from the first record that has one; empty for a file without records.
    """

    def __init__(self, path: Path, fetch: Fetch | None = None) -> None:
        self.path, self._container, self._fetch = path, open_container(path), fetch
        self.shape = self._recognise() if len(self._container) else ""

    def __len__(self) -> int:
        return len(self._container)

    def _recognise(self) -> str:
        problem: str | None = None
        for number in range(min(len(self), _LOOKED_AT)):
            try:
                if shape := recognise(self._container.row(number)):
                    return shape
                error = "no fields of a known format"
            except RecordError as found:
                error = str(found)
            problem = problem or f"{self._container.where(number)}: {error}"
        raise DataError(
            f"{problem}; expected one object a line, a list, rows or samples with conversations (LLaVA), messages, or "
            "the fields of records"
        )

    def where(self, number: int) -> str:
        """File, place and format, for messages."""
        return f"{self._container.where(number)} ({self.shape})"

    def row(self, number: int) -> Row:
        """An example as it lies there. Raises RecordError, DataError."""
        with self._located(number):
            row = self._container.row(number)
        found = recognise(row)
        if found and found != self.shape:
            raise DataError(f"{self.where(number)}: a record of format {found}; a file must hold one format")
        return row

    def messages(self, number: int, row: Row | None = None) -> list[Message]:
        """The conversation of an example. Raises RecordError, DataError."""
        row = row or self.row(number)
        base = folder_of(self.path) if is_dataset(self.path) else self.path.parent

        def find(references: Sequence[tuple[object, str]]) -> list[ImageSource]:
            if row.images is not None:
                return locate_members(references, row.images, base, self._fetch)
            return [locate(reference, name, base, self._fetch) for reference, name in references]

        with self._located(number):
            return to_messages(row, self.shape, base, find)

    @contextmanager
    def _located(self, number: int) -> Iterator[None]:
        try:
            yield
        except RecordError as error:
            raise RecordError(f"{self.where(number)}: {error}", error.reason) from None


@dataclass
class Report:
    """What a check of a file found.

    records, images, answers: of the good records; bad: the others.
    reasons: how many are bad why; first: the first of them in words.
    """

    path: Path
    shape: str
    records: int = 0
    images: int = 0
    answers: int = 0
    bad: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)

    def add(self, error: RecordError) -> None:
        self.bad += 1
        self.reasons[error.reason] += 1
        if len(self.first) < MAX_SHOWN:
            self.first.append(str(error))

    def lines(self) -> list[str]:
        """The report in words: a line of counts, then bad records by reason and the first of them."""
        counts = f"{self.records} records, {self.images} images, {self.answers} answers, {self.bad} bad"
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.reasons.most_common())
        format_name = f" ({self.shape})" if self.shape else ""
        return [f"{self.path}{format_name}: {counts}{': ' + reasons if reasons else ''}", *self.first]


def check_file(file: ConversationFile, progress: Progress | None = None) -> tuple[Report, np.ndarray]:
    """Every record once: structure, roles, marks, and the header of every image. Returns also the good ones' numbers.

    Raises: DataError.
    """
    report, good = Report(file.path, file.shape), []
    seen: dict[str, int] = {}  # ids of records, which results are found by
    known: set[Path] = set()  # images that were looked at: many records may share one
    for number in range(len(file)):
        try:
            row = file.row(number)
            messages = file.messages(number, row)
            if file.shape == RECORDS and (first := seen.setdefault(row.values["id"], number)) != number:
                text = f"{file.where(number)}: id {row.values['id']!r} is also that of {file.where(first)}"
                raise RecordError(text, "repeated id")
            images = [part.source for message in messages for part in message.parts if isinstance(part, Image)]
            for position, source in enumerate(images):
                _check_source(source, f"{file.where(number)}: image {position}", known)
        except RecordError as error:
            report.add(error)
        else:
            good.append(number)
            report.images += len(images)
            report.answers += sum(message.role == "assistant" for message in messages)
        if progress:
            progress(number + 1, len(file))
    report.records = len(good)
    return report, np.asarray(good, dtype=np.int64)


def _check_source(source: object, where: str, known: set[Path]) -> None:
    assert isinstance(source, Path | bytes)
    if source in known:
        return
    try:
        check_image(source)
    except ImageError as error:
        missing = isinstance(source, Path) and not source.exists()
        raise RecordError(f"{where}: {error}", "missing image" if missing else "unreadable image") from None
    if isinstance(source, Path):
        known.add(source)


class Conversations(Sequence[list[Message]]):
    """The good records of some files, by number. Images are read when a conversation is asked for or rendered."""

    def __init__(self, checked: Sequence[tuple[ConversationFile, np.ndarray]]) -> None:
        self._checked = tuple(checked)
        self._ends = list(accumulate(len(good) for _, good in checked))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _find(self, index: int) -> tuple[ConversationFile, int]:
        place = bisect_right(self._ends, index)
        file, good = self._checked[place]
        return file, int(good[index - (self._ends[place - 1] if place else 0)])

    def __getitem__(self, index: int) -> list[Message]:  # type: ignore[override]  # slices are not needed
        file, number = self._find(index)
        return file.messages(number)

    def where(self, index: int) -> str:
        """File, place and format of a conversation, for messages."""
        file, number = self._find(index)
        return file.where(number)


def read_conversations(
    pattern: str | Path, max_bad: int = 0, fetch: Fetch | None = None
) -> tuple[Conversations, list[Report]]:
    """Check all records of a file or of a glob of shards, and make the good ones available.

    Args:
        max_bad: bad records that are left out; more of them are an error that lists the first.
        fetch: as for ConversationFile.

    Raises: DataError.
    """
    files = [ConversationFile(path, fetch) for path in find_files(pattern)]
    checked = [(file, check_file(file)) for file in files]
    reports = [report for _, (report, _) in checked]
    if sum(report.bad for report in reports) > max_bad:
        raise DataError(_refusal(reports, max_bad))
    return Conversations([(file, good) for file, (_, good) in checked]), [report for report in reports if report.bad]


def _refusal(reports: Sequence[Report], max_bad: int) -> str:
    bad = sum(report.bad for report in reports)
    first = [line for report in reports for line in report.first][:MAX_SHOWN]
    reasons = sum((report.reasons for report in reports), Counter[str]())
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    names = "record is" if bad == 1 else "records are"
    return f"{bad} {names} bad ({counts}), max_bad_records = {max_bad}: {'; '.join(first)}"
