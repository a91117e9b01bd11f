"""How unequal the micro-batches of a step are: of several ranks, the one that drew most over the mean of all.

python scripts/measure_balance.py nano --stage 6 --set stages.6.tokens_per_batch=4096 --set stages.6.tiles_per_batch=10

recipe --stage_dataset--> micro-batches of `--steps` steps --> by number of ranks: mean and largest of most / mean

Every micro-batch is filled up to the same numbers of tiles and tokens, which all go through the model: what this shows
is how much of that is filler, and where the fuller rank computes more, the pairs of attention.
"""

import argparse
from collections.abc import Sequence

import torch

from vl2.data.mixture import SynthSource
from vl2.data.packing import PackedBatch
from vl2.synth.patches import patch_targets
from vl2.synth.registry import TASKS, generate
from vl2.synth.sample import NUM_LABELS
from vl2.train.assembly import assemble, stage_dataset
from vl2.train.config import read_recipe


def contents(batch: PackedBatch) -> dict[str, int]:
    pairs = int((batch.positions_T[: batch.num_tokens] + 1).sum())  # a token sees itself and what is before it
    return {"tiles": batch.num_tiles, "tokens": batch.num_tokens, "pairs of attention": pairs}


def most_over_mean(values: Sequence[int], ranks: int) -> list[float]:
    """Of every step, whose micro-batches are neighbours."""
    steps = [values[begin : begin + ranks] for begin in range(0, len(values) - ranks + 1, ranks)]
    return [max(step) * ranks / max(sum(step), 1) for step in steps]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--stage", type=int, default=0)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--steps", type=int, default=12, help="of the largest number of ranks")
    parser.add_argument("--set", action="append", default=[], help="key=value changes to the recipe")
    given = parser.parse_args()
    torch.set_num_threads(1)
    source = SynthSource(generate, patch_targets, tuple(TASKS), NUM_LABELS)
    data = stage_dataset(assemble(read_recipe(given.recipe, ["device=cpu", *given.set]), source, None), given.stage)
    drawn = [contents(data[number]) for number in range(given.steps * max(given.ranks))]
    for name in drawn[0]:
        values = [each[name] for each in drawn]
        for ranks in given.ranks:
            ratios = most_over_mean(values, ranks)
            mean, largest = sum(ratios) / len(ratios), max(ratios)
            print(f"{name}, {ranks} ranks: the fullest has {mean:.3f} of the mean in a step, {largest:.3f} at most")
    for name, room in (("tiles", data.budget.tiles), ("tokens", data.budget.tokens)):
        print(f"{name}: {sum(each[name] for each in drawn) / len(drawn) / max(room, 1):.1%} of the room is no filler")


if __name__ == "__main__":
    main()
