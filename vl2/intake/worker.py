"""The process in which one untrusted file after the other is decoded; `DecoderPool` starts it.

standard input is a socket:  READY ->   <- REQUEST, canvases, file   RESPONSE, pixels ->   <- REQUEST, ...

It imports little, for it starts often, and answers with numbers and pixels only: no text of a decoder reaches a client.
"""

import io
import socket
import struct
import sys
from collections.abc import Sequence
from enum import IntEnum

from PIL import Image

from vl2.processing.images import ImageError, TooManyPixels, open_image, opened_image

READY = b"vl2 decoder 1\n"
# Limit of pixels, bytes of the file, page from 1 (or WHOLE, COUNT), canvases; these and the file follow.
REQUEST = struct.Struct("<QQII")
CANVAS = struct.Struct("<II")  # width, height
WHOLE, COUNT = 0, 2**32 - 1  # the file is an image; how many pages does it have
RESPONSE = struct.Struct("<BII")  # status, width, height; width * height * 3 bytes follow
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


class Status(IntEnum):
    """What became of an image."""

    DECODED = 0
    NOT_AN_IMAGE = 1
    TOO_MANY_PIXELS = 2
    NO_MEMORY = 3
    COUNTED = 4  # width: pages, height: 1 if the file is an image
    NEEDS_PASSWORD = 5


Outcome = tuple[Status, tuple[int, int], bytes]  # (width, height), RGB bytes of the upright image


def decode(encoded: bytes, max_pixels: int, page: int = WHOLE, canvases: Sequence[tuple[int, int]] = ()) -> Outcome:
    """What became of a file, or of one page of it."""
    try:
        if page == WHOLE:
            return _drawn(open_image(encoded, max_pixels, FORMATS))
        return _decode_page(encoded, max_pixels, page, canvases)
    except TooManyPixels:
        return Status.TOO_MANY_PIXELS, (0, 0), b""
    except MemoryError:
        return Status.NO_MEMORY, (0, 0), b""
    except ImageError as error:
        no_memory = isinstance(error.__cause__, MemoryError)
        return Status.NO_MEMORY if no_memory else Status.NOT_AN_IMAGE, (0, 0), b""


def _decode_page(encoded: bytes, max_pixels: int, page: int, canvases: Sequence[tuple[int, int]]) -> Outcome:
    from vl2.processing.documents import DocumentError, NeedsPassword, is_pdf, open_document  # most files are images

    try:
        if not is_pdf(encoded):
            with opened_image(encoded, "file", max_pixels, FORMATS):
                pass  # no other formats than for images
        with open_document(encoded, max_pixels) as document:
            if page == COUNT:
                return Status.COUNTED, (document.num_pages, int(document.is_image)), b""
            return _drawn(document.page(page, canvases))
    except NeedsPassword:
        return Status.NEEDS_PASSWORD, (0, 0), b""
    except DocumentError:
        return Status.NOT_AN_IMAGE, (0, 0), b""


def _drawn(image: Image.Image) -> Outcome:
    return Status.DECODED, image.size, image.tobytes()


def limit_process(memory_mib: int) -> None:
    """Address space, where the system can limit it; no files written, no core dumps."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for kind, most in (("AS", memory_mib * 2**20), ("FSIZE", 0), ("CORE", 0)):
        try:
            resource.setrlimit(getattr(resource, f"RLIMIT_{kind}"), (most, most))
        except (OSError, ValueError) as error:  # macOS refuses to limit address space
            print(f"vl2.intake.worker: no limit on {kind} ({error})", file=sys.stderr)


def limit_time(cpu_seconds: int) -> None:
    """CPU time from now on; the system ends a process that takes more."""
    try:
        import resource
    except ImportError:  # Windows
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + 1 + cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def serve(stream: io.BufferedRWPair, cpu_seconds: int) -> None:
    """Answer until the other side is gone."""
    stream.write(READY)
    stream.flush()
    while len(header := stream.read(REQUEST.size)) == REQUEST.size:
        max_pixels, count, page, num_canvases = REQUEST.unpack(header)
        canvases = list(CANVAS.iter_unpack(stream.read(num_canvases * CANVAS.size)))
        encoded = stream.read(count)
        if len(encoded) < count:
            return
        limit_time(cpu_seconds)
        status, (width, height), pixels = decode(encoded, max_pixels, page, canvases)
        stream.write(RESPONSE.pack(status, width, height))
        stream.write(pixels)
        stream.flush()


def main() -> None:
    """`python -m vl2.intake.worker MEMORY_MIB CPU_SECONDS`"""
    Image.init()  # every decoder is loaded before the limits hold
    limit_process(int(sys.argv[1]))
    with socket.socket(fileno=0) as sock, sock.makefile("rwb") as stream:
        serve(stream, int(sys.argv[2]))


if __name__ == "__main__":
    main()
