"""The training loop.

    read_recipe -> assemble -> for each stage: for each step:
        this rank's batches (prefetched) -> forward, backward for each -> sum over ranks
        -> clip -> step (or skip) -> router biases -> metrics
        now and then: metrics line with scores, checkpoint; at the end: checkpoint, exported weights, plots

The trap: nothing in a step asks the device for a number. A step whose loss or gradient is not finite is skipped on the
device, and the host learns of it with the next metrics line.
"""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from vl2.data.image_references import Fetch
from vl2.data.loader import default_workers, make_loader, to_device
from vl2.data.mixture import SynthSource
from vl2.data.packing import PackedBatch
from vl2.device import pick_device
from vl2.train.assembly import Assembly, assemble, stage_dataset
from vl2.train.checkpoint import (
    EXACT,
    CheckpointError,
    CheckpointFormat,
    TrainState,
    find_checkpoint,
    prune,
    read_state,
    remove_leftovers,
    restore,
    save_checkpoint,
)
from vl2.train.compiling import compile_blocks
from vl2.train.config import ConfigError, TrainConfig, read_recipe
from vl2.train.display import Display, QuietDisplay, make_display
from vl2.train.evaluation import Evaluator
from vl2.train.export import WEIGHTS_NAME, export_run
from vl2.train.groups import expand
from vl2.train.loss import answer_weights, batch_losses
from vl2.train.metrics import Meter, MetricsLog
from vl2.train.optim import (
    Optimizer,
    build_optimizer,
    freeze_for,
    learning_rate,
    patch_weight,
    rewarm_factor,
    set_learning_rate,
    update_router_bias,
)
from vl2.train.plots import PlotError, draw_plots
from vl2.train.ranks import Ranks, joined
from vl2.train.recompute import recompute
from vl2.train.reports import Board, Pace, evaluate_now
from vl2.train.sharding import Sharding, call, sum_and_clip


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    finished: all steps done (otherwise the time limit, stop_at or a signal ended it).
    checkpoint: the last checkpoint; weights: exported weights in official layout.
    """

    step: int
    finished: bool
    checkpoint: Path
    weights: Path


@dataclass
class Run:
    """A run in progress."""

    assembly: Assembly
    optimizer: Optimizer
    state: TrainState
    out: Path
    ranks: Ranks
    sharding: Sharding | None
    log: MetricsLog | None
    board: Board | None
    evaluator: Evaluator | None
    pace: Pace
    display: Display
    stop_at: int
    stopping: threading.Event
    stopped: bool = False
    started: float = field(default_factory=time.monotonic)
    last_saved: float = field(default_factory=time.monotonic)

    @property
    def config(self) -> TrainConfig:
        return self.assembly.config

    def check_stop(self) -> None:
        """Set `stopped` at the last step, at the time limit and after a signal. Several ranks agree on the latter two
        where they wait for each other anyway: at steps with a line of metrics."""
        if self.state.step >= self.stop_at:
            self.stopped = True
        elif self.ranks.count == 1 or self.state.step % self.config.log_every == 0:
            limit = self.config.time_limit_sec
            late = bool(limit) and time.monotonic() - self.started >= limit
            self.stopped = self.ranks.any(late or self.stopping.is_set(), self.assembly.device)


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
        with shown, _signals() as stopping, _repeatable(config, assembly.device):
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
            return _finish(run)
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


@contextmanager
def _repeatable(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """On the CPU sums happen in a fixed order, so that a resume gives the same digits; on CUDA that costs speed."""
    before, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    torch.use_deterministic_algorithms(before or device.type == "cpu")
    torch.set_num_threads(config.cpu_threads or threads)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.set_num_threads(threads)


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM end the run after the current step, with a checkpoint; a second Ctrl-C ends it at once."""
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return

    def request(number: int, _: object) -> None:
        stopping.set()
        signal.signal(number, before[number])

    before = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, request)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
    for step in range(begin, steps):
        asked = time.perf_counter()
        micro = list(islice(batches, mine))
        waited = time.perf_counter() - asked
        rate = learning_rate(stage, step) * rewarm_factor(state.step, state.rewarm_from, config.rewarm_steps)
        set_learning_rate(run.optimizer, stage, rate)
        norm, finite = _step(run, number, step, micro, meter)
        meter.add_step(norm, finite, waited)
        state.step += 1
        run.check_stop()
        due = _due_by_step(run) or _due_for_evaluation(run)
        if run.stopped or step == steps - 1 or state.step % config.log_every == 0 or due:
            _report(run, meter, stage.name, rate)  # counts what every rank did since, so that checkpoints know it
            if run.stopped:
                break
            _save_if_due(run)


