"""What each change to the step of one token gains: the same model, decoding with and without it, in one run.

python scripts/compare_decoding.py base                                       on one device
torchrun --standalone --nproc-per-node 2 scripts/compare_decoding.py base     on two that hold it together

random weights --a variant's switches, a new engine--> ms a token; greedy tokens twice, which must be the same

The trap: what is captured in a graph keeps its switches, so every measurement has an engine of its own.
"""

import argparse
import gc
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from vl2.bench.ours import decode, random_model, text_prompt, with_room
from vl2.config import PRESETS
from vl2.device import pick_device, pick_dtype
from vl2.engine import paged_cache
from vl2.engine.engine import Engine
from vl2.kernels import launch
from vl2.kernels.latent import rows_and_absorb, values
from vl2.kernels.paged_attention import decode_latent, decode_values
from vl2.kernels.rotary import latent_rows
from vl2.kernels.team import join, local_rank
from vl2.model import attention
from vl2.model.vl2 import VL2
from vl2.sampling import SamplingParams

EARLY = launch.EARLY
WHOLE = {name: launch.CONFIGS[name][0][1]["WHOLE"] for name in ("linear", "down_one")}
CONTEXT = 2048


def switch(early: bool, whole: bool, fused: bool, *more: str, down: bool = False) -> None:
    """Everything off is what there was before."""
    launch.EARLY = EARLY.union(more) if early else frozenset()
    for name, on in (("linear", whole), ("down_one", down)):
        launch.CONFIGS[name][0][1]["WHOLE"] = WHOLE[name] if on else 0
    attention.rows_and_absorb = rows_and_absorb if fused else lambda q, w, *row: (*latent_rows(*row), None)
    paged_cache.decode_values = decode_values if fused else lambda *given: values(decode_latent(*given[:-1]), given[-1])


VARIANTS: dict[str, Callable[[], None]] = {
    "before": lambda: switch(False, False, False),
    "next starts early": lambda: switch(True, False, False),
    "rows whole": lambda: switch(False, True, False),
    "launches joined": lambda: switch(False, False, True),
    "down at once": lambda: switch(False, False, False, down=True),
    "early, whole": lambda: switch(True, True, False),
    "early, joined": lambda: switch(True, False, True),
    "all": lambda: switch(True, True, True, down=True),
    "all, and project": lambda: switch(True, True, True, "project", down=True),
    "all, project, up": lambda: switch(True, True, True, "project", "up", down=True),
}


def tokens(model: VL2) -> list[int]:
    engine = Engine(model, -1, max_running=1, cache_bytes=1 << 30, prefix_cache=False)
    given = engine.stream([text_prompt(model.config, 300, 0)], [SamplingParams(max_tokens=48)])
    return [output.token_id for _, output in given]


def agreed(team: Any, ours: list[int]) -> bool:
    """Whether this rank has the first one's tokens, on all ranks."""
    if team is None:
        return True
    return bool(team.least(int(team.share(torch.tensor(ours)).tolist() == ours)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=sorted(PRESETS))
    parser.add_argument("--layers", type=int, help="only the first")
    parser.add_argument("--batch", type=int, nargs="*", default=[64], help="measured, too, first and last")
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--variants", default=";".join(VARIANTS), help="some of them, separated by semicolons")
    arguments = parser.parse_args()
    begin, device = time.monotonic(), pick_device("cuda", local_rank())
    team = join(device)
    config = with_room(PRESETS[arguments.model], 2 * CONTEXT, arguments.layers)
    model = random_model(config, device, pick_dtype("auto", device), team=team)

    def report(text: str) -> None:
        if team is None or team.is_first:
            print(f"{time.monotonic() - begin:5.1f} s  {text}", flush=True)

    def ms(batch: int) -> str:
        times = [1e3 * second for second in decode(model, batch, CONTEXT, arguments.repeats).times]
        return f"{statistics.median(times):7.3f} ms ({min(times):.3f} - {max(times):.3f}) a step of {batch}"

    first: list[int] = []
    for name in arguments.variants.split(";"):
        VARIANTS[name]()
        gc.collect()  # graphs of the last one
        once, again = tokens(model), tokens(model)
        first = first or once
        same = sum(map(int.__eq__, once, first))
        sure = f"{same} of {len(first)} tokens as before, repeated {once == again}, ranks agree {agreed(team, once)}"
        report(f"{name:18} {ms(1)}; {sure}")
    for name in ("before", "all"):
        VARIANTS[name]()
        for batch in arguments.batch:
            report(f"{name:18} {ms(batch)}")
    torch.cuda.synchronize()
    if team is not None:
        dist.barrier()
    sys.stdout.flush()
    os._exit(0)  # NCCL, if it was used, would wait for the graphs that hold its sums


if __name__ == "__main__":
    main()
