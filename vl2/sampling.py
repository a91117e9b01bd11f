"""How the next token is chosen: greedy, temperature, top-k, top-p, repetition penalty, with a seed per request."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

FinishReason = Literal["stop", "length"]  # the end token or a stop string; max_tokens or the end of the context
MAX_LOGPROBS = 20


class SamplingError(ValueError):
    """A sampling option outside its range; the message names it, its value and the limit."""


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
    logprobs: report the probability of each token, and this many of the likeliest ones beside it; None reports none.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int | None = None
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    logprobs: int | None = None

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


class Sampler:
    """Chooses the tokens of one request and remembers what was said."""

    def __init__(self, params: SamplingParams, prompt_ids: list[int]) -> None:
        self._params = params
        self._seen = set(prompt_ids) if params.repetition_penalty != 1 else set()
        self._generator = torch.Generator()
        if params.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(params.seed)

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
        token = int(logits_V.argmax()) if params.temperature == 0 else self._draw(logits_V.float().cpu())
        if params.repetition_penalty != 1:
            self._seen.add(token)
        return token

    def _draw(self, logits_V: Tensor) -> int:
        params = self._params
        # float64, and the largest first made 0: no temperature above 0, however small, may overflow
        ordered, ids = ((logits_V.double() - logits_V.max()) / params.temperature).sort(descending=True, stable=True)
        if params.top_k:
            ordered, ids = ordered[: params.top_k], ids[: params.top_k]
        probabilities = ordered.softmax(-1)
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.masked_fill(before >= params.top_p, 0.0)  # the most likely token always stays
        return int(ids[torch.multinomial(probabilities, 1, generator=self._generator)])
