"""The engines of ranks that hold one model together take the same steps.

    first rank   submit, abort, prepare, step --commands, before each step--> every other rank does the same
                 a token that the host chose  -------------------------------> every other rank takes it

An engine's steps depend on nothing but its requests, so ranks that are told these launch the same work and choose the
same tokens. The trap: nothing may depend on the time or on what a rank alone knows; where the engine asks for memory
that is free, for a seed or for a grammar, ranks agree.
"""

import atexit
import json
import logging
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vl2.kernels.team import Team
from vl2.layout import TileGrid
from vl2.processing.render import Prompt
from vl2.processing.tiling import TiledImage
from vl2.sampling import SamplingParams

if TYPE_CHECKING:
    from vl2.engine.engine import Engine

log = logging.getLogger("vl2")


class Lockstep:
    """What the first rank tells the others. On these, `tell` and `flush` do nothing."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self._commands: list[list[Any]] = []
        self._pixels: list[np.ndarray] = []
        self._lock = threading.RLock()  # a server ends while its engine's thread may still step

    def submit(self, prompt: Prompt, params: SamplingParams, seed: int) -> None:
        """Tell of a request; `seed` is that of its sampler."""
        if not self.team.is_first:
            return
        options = {field.name: getattr(params, field.name) for field in fields(params)}
        options |= {"seed": seed, "grammar": params.grammar is not None}
        images = [
            {"shape": image.tiles_NCYX.shape, "grid": asdict(image.grid), "size": image.size} for image in prompt.images
        ]
        with self._lock:
            self._commands.append(["submit", prompt.input_ids, prompt.spans, images, options])
            self._pixels += [image.tiles_NCYX for image in prompt.images]

    def tell(self, name: str, *numbers: int) -> None:
        """Tell of anything else, with the next `flush`."""
        if self.team.is_first:
            with self._lock:
                self._commands.append([name, *numbers])

    def flush(self) -> None:
        """Send what was told."""
        if not self.team.is_first:
            return
        with self._lock:
            commands, pixels, self._commands, self._pixels = self._commands, self._pixels, [], []
            if commands == [["step"]]:  # nearly always
                self.team.share(torch.zeros(2, dtype=torch.int64))
                return
            text = json.dumps(commands).encode()
            parts = [np.frombuffer(text, np.uint8), *(tiles.reshape(-1) for tiles in pixels)]
            content = torch.from_numpy(np.concatenate(parts))
            self.team.share(torch.tensor([len(text), len(content)]))
            self.team.share(content)

    def hear(self) -> list[list[Any]]:
        """Commands of the first rank, waited for; a request comes as its prompt and its options."""
        length, size = self.team.share(torch.zeros(2, dtype=torch.int64)).tolist()
        if not length:
            return [["step"]]
        content = self.team.share(torch.empty(size, dtype=torch.uint8)).numpy()
        commands, start = json.loads(content[:length].tobytes()), length
        for command in commands:
            if command[0] == "submit":
                start = _read_request(command, content, start)
        return commands

    def token(self, choose: Callable[[Tensor], int], logits_V: Tensor) -> int:
        """What the first rank chooses."""
        with self._lock:
            chosen = choose(logits_V) if self.team.is_first else 0
            return int(self.team.share(torch.tensor([chosen])))

    def end(self) -> None:
        """Let the others go; nothing can be told any more. One that was waited for in vain would not listen."""
        if self.team.is_lost:
            return
        self.tell("end")
        self.flush()
        self.team.leave()


def in_lockstep(team: Team | None, build: Callable[[Lockstep], "Engine"]) -> Lockstep | None:
    """What the first rank gives its engine; None for a model of one process. Other ranks follow and never return.

    Args:
        build: makes a rank's engine.
    """
    if team is None:
        return None
    lockstep = Lockstep(team)
    if team.is_first:
        atexit.register(lockstep.end)
        return lockstep
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):  # sent to all; the first rank finishes, then ends the others
            signal.signal(number, signal.SIG_IGN)
    follow(lockstep, build)
    team.leave()
    sys.exit(0)


def follow(lockstep: Lockstep, build: Callable[[Lockstep], "Engine"]) -> None:
    """Do what the first rank does, until it ends."""
    engine: Engine | None = None
    while True:
        try:
            commands = lockstep.hear()
        except RuntimeError as error:  # a signal ended it, as a server's process ends, or it was killed
            log.warning("the first rank has ended (%s)", str(error).splitlines()[0][:80])
            return
        for name, *arguments in commands:
            if name == "end":
                return
            if name == "build":
                engine = build(lockstep)
                continue
            assert engine is not None, "the first rank builds its engine before it uses it"
            known = {"submit": engine.submit, "abort": engine.abort, "prepare": engine.prepare, "step": engine.step}
            known[name](*arguments)


def _read_request(command: list[Any], content: np.ndarray, start: int) -> int:
    """Make a prompt and its options of what was sent; where the next request's pixels begin."""
    _, ids, spans, images, options = command
    read: list[TiledImage] = []
    for image in images:
        stop = start + int(np.prod(image["shape"]))
        tiles_NCYX = content[start:stop].reshape(image["shape"])
        read.append(TiledImage(tiles_NCYX, TileGrid(**image["grid"]), tuple(image["size"])))
        start = stop
    grammar = _HeldByFirst() if options.pop("grammar") else None
    options["stop"] = tuple(options["stop"])
    prompt = Prompt(ids, ids, tuple((first, length) for first, length in spans), tuple(read))
    command[1:] = prompt, SamplingParams(**options, grammar=grammar)
    return start


class _HeldByFirst:
    """In the place of a grammar and of its matcher, which only the first rank has; it chooses, so nobody asks."""

    error = ""

    def start(self) -> "_HeldByFirst":
        return self

    def allowed(self, count: int) -> Tensor:
        raise AssertionError("only the first rank chooses")

    def advance(self, token_id: int) -> None:
        raise AssertionError("only the first rank chooses")