def _step(
    run: Run, number: int, step: int, micro: list[tuple[PackedBatch, PackedBatch]], meter: Meter
) -> tuple[Tensor, Tensor]:
    """One optimizer step; returns the gradient's norm and whether the step was taken, both on the device."""
    assembly, config = run.assembly, run.config
    stage = config.stages[number]
    hosts = [host for host, _ in micro]
    background = config.background_weight
    weight = patch_weight(stage, step)
    head = assembly.patch_head if weight > 0 else None
    labelled = [host.num_foreground + background * host.num_background if head else 0.0 for host in hosts]
    boxed = sum(host.num_boxes for host in hosts) if head else 0
    answers = sum(float(answer_weights(host, stage.answer_exponent).sum()) for host in hosts)
    local = [answers, sum(len(host.prompt_lengths) for host in hosts), sum(labelled), boxed]
    num_answers, num_prompts, num_labelled, num_boxes = run.ranks.sum(local, assembly.device).clamp_min(1)
    total = torch.zeros((), device=assembly.device)
    expert_counts: Tensor | None = None
    for (host, batch), patch_share in zip(micro, labelled, strict=True):
        with torch.autocast(assembly.device.type, torch.bfloat16, enabled=assembly.bfloat16):
            losses = call(
                batch_losses,
                assembly.model,
                head,
                batch,
                background_weight=background,
                answer_exponent=stage.answer_exponent,
                static=assembly.device.type == "cuda",
            )
        share = len(host.prompt_lengths) / num_prompts
        loss = losses.text / num_answers + stage.aux_loss_alpha * share * losses.balance
        loss = loss + weight * (losses.patch / num_labelled + stage.box_loss_factor * losses.box / num_boxes)
        loss.backward()
        total += loss.detach()
        counts = losses.expert_counts_GE
        expert_counts = counts if expert_counts is None else expert_counts + counts
        meter.add_micro(batch, losses, share, patch_share)
    parameters = [p for group in run.optimizer.param_groups for p in group["params"]]
    total = run.ranks.total(total)
    norm = sum_and_clip(assembly.model, parameters, config.optimizer.clip, run.ranks, run.sharding)
    finite = norm.isfinite() & total.isfinite()
    run.optimizer.found_inf = 1 - finite.float()
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    if stage.bias_update_step and expert_counts is not None and "router" not in expand(stage.freeze):
        update_router_bias(assembly.model, run.ranks.total(expert_counts), stage.bias_update_step, finite.float())
    return norm, finite


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


def _due_by_step(run: Run) -> bool:
    every = run.config.checkpoint.every_steps
    return every > 0 and run.state.step % every == 0


def _save_if_due(run: Run) -> None:
    every_sec, step = run.config.checkpoint.every_sec, run.state.step
    by_time = every_sec > 0 and time.monotonic() - run.last_saved >= every_sec
    if run.sharding:
        by_time = run.ranks.any(by_time and run.ranks.is_first, run.assembly.device)
    if (_due_by_step(run) or by_time) and _takes_part(run) and step < run.config.total_steps:
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


def _finish(run: Run) -> Outcome:
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
