"""Images of training data that are named by URL: downloaded once, safely, and kept.

    URL --SHA-256--> CACHE/ab/abcd...: there already, or vl2.intake.Fetcher (public addresses, limits) --> that file

The trap: what a URL shows may change; a file that is there is never asked for again, so a resume sees the same pixels.
"""

import hashlib
import os
from pathlib import Path

from vl2.files import write_whole
from vl2.intake.errors import IntakeError
from vl2.intake.fetch import Fetcher


def default_folder() -> Path:
    """XDG_CACHE_HOME/vl2/images, or ~/.cache/vl2/images."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vl2" / "images"


class Downloads:
    """(URL, field) to a file; passed to `vl2.data` as `fetch`, and copied into worker processes."""

    def __init__(self, folder: Path | None = None, fetcher: Fetcher | None = None) -> None:
        self._folder, self._fetcher = folder or default_folder(), fetcher

    def __call__(self, url: str, field: str) -> Path:
        """The file with what the URL showed when it was first asked for. Raises IntakeError, OSError."""
        name = hashlib.sha256(url.encode()).hexdigest()
        file = self._folder / name[:2] / name
        if not file.exists():
            content = self._fetch(url, field)
            with write_whole(file) as staging:
                staging.write_bytes(content)
        return file

    def _fetch(self, url: str, field: str) -> bytes:
        fetcher = self._fetcher or Fetcher()  # made where it is needed: certificates do not travel to workers
        try:
            return fetcher.fetch(url, field)
        except IntakeError as error:
            raise IntakeError(error.code, f"{error} ({url[:200]})") from None
