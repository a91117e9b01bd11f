"""The engine's vocabulary: what comes in, what runs, what one step does, what comes out. No tensors."""

from dataclasses import dataclass, field

from vl2.engine.blocks import PrefixKeys
from vl2.processing.render import Prompt
from vl2.sampling import Draw, FinishReason, SamplingParams

UNKNOWN = -1


class CapacityError(ValueError):
    """A request that could never run in this cache; gives the numbers."""


@dataclass(eq=False)
class Sequence:
    """A request that runs, waits, or waits again.

    request_id: its number.
    tokens: the prompt's, then the generated ones, as far as the host knows them.
    limit: most tokens it may generate.
    draw: how its tokens are chosen on the device.
    digests: of the prompt's images.
    keys: of its full blocks.
    num_computed: tokens whose keys and values are in the cache, or will be when the steps under way are done.
    num_pending: tokens chosen by a step whose outcome the host has not seen yet; 0 or 1.
    blocks: its block table; num_remembered: how many of them can be found by their keys.
    num_found: of its first tokens, how many were cached already when it first ran.
    slot: its place among those that run, where its newest token lies on the device; -1 if it does not run.
    drafts: tokens that may follow; the next step checks them if it has room.
    """

    request_id: int
    prompt: Prompt
    params: SamplingParams
    limit: int
    draw: Draw
    digests: tuple[bytes, ...]
    keys: PrefixKeys
    tokens: list[int] = field(init=False)
    num_computed: int = 0
    num_pending: int = 0
    blocks: list[int] = field(default_factory=list)
    num_remembered: int = 0
    num_found: int | None = None
    slot: int = -1
    drafts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tokens = list(self.prompt.input_ids)

    @property
    def num_generated(self) -> int:
        return len(self.tokens) - len(self.prompt.input_ids)

    @property
    def num_left(self) -> int:
        """Tokens that have to be computed before the next one can be chosen."""
        return len(self.tokens) + self.num_pending - self.num_computed

    @property
    def is_running(self) -> bool:
        return self.slot >= 0

    @property
    def is_full(self) -> bool:
        """Whether it has all tokens that it may generate, the pending one among them."""
        return self.num_generated + self.num_pending >= self.limit


@dataclass(frozen=True)
class Chunk:
    """What a step computes of one sequence: `count` tokens from `start`, the last `num_drafts` of them drafts."""

    sequence: Sequence
    start: int
    count: int
    num_drafts: int = 0

    @property
    def tokens(self) -> list[int]:
        """Ids, UNKNOWN for one that only the device knows."""
        known = self.sequence.tokens[self.start : self.start + self.count]
        return known + [UNKNOWN] * (self.count - len(known) - self.num_drafts) + self.sequence.drafts[: self.num_drafts]

    @property
    def is_unknown(self) -> bool:
        """Whether its last token is one that only the device knows."""
        return self.start + self.count - self.num_drafts > len(self.sequence.tokens)

    @property
    def num_choices(self) -> int:
        """Tokens that can be chosen afterwards: the next one, and one after each draft."""
        sequence = self.sequence
        ends = self.start + self.count - self.num_drafts == len(sequence.tokens) + sequence.num_pending
        return 1 + self.num_drafts if ends else 0


@dataclass(frozen=True)
class TokenLogprob:
    """A token and the logarithm of its probability before temperature and filters."""

    token_id: int
    logprob: float


@dataclass(frozen=True)
class StepOutput:
    """One generated token of one request; `finish` is set on its last. The end token itself is reported, too.

    logprob: of the token, if asked for; top_logprobs: of the likeliest tokens, likeliest first.
    num_found: tokens of the prompt that were cached already.
    """

    request_id: int
    token_id: int
    finish: FinishReason | None
    logprob: float | None = None
    top_logprobs: tuple[TokenLogprob, ...] = ()
    num_found: int = 0


@dataclass(frozen=True)
class EngineStats:
    """Where an engine stands, and what it did since it was built."""

    num_running: int
    num_waiting: int
    num_blocks: int
    num_free_blocks: int
    num_steps: int
    num_computed_tokens: int
    num_cached_tokens: int
    num_generated_tokens: int
    num_preemptions: int
    num_drafts: int
    num_accepted_drafts: int
    num_encoded_images: int
    num_reused_images: int
