"""When checkpoints are written, and what a run leaves at its end.

The trap: where each rank has a part of the weights, all take part in every checkpoint, and all go on or none.
"""

import time
from pathlib import Path

import torch

from vl2.train.checkpoint import EXACT, CheckpointError, CheckpointFormat, TrainState, prune, save_checkpoint
from vl2.train.export import WEIGHTS_NAME, export_run
from vl2.train.plots import PlotError, draw_plots
from vl2.train.run import Outcome, Run


def due_by_step(run: Run) -> bool:
    every = run.config.checkpoint.every_steps
    return every > 0 and run.state.step % every == 0


def save_if_due(run: Run) -> None:
    every_sec, step = run.config.checkpoint.every_sec, run.state.step
    by_time = every_sec > 0 and time.monotonic() - run.last_saved >= every_sec
    if run.sharding:
        by_time = run.ranks.any(by_time and run.ranks.is_first, run.assembly.device)
    if (due_by_step(run) or by_time) and _takes_part(run) and step < run.config.total_steps:
        try:
            _save(run, run.out / f"step-{step:06}", EXACT)
        except CheckpointError as error:  # there is an older one, and maybe room again later
            run.display.say(f"warning: {error}")


def _takes_part(run: Run) -> bool:
    """In writing checkpoints: the first rank, and all where each has only a part of the weights."""
    return run.ranks.is_first or run.sharding is not None


def _save(run: Run, path: Path, kind: CheckpointFormat) -> Path:
    now = time.monotonic()
    state = TrainState(run.state.step, run.state.rewarm_from, dict(run.state.counters))
    state.count(elapsed_sec=now - run.started)
    assembly = run.assembly
    objects = assembly.model, assembly.patch_head, run.optimizer, run.sharding
    failure: CheckpointError | None = None
    try:
        save_checkpoint(path, kind, state, run.config, *objects, writes=run.ranks.is_first)
    except CheckpointError as error:
        failure = error
    if run.sharding and run.ranks.any(failure is not None, assembly.device):  # all go on, or none
        failure = failure or CheckpointError(f"{path}: the first rank could not write it")
    if failure:
        raise failure
    run.last_saved = time.monotonic()
    if run.ranks.is_first:
        prune(run.out, run.config.checkpoint.keep)
    return path


def finish(run: Run) -> Outcome:
    """The last checkpoint, exported weights and plots."""
    settings, step = run.config.checkpoint, run.state.step
    checkpoint, weights = run.out / f"step-{step:06}", run.out / WEIGHTS_NAME
    finished = step >= run.config.total_steps
    if not _takes_part(run):
        return Outcome(step, finished, checkpoint, weights)
    _save(run, checkpoint, EXACT)
    if settings.compact:
        compact = CheckpointFormat(torch.bfloat16, settings.moments, settings.max_file_mib << 20)
        _save(run, run.out / f"compact-{step:06}", compact)
    if not run.ranks.is_first:
        return Outcome(step, finished, checkpoint, weights)
    export_run(run.assembly, run.out, run.state, checkpoint if run.sharding else None)
    try:
        draw_plots(run.out)
    except PlotError as error:
        run.display.say(f"no plots: {error}")
    run.display.say(f"{'finished' if finished else 'stopped'} at step {step}; checkpoint {checkpoint}")
    return Outcome(step, finished, checkpoint, weights)
