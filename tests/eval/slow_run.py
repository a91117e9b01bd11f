"""A run that takes its time: slow_run.py DATA OUT SECONDS_AN_ANSWER. test_run.py kills it."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from vl2.eval.benchmarks import find_benchmark, read_items
from vl2.eval.rows import Rows
from vl2.eval.run import run
from vl2.eval.runner import Output
from vl2.processing.messages import Message


class Slow:
    def answer_messages(self, messages: Sequence[Message]) -> list[Output]:
        time.sleep(float(sys.argv[3]))
        return [Output("slowly")] * len(messages)


if __name__ == "__main__":
    items = read_items(find_benchmark("docvqa"), Rows(Path(sys.argv[1])))
    run(find_benchmark("docvqa"), items, Slow, Path(sys.argv[2]), settings={"model": "slow"}, batch_size=1)
