"""What a sum over ranks costs: microseconds of one, in a captured graph, of a product and the sum and norm after it.

torchrun --nproc-per-node 2 scripts/measure_sums.py

linear --part of a sum--> add_rms_norm ... 100 times in a graph: over the ranks, alone, and over the ranks by NCCL
"""

import argparse
import os
import sys
from collections.abc import Callable

import torch
import torch.distributed as dist

from vl2.device import pick_device
from vl2.kernels.linear import linear
from vl2.kernels.norm import add_rms_norm
from vl2.kernels.team import Team, TeamError, join, local_rank

CHAIN, REPLAYS = 100, 20


def microseconds(link: Callable[[torch.Tensor], torch.Tensor], x_TD: torch.Tensor) -> float:
    """Of one link of a chain."""
    link(link(x_TD))
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        out_TD = x_TD
        for _ in range(CHAIN):
            out_TD = link(out_TD)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    graph.replay()
    begin.record()
    for _ in range(REPLAYS):
        graph.replay()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) * 1e3 / CHAIN / REPLAYS


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=2560)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 64, 256, 2048])
    arguments = parser.parse_args()
    device = pick_device("cuda", local_rank())
    team = join(device)
    if team is None:
        raise TeamError("start several processes: torchrun --nproc-per-node 2 scripts/measure_sums.py")
    by_nccl = Team(team.rank, team.count)
    width, kind = arguments.width, {"device": device, "dtype": torch.bfloat16}
    weight_DD, norm_D = torch.randn(width, width, **kind) / width, torch.ones(width, **kind)

    def over(some: Team, x_TD: torch.Tensor) -> torch.Tensor:
        part_TD = linear(x_TD, weight_DD, some.post(x_TD))
        return some.add_rms_norm(x_TD, part_TD, norm_D, 1e-6)[1]

    if team.is_first:
        print("rows, us of product and norm: alone, over ranks, over ranks by NCCL")
    for rows in arguments.rows:
        x_TD = torch.randn(rows, width, **kind)
        times = [
            microseconds(lambda x_TD: add_rms_norm(x_TD, linear(x_TD, weight_DD), norm_D, 1e-6)[1], x_TD),
            microseconds(lambda x_TD: over(team, x_TD), x_TD),
            microseconds(lambda x_TD: over(by_nccl, x_TD), x_TD),
        ]
        if team.is_first:
            print(f"{rows:5d} " + " ".join(f"{time:8.1f}" for time in times), flush=True)
    torch.cuda.synchronize()
    dist.barrier()
    sys.stdout.flush()
    os._exit(0)  # NCCL would wait for the graphs that hold its sums


if __name__ == "__main__":
    main()
