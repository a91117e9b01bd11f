"""The training loop.

    read_recipe -> assemble -> for each stage: for each step:
        batches (prefetched) -> forward, backward for each -> clip -> step (or skip) -> router biases -> metrics
        now and then: metrics line, checkpoint; at the end: checkpoint, exported weights, plots

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

from vl2.data.loader import default_workers, make_loader, to_device
from vl2.data.mixture import SynthSource
from vl2.data.packing import PackedBatch
from vl2.train.assembly import Assembly, assemble, export, stage_dataset
from vl2.train.checkpoint import (
    EXACT,
    CheckpointFormat,
    TrainState,
    find_checkpoint,
    prune,
    read_state,
    restore,
    save_checkpoint,
)
from vl2.train.config import TrainConfig, read_recipe
from vl2.train.display import Display, make_display
from vl2.train.loss import batch_losses
from vl2.train.metrics import Meter, MetricsLog
from vl2.train.optim import (
    SkippingAdamW,
    build_optimizer,
    freeze_for,
    learning_rate,
    patch_weight,
    rewarm_factor,
    set_learning_rate,
    update_router_bias,
)
from vl2.train.plots import PlotError, draw_plots

WEIGHTS_NAME = "weights"


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
    optimizer: SkippingAdamW
    state: TrainState
    out: Path
    log: MetricsLog
    display: Display
    stop_at: int
    stopping: threading.Event
    started: float = field(default_factory=time.monotonic)
    last_saved: float = field(default_factory=time.monotonic)

    @property
    def config(self) -> TrainConfig:
        return self.assembly.config

    @property
    def should_stop(self) -> bool:
        limit = self.config.time_limit_sec
        late = bool(limit) and time.monotonic() - self.started >= limit
        return late or self.stopping.is_set() or self.state.step >= self.stop_at


def train(
    recipe: str | Path,
    out: Path,
    *,
    resume: Path | None = None,
    overrides: Sequence[str] = (),
    synth: SynthSource | None = None,
    stop_at: int | None = None,
    display: Display | None = None,
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

    Raises: ConfigError, WeightsError, CheckpointError, NonFiniteError and other ValueErrors with one clear line.
    """
    config = read_recipe(recipe, overrides)
    stored = read_state(find_checkpoint(resume)) if resume else None
    out.mkdir(parents=True, exist_ok=True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = config.tf32
    started = time.monotonic()
    assembly = assemble(config, synth, stored.path if stored else None)
    optimizer = build_optimizer(assembly.model, assembly.patch_head, config.optimizer)
    if stored:
        restore(stored, assembly.model, assembly.patch_head, optimizer)
    compile_blocks(assembly)
    state = stored.state if stored else TrainState()
    stop_at = min(stop_at or config.total_steps, config.total_steps)
    log = MetricsLog(out, state.step)
    try:
        with display or make_display() as shown, _signals() as stopping, _repeatable(config, assembly.device):
            run = Run(assembly, optimizer, state, out, log, shown, stop_at, stopping, started)
            if stored:
                shown.say(f"resumed {stored.path} at step {state.step}, moments: {stored.moments}")
            while not run.should_stop:
                _run_stage(run)
            return _finish(run)
    finally:
        log.close()


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


def compile_blocks(assembly: Assembly) -> None:
    """Compile tower blocks and decoder layers in place, on CUDA only."""
    choice = assembly.config.compile
    if assembly.device.type != "cuda" or choice == "none":
        return
    model = assembly.model
    blocks = [*model.vision.blocks, *(model.language.layers if choice == "all" else ())]
    torch._dynamo.config.recompile_limit = max(
        torch._dynamo.config.recompile_limit,
        8 * len(blocks),  # one graph per decoder layer, again where a stage freezes
    )
    for block in blocks:
        block.compile(dynamic=False)


def _run_stage(run: Run) -> None:
    """Train from the current step to the end of its stage, or to where the run should stop."""
    config, state, device = run.config, run.state, run.assembly.device
    number, begin = config.locate(state.step)
    stage = config.stages[number]
    freeze_for(stage, run.assembly.model, run.assembly.patch_head)
    if begin == 0:
        run.display.say(f"stage {stage.name}: {stage.steps} steps")
    workers = default_workers() if config.loader.workers is None else config.loader.workers
    steps = min(stage.steps, begin + run.stop_at - state.step)
    loader = make_loader(
        stage_dataset(run.assembly, number),
        begin * stage.accumulation,
        steps * stage.accumulation,
        workers=workers,
        prefetch=config.loader.prefetch,
        pin=device.type == "cuda",
    )
    batches = to_device(iter(loader), device)
    meter = Meter([name for name, _ in stage.mixture], device)
    for step in range(begin, steps):
        asked = time.perf_counter()
        micro = list(islice(batches, stage.accumulation))
        waited = time.perf_counter() - asked
        rate = learning_rate(stage, step) * rewarm_factor(state.step, state.rewarm_from, config.rewarm_steps)
        set_learning_rate(run.optimizer, stage, rate)
        norm, finite = _step(run, number, step, micro, meter)
        meter.add_step(norm, finite, waited)
        state.step += 1
        last = step == steps - 1 or run.should_stop
        if last or state.step % config.log_every == 0:
            _report(run, meter, stage.name, rate)
        _save_if_due(run)
        if run.should_stop:
            break


def _step(
    run: Run, number: int, step: int, micro: list[tuple[PackedBatch, PackedBatch]], meter: Meter
) -> tuple[Tensor, Tensor]:
    """One optimizer step; returns the gradient's norm and whether the step was taken, both on the device."""
    assembly, config = run.assembly, run.config
    stage = config.stages[number]
    hosts = [host for host, _ in micro]
    background = config.background_weight
    num_targets = max(sum(host.num_targets for host in hosts), 1)
    num_tokens = sum(host.num_tokens for host in hosts)
    weight = patch_weight(stage, step)
    head = assembly.patch_head if weight > 0 else None
    labelled = [head is not None and host.num_foreground + background * host.num_background for host in hosts]
    total = torch.zeros((), device=assembly.device)
    expert_counts: Tensor | None = None
    for (host, batch), patch_share in zip(micro, labelled, strict=True):
        with torch.autocast(assembly.device.type, torch.bfloat16, enabled=assembly.bfloat16):
            losses = batch_losses(
                assembly.model, head, batch, background_weight=background, static=assembly.device.type == "cuda"
            )
        share = host.num_tokens / num_tokens
        loss = losses.text / num_targets + stage.aux_loss_alpha * share * losses.balance
        if any(labelled):
            loss = loss + weight / sum(labelled) * losses.patch
        loss.backward()
        total += loss.detach()
        counts = losses.expert_counts_GE
        expert_counts = counts if expert_counts is None else expert_counts + counts
        meter.add_micro(batch, losses, share, patch_share)
        run.state.count(tokens=host.num_tokens, tiles=host.num_tiles, prompts=len(host.prompt_lengths))
    parameters = [p for group in run.optimizer.param_groups for p in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(parameters, config.optimizer.clip)
    finite = norm.isfinite() & total.isfinite()
    run.optimizer.found_inf = 1 - finite.float()
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    if stage.bias_update_step and expert_counts is not None and "language" not in stage.freeze:
        update_router_bias(assembly.model, expert_counts, stage.bias_update_step, finite.float())
    return norm, finite


def _report(run: Run, meter: Meter, stage: str, rate: float) -> None:
    elapsed = run.state.counters.get("elapsed_sec", 0.0) + time.monotonic() - run.started
    totals = {key: run.state.counters[key] for key in ("tokens", "tiles", "prompts")}
    record = {"step": run.state.step, "stage": stage, "learning_rate": rate, **meter.read()}
    record |= {"total": totals, "elapsed_sec": round(elapsed, 2)}
    run.log.write(record)
    run.display.show(record, run.config.total_steps)


def _save_if_due(run: Run) -> None:
    due, step = run.config.checkpoint, run.state.step
    by_step = due.every_steps and step % due.every_steps == 0
    by_time = due.every_sec and time.monotonic() - run.last_saved >= due.every_sec
    if (by_step or by_time) and not run.should_stop and step < run.config.total_steps:
        _save(run, run.out / f"step-{step:06}", EXACT)


def _save(run: Run, path: Path, kind: CheckpointFormat) -> Path:
    now = time.monotonic()
    state = TrainState(run.state.step, run.state.rewarm_from, dict(run.state.counters))
    state.count(elapsed_sec=now - run.started)
    assembly = run.assembly
    save_checkpoint(path, kind, state, run.config, assembly.model, assembly.patch_head, run.optimizer)
    run.last_saved = time.monotonic()
    prune(run.out, run.config.checkpoint.keep)
    return path


def _finish(run: Run) -> Outcome:
    """The last checkpoint, exported weights and plots."""
    settings, step = run.config.checkpoint, run.state.step
    checkpoint = _save(run, run.out / f"step-{step:06}", EXACT)
    if settings.compact:
        compact = CheckpointFormat(torch.bfloat16, settings.moments, settings.max_file_mib << 20)
        _save(run, run.out / f"compact-{step:06}", compact)
    export(run.assembly, run.out / WEIGHTS_NAME)
    try:
        draw_plots(run.out)
    except PlotError as error:
        run.display.say(f"no plots: {error}")
    finished = step >= run.config.total_steps
    run.display.say(f"{'finished' if finished else 'stopped'} at step {step}; checkpoint {checkpoint}")
    return Outcome(step, finished, checkpoint, run.out / WEIGHTS_NAME)
