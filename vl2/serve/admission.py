"""How many requests the server takes on, and how much memory their bodies may have."""

from collections.abc import Iterator
from contextlib import contextmanager

from vl2.serve.errors import ApiError


class Admission:
    """Counts what was admitted: choices of requests that are prepared, wait or run, and bytes of bodies.

    Args:
        most: choices at a time.
        most_bytes: of all bodies together.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self.most, self.most_bytes = most, most_bytes
        self.num_admitted = self.num_bytes = 0

    def check(self) -> None:
        """Raises ApiError (429) if not even one more choice would be admitted."""
        if self.num_admitted >= self.most:
            raise _full()

    @contextmanager
    def enter(self, count: int) -> Iterator[None]:
        """A place for a request of so many choices. Raises ApiError (429)."""
        if self.num_admitted + count > self.most:
            raise _full()
        self.num_admitted += count
        try:
            yield
        finally:
            self.num_admitted -= count

    def hold(self, num_bytes: int) -> None:
        """More bytes of a body have come. Raises ApiError (429)."""
        if self.num_bytes + num_bytes > self.most_bytes:
            raise ApiError(
                429, "the server is receiving too much at once; try again later", code="overloaded", retry_sec=2
            )
        self.num_bytes += num_bytes

    def release(self, num_bytes: int) -> None:
        self.num_bytes -= num_bytes


def _full() -> ApiError:
    return ApiError(429, "the queue of the server is full; try again later", code="queue_full", retry_sec=1)
