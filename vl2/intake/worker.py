"""The process in which one untrusted image after the other is decoded; `DecoderPool` starts it.

standard input is a socket:  READY ->   <- REQUEST, file   RESPONSE, pixels ->   <- REQUEST, file   ...

It imports little, for it starts often, and answers with numbers and pixels only: no text of a decoder reaches a client.
"""

import io
import socket
import struct
import sys
from enum import IntEnum

from PIL import Image

from vl2.processing.images import ImageError, TooManyPixels, open_image

READY = b"vl2 decoder 1\n"
REQUEST = struct.Struct("<QQ")  # limit of pixels, bytes of the file that follows
RESPONSE = struct.Struct("<BII")  # status, width, height; width * height * 3 bytes follow
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


class Status(IntEnum):
    """What became of an image."""

    DECODED = 0
    NOT_AN_IMAGE = 1
    TOO_MANY_PIXELS = 2
    NO_MEMORY = 3


def decode(encoded: bytes, max_pixels: int) -> tuple[Status, tuple[int, int], bytes]:
    """Status, (width, height), RGB bytes of the upright image."""
    try:
        image = open_image(encoded, max_pixels, FORMATS)
        return Status.DECODED, image.size, image.tobytes()
    except TooManyPixels:
        return Status.TOO_MANY_PIXELS, (0, 0), b""
    except MemoryError:
        return Status.NO_MEMORY, (0, 0), b""
    except ImageError as error:
        no_memory = isinstance(error.__cause__, MemoryError)
        return Status.NO_MEMORY if no_memory else Status.NOT_AN_IMAGE, (0, 0), b""


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
        max_pixels, count = REQUEST.unpack(header)
        encoded = stream.read(count)
        if len(encoded) < count:
            return
        limit_time(cpu_seconds)
        status, (width, height), pixels = decode(encoded, max_pixels)
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
