"""What an example names as its image, as something that `open_image` takes: a path or encoded bytes.

    "a.png", "file:///data/a.png"                        --> path, relative ones beside the file that names them
    "data:image/png;base64,...", bytes, {"bytes", "path"} --> bytes
    a member of a .tar file, by name or by position       --> bytes
    http(s) URLs                                          --> what the caller's `fetch` gives, a kept file

The trap: without `fetch` URLs are refused, since training should not depend on who answers.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from vl2.data.records import RecordError, shown

Fetch = Callable[[str, str], Path]  # (URL, field for messages) to the file that holds it; raises ValueError


def locate(reference: Any, field: str, base: Path, fetch: Fetch | None = None) -> Path | bytes:
    """The image that a reference names. Raises RecordError naming the field."""
    if isinstance(reference, Mapping):  # as Hugging Face datasets write images
        encoded, path = reference.get("bytes"), reference.get("path")
        reference = encoded if encoded is not None else path
    if isinstance(reference, bytes) and reference:
        return reference
    if not isinstance(reference, str) or not reference or "\0" in reference:
        raise RecordError(f"{field} = {shown(reference)}: expected a path, a URL or the bytes of an image")
    scheme = reference[:8].partition(":")[0].lower()
    if scheme == "data":
        return _data_url(reference, field)
    if scheme in ("http", "https"):
        return _download(reference, field, fetch)
    if scheme == "file":
        parts = urlsplit(reference)
        if parts.netloc not in ("", "localhost"):
            raise RecordError(f"{field} = {shown(reference)}: names another machine; copy the file", "refused URL")
        return base / unquote(parts.path)
    return base / reference


def _download(url: str, field: str, fetch: Fetch | None) -> Path:
    if fetch is None:
        rule = "download it first and name the file, or allow it with fetch_images = true in the recipe (--fetch)"
        raise RecordError(f"{field} = {shown(url)}: {rule}", "refused URL")
    try:
        return fetch(url, field)
    except ValueError as error:
        raise RecordError(str(error), "failed download") from None


def _data_url(reference: str, field: str) -> bytes:
    head, comma, body = reference.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise RecordError(f"{field} = {shown(reference)}: expected data:image/...;base64,...", "refused URL")
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RecordError(f"{field} = {shown(reference)}: not base64 ({error})", "refused URL") from None


def locate_members(
    references: Sequence[tuple[Any, str]],
    members: Sequence[tuple[str, bytes]],
    base: Path,
    fetch: Fetch | None = None,
) -> list[Path | bytes]:
    """Images of a sample of a .tar file: those named, or all of them where none is named.

    Names of files that the archive was made from are common in its JSON; where no name is a member's and there are as
    many members, they stand for the members in order.
    """
    if not references:
        return [content for _, content in members]
    found = [_member(reference, members) for reference, _ in references]
    inline = any(isinstance(name, str) and name.lower().startswith("data:") for name, _ in references)
    if not inline and found.count(None) == len(found) == len(members):
        return [content for _, content in members]
    out: list[Path | bytes] = []
    for (reference, field), content in zip(references, found, strict=True):
        if content is None and isinstance(reference, str) and not reference.lower().startswith(("data:", "http")):
            names = ", ".join(name for name, _ in members) or "no image"
            raise RecordError(f"{field} = {shown(reference)}: the sample holds {names}", "missing image")
        out.append(locate(reference, field, base, fetch) if content is None else content)
    return out


def _member(reference: Any, members: Sequence[tuple[str, bytes]]) -> bytes | None:
    """By full name, by name without folders, or by what follows the sample's key ("jpg", "0.png")."""
    for name, content in members:
        short = name.rpartition("/")[2]
        if reference in (name, short, short.partition(".")[2]):
            return content
    return None
