"""Which kernels a step spends its time in: what stands behind docs/performance.md where a target is missed.

python scripts/profile_step.py small decode 1        one more token for so many sequences of 2,048 cached tokens
python scripts/profile_step.py small prefill 2017    a prompt of so many tokens
python scripts/profile_step.py small vision 10       tower and projector on so many tiles
torchrun --nproc-per-node 2 scripts/profile_step.py base decode 1       the same on the first of two devices

random weights --engine, as vl2 bench--> torch.profiler --> kernels by time
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from vl2.bench.ours import random_model, text_prompt, with_room
from vl2.config import PRESETS
from vl2.device import pick_device, pick_dtype
from vl2.engine.engine import Engine
from vl2.kernels.team import join, local_rank
from vl2.model.vl2 import VL2
from vl2.sampling import SamplingParams

CONTEXT = 2048
SHOWN = 16


def decoding(model: VL2, batch: int) -> Callable[[], object]:
    """One step of a running engine."""
    engine = Engine(model, -1, max_running=batch, prefix_cache=False)
    for number in range(batch):
        engine.submit(text_prompt(model.config, CONTEXT - 16, number), SamplingParams(max_tokens=CONTEXT))
    while engine.scheduler.waiting or any(sequence.num_left > 1 for sequence in engine.scheduler.running):
        engine.step()
    for _ in range(8):
        engine.step()
    return engine.step


def prompt(model: VL2, tokens: int) -> Callable[[], object]:
    engine = Engine(model, -1, max_running=1, step_tokens=tokens, prefix_cache=False)

    def once() -> None:
        engine.submit(text_prompt(model.config, tokens, 0), SamplingParams(max_tokens=1))
        while engine.has_work:
            engine.step()

    return once


def tower(model: VL2, tiles: int) -> Callable[[], object]:
    edge = model.config.vision_config.image_size
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (tiles, 3, edge, edge), dtype=np.uint8))
    images = Engine(model, -1, max_running=1).runner.images
    return torch.inference_mode()(lambda: images.tile_tokens(pixels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=sorted(PRESETS))
    parser.add_argument("kind", choices=["decode", "prefill", "vision"])
    parser.add_argument("size", type=int)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = pick_device(arguments.device, local_rank())
    team = join(device)
    config = with_room(PRESETS[arguments.model], max(CONTEXT * 2, arguments.size + 8))
    model = random_model(config, device, pick_dtype("auto", device), team=team)
    step = {"decode": decoding, "prefill": prompt, "vision": tower}[arguments.kind](model, arguments.size)
    for _ in range(3):
        step()
    cuda = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]) as seen:
        step()
        if cuda:
            torch.cuda.synchronize()
    if team is not None and not team.is_first:
        return
    rows = [
        (event.self_device_time_total if cuda else event.self_cpu_time_total, event) for event in seen.key_averages()
    ]
    rows = sorted((row for row in rows if row[0] > 0), key=lambda row: -row[0])
    print(f"{sum(time for time, _ in rows) / 1e3:.3f} ms in all; ms, calls, kernel:")
    for time, event in rows[:SHOWN]:
        print(f"{time / 1e3:9.3f} {event.count:6d}  {event.key[:80]}")


if __name__ == "__main__":
    main()
