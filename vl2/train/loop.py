"""The training loop.

    read_recipe -> assemble -> for each stage: for each step:
        this rank's batches (prefetched) -> forward, backward for each -> sum over ranks
        -> clip -> step (or skip) -> router biases -> metrics
        now and then: metrics line with scores, checkpoint; at the end: checkpoint, exported weights, plots

The trap: between two lines of metrics nothing may ask the device for a number.
"""

import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import torch

from vl2.data.image_references import Fetch
from vl2.data.loader import default_workers, make_loader, to_device
from vl2.data.mixture import SynthSource
from vl2.device import pick_device
from vl2.train.assembly import assemble, stage_dataset
from vl2.train.checkpoint import (
    TrainState,
    find_checkpoint,
    read_state,
    remove_leftovers,
    restore,
)
from vl2.train.compiling import compile_blocks
from vl2.train.config import ConfigError, TrainConfig, read_recipe
from vl2.train.display import Display, QuietDisplay, make_display
from vl2.train.evaluation import Evaluator
from vl2.train.metrics import Meter, MetricsLog
from vl2.train.optim import (
    build_optimizer,
    freeze_for,
    learning_rate,
    rewarm_factor,
    set_learning_rate,
)
from vl2.train.ranks import Ranks, joined
from vl2.train.recompute import recompute
from vl2.train.reports import Board, Pace, evaluate_now
from vl2.train.run import Outcome, Run, repeatable, stop_requests
from vl2.train.saving import due_by_step, finish, save_if_due
from vl2.train.sharding import Sharding, gradient_sums
from vl2.train.step import take_step


def train(
    recipe: str | Path,
    out: Path,
    *,
    resume: Path | None = None,
    overrides: Sequence[str] = (),
    synth: SynthSource | None = None,
    stop_at: int | None = None,
    display: Display | None = None,
    fetch: Fetch | None = None,
    evaluator: Evaluator | None = None,
) -> Outcome:
    """Train as a recipe says.

    Args:
        recipe: name of a shipped recipe, or path of a TOML file.
        out: directory of the run: metrics.jsonl, step-*, compact-*, weights, plots.
        resume: a checkpoint, or the directory of a run whose newest checkpoint is taken.
        overrides: "key=value" changes to the recipe.
        synth: generators for the synthetic tasks that the mixture names.
        stop_at: end after this step of the whole run, as a time limit would.
        display: where progress goes.
        fetch: what downloads images, if the recipe allows it.
        evaluator: what scores, if the recipe wants that.

    Raises: ConfigError, WeightsError, CheckpointError, NonFiniteError and other ValueErrors with one clear line.
    """
    config = read_recipe(recipe, overrides)
    with joined(config.device) as ranks:
        return _train(config, out, resume, synth, stop_at, display, ranks, fetch, evaluator)


