"""Measure whether 8-bit weights would make a CPU decode faster: one matrix product, float32 beside torch's int8.

python scripts/measure_int8.py [--threads 2]

weights (N, K) float32 --F.linear--> ms     int8 and scales --torch._weight_int8pack_mm, x in bfloat16--> ms
"""

import argparse
import time
from collections.abc import Callable
from itertools import cycle

import torch
import torch.nn.functional as F

# name -> rows, columns, and how many such matrices take turns, so that caches hold what they would in a model
SHAPES = {
    "nano gate_up": (128, 320, 64), "nano down": (320, 64, 64), "nano head": (8192, 320, 1),
    "tiny gate_up": (1792, 1280, 12), "tiny down": (1280, 896, 12), "tiny dense": (6848, 1280, 4),
    "tiny head": (129280, 1280, 1),
}  # fmt: skip
TOKENS = (1, 4, 16, 64)


def fastest(call: Callable[[], object], repeats: int = 20) -> float:
    """Milliseconds of the fastest of some calls: other work on the machine only makes them slower."""
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times[2:]) * 1e3


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    print(f"| product | error | {' | '.join(f'{n} float32, int8 ms' for n in TOKENS)} |")
    print(f"|---|---:|{'---:|' * len(TOKENS)}")
    for name, (rows, columns, count) in SHAPES.items():
        weights = [torch.randn(rows, columns) for _ in range(count)]
        packed = []
        for weight in weights:
            scales = weight.abs().amax(1) / 127
            packed.append(((weight / scales[:, None]).round().to(torch.int8), scales.bfloat16()))
        cells = []
        for tokens in TOKENS:
            x, plain, small = torch.randn(tokens, columns), cycle(weights), cycle(packed)
            times = (
                fastest(lambda x=x, plain=plain: F.linear(x, next(plain))),
                fastest(lambda x=x, small=small: torch._weight_int8pack_mm(x.bfloat16(), *next(small)).float()),
            )
            cells.append(f"{times[0]:.3f}, {times[1]:.3f}")
        x = torch.randn(1, columns)
        exact, got = F.linear(x, weights[0]), torch._weight_int8pack_mm(x.bfloat16(), *packed[0]).float()
        print(f"| {name} | {float((got - exact).norm() / exact.norm()):.1%} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
