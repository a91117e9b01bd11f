"""A worker that does what the first word of the "image" says; `test_decode.py` starts it."""

import os
import resource
import socket
import sys
import time

from vl2.intake.worker import READY, REQUEST, RESPONSE, limit_time


def main() -> None:
    with socket.socket(fileno=0) as sock, sock.makefile("rwb") as stream:
        stream.write(b"hello, I am something else" if sys.argv[1:] == ["stranger"] else READY)
        stream.flush()
        while header := stream.read(REQUEST.size):
            word = stream.read(REQUEST.unpack(header)[1]).decode()
            answer = RESPONSE.pack(0, 1, 1) + b"abc"
            if word in ("hang", "half"):
                stream.write(answer[: RESPONSE.size + 1] if word == "half" else b"")
                stream.flush()
                time.sleep(60)
            elif word == "die":
                os._exit(3)
            elif word == "burn":
                limit_time(0)
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                while True:
                    pass
            elif word == "environment":
                answer = RESPONSE.pack(0, 1, 1) + (b"yes" if "VL2_SECRET" in os.environ else b"no.")
            elif word == "huge":
                answer = RESPONSE.pack(0, 2**31, 2**31)
            elif word == "none":
                answer = RESPONSE.pack(0, 0, 0)
            elif word == "odd":
                answer = RESPONSE.pack(99, 0, 0)
            stream.write(answer)
            stream.flush()


main()
