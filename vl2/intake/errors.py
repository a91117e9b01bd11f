"""The one error of intake: a stable code for programs, one line for the client."""

from typing import Literal, get_args

Code = Literal[
    "bad_url",  # cannot be read as a URL, or is of another kind than http, https, data
    "url_forbidden",  # host, port or address that the server does not connect to
    "too_many_redirects",
    "fetch_failed",  # no connection, another status than 200, a body that was cut
    "timeout",  # of the download, or of decoding
    "too_large",  # bytes of the file, or memory to decode it
    "too_many_pixels",
    "not_an_image",  # another kind of file, or a damaged one
    "needs_password",  # an encrypted PDF
    "decoder_failed",  # the process that decoded it died
    "busy",  # no decoder became free in time
    "closed",  # the server is shutting down
]
CODES: tuple[str, ...] = get_args(Code)


class IntakeError(ValueError):
    """An image that was not taken in. The message is meant for the client and names no address."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code
