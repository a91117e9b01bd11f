"""How the next token is chosen: greedy, temperature, top-k, top-p, penalty, grammar, with a seed per request.

    logits of a request --Sampler.choose--> token id                  on the host, one request at a time
    logits of many, Sampler.draw of each --kernels.choose--> tokens   on their device, if all are `on_device`

Both choose the same token. The trap: a draw depends on the seed and on how many tokens the answer has, nothing else;
who chooses tokens of a request elsewhere moves `Sampler.position` on.
"""

import math
import secrets
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from vl2.kernels.choose import choose_reference

# The end token or a stop string; max_tokens, the end of the context, or what a grammar may cost; the answer went round
# in circles.
FinishReason = Literal["stop", "length", "repetition"]
MAX_LOGPROBS = 20
_TINY = 2.0**-126  # the smallest normal float32; its inverse is one, too


class SamplingError(ValueError):
    """A sampling option outside its range; the message names it, its value and the limit."""


class Matcher(Protocol):
    """Follows one answer and says what may come next."""

    def allowed(self, count: int) -> Tensor:
        """(V,) bool for the ids below `count`, on the CPU; at least one is true."""
        ...

    def advance(self, token_id: int) -> None: ...

    @property
    def error(self) -> str:
        """Why it could not go on, or ""; the end token is then all that is allowed."""
        ...


class Grammar(Protocol):
    """What answers must be like; `vl2.grammar` makes those of JSON schemas."""

    def start(self) -> Matcher: ...


@dataclass(frozen=True)
class SamplingParams:
    """Options of one request.

    temperature: 0 is greedy.
    top_p: keep the smallest set of tokens whose probability reaches this.
    top_k: keep this many tokens; 0 keeps all.
    repetition_penalty: divides positive logits of tokens already in the prompt or the answer. It damages boxes and
        tables, which repeat digits by nature; leave it at 1 for those.
    seed: the same seed gives the same answer on the same machine; None draws one.
    max_tokens: the answer ends here at the latest.
    stop: strings that end the answer and are cut from it.
    stop_repetition: end an answer that says the same again and again (`vl2.engine.repetition`) and cut it after the
        second time.
    logprobs: report the probability of each token, and this many of the likeliest ones beside it; None reports none.
    grammar: only tokens that it allows are chosen; an answer that no limit and no stop string cuts short meets it.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int | None = None
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    stop_repetition: bool = False
    logprobs: int | None = None
    grammar: Grammar | None = None

    def __post_init__(self) -> None:
        finite = math.isfinite(self.temperature) and self.temperature >= 0
        _require(finite, "temperature", self.temperature, "must be 0 (greedy) or a positive number")
        _require(0 < self.top_p <= 1, "top_p", self.top_p, "must be above 0 and at most 1")
        _require(self.top_k >= 0, "top_k", self.top_k, "must be 0 (all) or positive")
        penalty = self.repetition_penalty
        _require(1e-6 <= penalty <= 1e6, "repetition_penalty", penalty, "must be between 1e-6 and 1e6; 1 is none")
        _require(self.seed is None or 0 <= self.seed < 2**64, "seed", self.seed, "must be 0 or more and below 2**64")
        _require(self.max_tokens > 0, "max_tokens", self.max_tokens, "must be positive")
        _require(not isinstance(self.stop, str), "stop", self.stop, "must be a list of strings, not one string")
        _require(all(self.stop), "stop", self.stop, "must not hold an empty string")
        fits = self.logprobs is None or 0 <= self.logprobs <= MAX_LOGPROBS
        _require(fits, "logprobs", self.logprobs, f"must be None or 0 to {MAX_LOGPROBS}")


def _require(condition: bool, name: str, value: object, rule: str) -> None:
    if not condition:
        raise SamplingError(f"{name} = {value!r}: {rule}")


def on_device(params: SamplingParams) -> bool:
    """Whether `kernels.choose` can choose for this request: nothing but the logits and its Draw is needed."""
    return params.repetition_penalty == 1 and params.logprobs is None and params.grammar is None


class Draw(NamedTuple):
    """A request's row of the arguments of `kernels.choose`, within the ranges of their dtypes."""

    temperature: float
    top_k: int
    top_p: float
    seed: int  # the same 64 bits, signed

    @classmethod
    def of(cls, params: SamplingParams, seed: int) -> "Draw":
        temperature = min(max(params.temperature, _TINY), 1 / _TINY) if params.temperature else 0.0
        signed = seed - 2**64 if seed >= 2**63 else seed
        return cls(temperature, min(params.top_k, 2**31 - 1), max(params.top_p, _TINY), signed)


class Sampler:
    """Chooses the tokens of one request and remembers what was said.

    seed: that of the request, or one that was drawn.
    position: how many tokens the answer has.
    draw: what `kernels.choose` needs to choose the same tokens.
    """

    def __init__(self, params: SamplingParams, prompt_ids: list[int]) -> None:
        self._params = params
        self._seen = set(prompt_ids) if params.repetition_penalty != 1 else set()
        self._matcher = params.grammar.start() if params.grammar else None
        self.seed = secrets.randbits(64) if params.seed is None else params.seed
        self.position = 0
        self.draw = Draw.of(params, self.seed)

    def choose(self, logits_V: Tensor) -> int:
        """Next token id from float32 logits (V,)."""
        params = self._params
        if params.repetition_penalty != 1:
            seen = torch.tensor(sorted(self._seen), device=logits_V.device)
            penalised = logits_V[seen]
            penalty = params.repetition_penalty
            logits_V = logits_V.index_copy(
                0, seen, torch.where(penalised > 0, penalised / penalty, penalised * penalty)
            )
        if self._matcher:
            allowed_V = self._matcher.allowed(len(logits_V)).to(logits_V.device)
            lowest = torch.finfo(logits_V.dtype).min  # an allowed token comes before all others even if it is no number
            logits_V = logits_V.nan_to_num(lowest, neginf=lowest).masked_fill(~allowed_V, -torch.inf)
        token = int(logits_V.argmax()) if params.temperature == 0 else self._draw(logits_V.float().cpu())
        self.position += 1
        if params.repetition_penalty != 1:
            self._seen.add(token)
        if self._matcher:
            self._matcher.advance(token)
        return token

    @property
    def end(self) -> FinishReason:
        """What an end token that was chosen means."""
        return "length" if self._matcher and self._matcher.error else "stop"

    def _draw(self, logits_V: Tensor) -> int:
        temperature, top_k, top_p, seed = self.draw
        return int(
            choose_reference(
                logits_V[None], torch.tensor([temperature]), torch.tensor([top_k], dtype=torch.int32),
                torch.tensor([top_p]), torch.tensor([seed]), torch.tensor([self.position]),
            )
        )  # fmt: skip