def _train(
    config: TrainConfig,
    out: Path,
    resume: Path | None,
    synth: SynthSource | None,
    stop_at: int | None,
    display: Display | None,
    ranks: Ranks,
    fetch: Fetch | None,
    evaluator: Evaluator | None,
) -> Outcome:
    _check_evaluation(config, evaluator)
    found, damaged = find_checkpoint(resume) if resume else (None, [])
    stored = read_state(found) if found else None
    out.mkdir(parents=True, exist_ok=True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = config.tf32
    started = time.monotonic()
    sharding = Sharding.of(config.parallel, ranks, pick_device(config.device, ranks.device_id))
    assembly = assemble(config, synth, found, ranks.device_id, sharding, fetch)
    optimizer = build_optimizer(assembly.model, assembly.patch_head, config.optimizer)
    notes: list[str] = []
    if stored:
        notes = restore(stored, assembly.model, assembly.patch_head, optimizer, sharding)
    compiled = compile_blocks(assembly.model, config.compile) if assembly.device.type == "cuda" else ()
    recompute(assembly.model, config.recompute, compiled)
    state = stored.state if stored else TrainState()
    _check_shares(config, state.step, ranks)
    stop_at = min(stop_at or config.total_steps, config.total_steps)
    log = MetricsLog(out, state.step) if ranks.is_first else None
    board = Board(out, state.step) if ranks.is_first and config.tensorboard else None
    if ranks.is_first:
        remove_leftovers(out)
    try:
        shown = display or (make_display() if ranks.is_first else QuietDisplay())
        with shown, stop_requests() as stopping, repeatable(config, assembly.device):
            pace = Pace(state.step)
            run = Run(
                assembly, optimizer, state, out, ranks, sharding, log, board, evaluator, pace, shown, stop_at, stopping,
                started=started,
            )  # fmt: skip
            for line in damaged:
                shown.say(line)
            if stored:
                shown.say(f"resumed {stored.path} at step {state.step}, moments: {stored.moments}")
            for line in (*notes, *assembly.left_out):
                shown.say(line)
            run.check_stop()
            while not run.stopped:
                _run_stage(run)
            return finish(run)
    finally:
        for writer in (log, board):
            if writer:
                writer.close()


def _check_evaluation(config: TrainConfig, evaluator: Evaluator | None) -> None:
    """Before anything is read or built."""
    if config.evaluation and evaluator is None:
        raise ConfigError("evaluation: nothing here can score; train with the command vl2 train")
    if config.evaluation and evaluator:
        evaluator.check(config.evaluation)


def _check_shares(config: TrainConfig, step: int, ranks: Ranks) -> None:
    """Every rank must have the same number of micro-batches in the steps to come."""
    begin = config.locate(step)[0] if step < config.total_steps else len(config.stages)
    for stage in config.stages[begin:]:
        if stage.accumulation % ranks.count:
            raise ConfigError(
                f"stages.{stage.name}.accumulation = {stage.accumulation}: must be a multiple of the {ranks.count} "
                "ranks that share it"
            )


def _run_stage(run: Run) -> None:
    """Train from the current step to the end of its stage, or to where the run should stop."""
    config, state, device = run.config, run.state, run.assembly.device
    number, begin = config.locate(state.step)
    stage = config.stages[number]
    freeze_for(stage, run.assembly.model, run.assembly.patch_head)
    if begin == 0:
        run.display.say(f"stage {stage.name}: {stage.steps} steps")
    workers = config.loader.workers
    if workers is None:
        workers = default_workers(run.ranks.neighbours)
    steps = min(stage.steps, begin + run.stop_at - state.step)
    ranks = run.ranks
    mine = stage.accumulation // ranks.count
    loader = make_loader(
        stage_dataset(run.assembly, number),
        range(begin * stage.accumulation + ranks.rank, steps * stage.accumulation, ranks.count),
        workers=workers,
        prefetch=config.loader.prefetch,
        pin=device.type == "cuda",
    )
    batches = to_device(iter(loader), device)
    meter = Meter([name for name, _ in stage.mixture], device, config.max_skipped)
    sums = gradient_sums(run.assembly.model, run.assembly.patch_head, ranks)
    for step in range(begin, steps):
        asked = time.perf_counter()
        micro = list(islice(batches, mine))
        waited = time.perf_counter() - asked
        rate = learning_rate(stage, step) * rewarm_factor(state.step, state.rewarm_from, config.rewarm_steps)
        set_learning_rate(run.optimizer, stage, rate)
        norm, finite = take_step(run, number, step, micro, meter, sums)
        meter.add_step(norm, finite, waited)
        state.step += 1
        run.check_stop()
        due = due_by_step(run) or _due_for_evaluation(run)
        if run.stopped or step == steps - 1 or state.step % config.log_every == 0 or due:
            _report(run, meter, stage.name, rate)  # counts what every rank did since, so that checkpoints know it
            if run.stopped:
                break
            save_if_due(run)
    sums.close()


def _report(run: Run, meter: Meter, stage: str, rate: float) -> None:
    elapsed = run.state.counters.get("elapsed_sec", 0.0) + time.monotonic() - run.started
    means, counts = meter.read(run.ranks)
    run.state.count(**counts)
    totals = {key: int(run.state.counters[key]) for key in counts}
    record = {"step": run.state.step, "stage": stage, "learning_rate": rate, **means}
    record |= {"total": totals, "elapsed_sec": round(elapsed, 2)}
    record["remaining_sec"] = run.pace.remaining_sec(run.state.step, run.stop_at)
    if run.ranks.is_first and run.evaluator and run.config.evaluation and (run.stopped or _due_for_evaluation(run)):
        record["evaluation"] = evaluate_now(run.assembly, run.out, run.config.evaluation, run.evaluator)
        run.pace.skip()
    for writer in (run.log, run.board):
        if writer:
            writer.write(record)
    run.display.show(record, run.config.total_steps)


def _due_for_evaluation(run: Run) -> bool:
    return run.config.evaluation is not None and run.state.step % run.config.evaluation.every_steps == 0
