"""Tesseract as an Answerer, for comparison on the same reading records.

    record --open_image--> PNG on stdin --tesseract--> text on stdout

The trap: Tesseract reads and does nothing else, so only records scored by cer or wer make sense; others are refused.
"""

import io
import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from vl2.data.records import Record
from vl2.eval.metrics import ERROR_RATES
from vl2.eval.runner import Output
from vl2.processing.images import open_image

_SINGLE_LINE, _SINGLE_BLOCK = "7", "6"  # page segmentation modes


class TesseractError(ValueError):
    """Tesseract is missing, refused an image or took too long."""


class TesseractAnswerer:
    """Reads images with the `tesseract` binary, one thread a process.

    Args:
        binary: name or path of the program.
        language: trained data to use, as its `-l`.
        timeout_sec: most time for one image.
        workers: processes at once.
        mode: its `--psm`, such as "3" for a page in several parts; None is a line for task "line", else one block.

    Raises:
        TesseractError: if the program is not installed.
    """

    def __init__(
        self,
        binary: str = "tesseract",
        language: str = "eng",
        timeout_sec: float = 60.0,
        workers: int = 1,
        mode: str | None = None,
    ) -> None:
        path = shutil.which(binary)
        if path is None:
            raise TesseractError(f"{binary}: not found; install it (Debian: tesseract-ocr, macOS: brew tesseract)")
        self._path, self._language, self._timeout_sec, self._workers = path, language, timeout_sec, workers
        self._mode = mode

    @property
    def version(self) -> str:
        """What the program calls itself, such as "tesseract 5.3.0"."""
        run = subprocess.run([self._path, "--version"], capture_output=True, text=True, check=True, timeout=30)
        return (run.stdout or run.stderr).splitlines()[0].strip()

    def answer(self, records: Sequence[Record]) -> list[Output]:
        """The text of each record's only image; task "line" is read as a single line, others as one block."""
        with ThreadPoolExecutor(self._workers) as pool:
            return list(pool.map(self._read, records))

    def _read(self, record: Record) -> Output:
        if record.metric not in ERROR_RATES or len(record.images) != 1:
            raise TesseractError(
                f"{record.id}: metric {record.metric} with {len(record.images)} images: "
                "Tesseract only reads one image in full (cer or wer)"
            )
        png = io.BytesIO()
        open_image(record.images[0]).save(png, format="PNG", compress_level=1)
        mode = self._mode or (_SINGLE_LINE if record.task == "line" else _SINGLE_BLOCK)
        try:
            run = subprocess.run(
                [self._path, "stdin", "stdout", "-l", self._language, "--psm", mode],
                input=png.getvalue(),
                capture_output=True,
                timeout=self._timeout_sec,
                check=False,
                env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            )
        except subprocess.TimeoutExpired as error:
            raise TesseractError(f"{record.id}: tesseract took longer than {self._timeout_sec:g} s") from error
        if run.returncode != 0:
            message = run.stderr.decode("utf-8", "replace").strip().splitlines()
            raise TesseractError(f"{record.id}: tesseract failed: {message[-1] if message else run.returncode}")
        return Output(run.stdout.decode("utf-8", "replace").strip(), finish_reason="stop")
