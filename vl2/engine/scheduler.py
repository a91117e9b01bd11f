"""What the next step computes: running sequences that only need their newest token first, then prompts. No tensors.

    add --> waiting --admit--> running --schedule--> chunks of one step --advance--> ... --finish--> gone
                ^-------------preempt-------------|

First come, first served: nobody overtakes in the queue, and when blocks run out the youngest running sequence gives
its own back and waits again, first in the queue. The oldest one can therefore always go on, and everyone finishes.
A step with prompts costs more than its tokens do, so prompts gather for a few steps where many others decode. The
trap: a preempted sequence keeps its generated tokens; they are computed again as if they were a prompt.
"""

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from vl2.engine.blocks import BlockPool
from vl2.engine.types import CapacityError, Chunk, Sequence


class Scheduler:
    """Queues of sequences over a pool of blocks.

    Args:
        block_size: tokens of a block.
        max_running: sequences that may run at a time.
        step_tokens: tokens that one step may compute.
        prefix_cache: whether full blocks are remembered and found again.
        deterministic: how a sequence is cut into chunks depends on nothing but itself: its prompt comes in pieces of
            one size, each waiting until a step has room for it, and generated tokens one by one, even a second time.
        patience: for how many steps prompts wait for more of them, while half of those that may run are decoding.
    """

    def __init__(
        self, pool: BlockPool, block_size: int, *, max_running: int, step_tokens: int, prefix_cache: bool = True,
        deterministic: bool = False, patience: int = 0,
    ) -> None:  # fmt: skip
        if max_running < 1 or step_tokens < max_running:
            raise ValueError(f"step_tokens = {step_tokens}: must be at least max_running = {max_running}, and that 1")
        self.pool, self.block_size = pool, block_size
        self.max_running, self.step_tokens, self.prefix_cache = max_running, step_tokens, prefix_cache
        self.deterministic, self.patience = deterministic, patience
        self._waited = 0
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []  # oldest admission first
        self._slots = list(range(max_running - 1, -1, -1))
        self.is_ready: Callable[[Sequence], bool] = lambda _: True  # whether the images of one that waits are encoded
        self.num_preemptions = 0
        self.num_cached_tokens = 0

    def check(self, num_prompt_tokens: int, limit: int) -> None:
        """Raises CapacityError if a request of this size could not finish even alone."""
        most = num_prompt_tokens + limit - 1  # the last token is never computed
        if self._blocks_for(most) > self.pool.num_blocks:
            capacity = self.pool.num_blocks * self.block_size
            raise CapacityError(
                f"a prompt of {num_prompt_tokens} tokens and an answer of up to {limit} need {most} tokens of cache, "
                f"which holds {capacity}; lower max_tokens or give the engine a larger cache"
            )

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence. Raises CapacityError if it could not finish even alone."""
        self.check(len(sequence.tokens), sequence.limit)
        self.waiting.append(sequence)

    def schedule(self) -> list[Chunk]:
        """The chunks of the next step, at most one for each running sequence; their blocks are allocated."""
        chunks: dict[Sequence, Chunk] = {}
        left = self.step_tokens
        by_age = [sequence for sequence in self.running if not sequence.is_full]
        for sequence in [s for s in by_age if s.num_left == 1] + [s for s in by_age if s.num_left > 1]:
            if sequence.is_running and (count := self._count(sequence, left)):
                left -= self._extend(sequence, count, chunks)
        gather = self._gathers(chunks)
        while not gather and left and self._has_candidate and self._may_start(chunks, left):
            sequence = self.running[-1]
            if count := self._count(sequence, left):
                left -= self._extend(sequence, count, chunks)
        self._add_drafts(chunks, left)
        return list(chunks.values())

    def advance(self, chunk: Chunk) -> None:
        """A chunk is under way: what it computes counts, of the tokens it chooses the first, and no draft yet."""
        sequence = chunk.sequence
        chooses = chunk.num_choices > 0
        sequence.num_computed += chunk.count - chunk.num_drafts
        sequence.num_pending += chooses
        self._remember(sequence)

    def accept(self, sequence: Sequence, tokens: list[int]) -> None:
        """What a step chose has become known: the pending token, and as many more as drafts were right."""
        sequence.tokens += tokens
        sequence.num_pending -= 1
        sequence.num_computed += len(tokens) - 1
        self._remember(sequence)

    def _remember(self, sequence: Sequence) -> None:
        """Blocks that are full of known tokens can be found by others."""
        full = min(sequence.num_computed, len(sequence.tokens)) // self.block_size
        if not self.prefix_cache or not sequence.is_running or full <= sequence.num_remembered:
            return
        keys = sequence.keys.of(sequence.tokens)
        for number in range(sequence.num_remembered, full):
            self.pool.remember(sequence.blocks[number], keys[number])
        sequence.num_remembered = full

    def finish(self, sequence: Sequence) -> None:
        """Forget a sequence, whether it is done or not wanted any more."""
        if sequence.is_running:
            self.running.remove(sequence)
            self._give_back(sequence)
        else:
            self.waiting.remove(sequence)

    def _count(self, sequence: Sequence, left: int) -> int:
        """How many tokens of a sequence a step with room for `left` computes."""
        if not self.deterministic:
            return min(sequence.num_left, left)
        piece = self.step_tokens - self.max_running + 1  # fits beside the newest tokens of all others
        count = min(max(len(sequence.prompt.input_ids) - sequence.num_computed, 1), piece)
        return count if count <= left else 0

    def _blocks_for(self, tokens: int) -> int:
        return -(-tokens // self.block_size)

    def _extend(self, sequence: Sequence, count: int, chunks: dict[Sequence, Chunk]) -> int:
        """Allocate for `count` more tokens and add the chunk; returns 0 if the sequence itself had to give way."""
        missing = self._blocks_for(sequence.num_computed + count) - len(sequence.blocks)
        while missing > self.pool.num_free:
            victim = self.running[-1]
            self._preempt(victim)
            chunks.pop(victim, None)
            if victim is sequence:
                return 0
        sequence.blocks += self.pool.allocate(max(missing, 0))
        chunks[sequence] = Chunk(sequence, sequence.num_computed, count)
        return count

    def _add_drafts(self, chunks: dict[Sequence, Chunk], left: int) -> None:
        """Let chunks that choose check drafts, too, in what is left of the step and of the blocks."""
        for sequence, chunk in chunks.items():
            drafts = min(len(sequence.drafts), left) if chunk.num_choices else 0
            missing = self._blocks_for(chunk.start + chunk.count + drafts) - len(sequence.blocks)
            if drafts < 1 or missing > self.pool.num_free:
                continue
            sequence.blocks += self.pool.allocate(max(missing, 0))
            chunks[sequence] = replace(chunk, count=chunk.count + drafts, num_drafts=drafts)
            left -= drafts

    @property
    def _has_candidate(self) -> bool:
        return bool(self.waiting) and len(self.running) < self.max_running

    def _gathers(self, chunks: dict[Sequence, Chunk]) -> bool:
        """Whether prompts wait for a later step, which more of them will share."""
        decodes = 2 * len(chunks) >= self.max_running and all(chunk.count == 1 for chunk in chunks.values())
        if not decodes or not self._has_candidate or self._waited >= self.patience:
            self._waited = 0
            return False
        room = self.max_running - len(self.running)
        tokens = sum(len(sequence.tokens) for sequence in itertools.islice(self.waiting, room))
        if tokens >= self.step_tokens // 2:
            self._waited = 0
            return False
        self._waited += 1
        return True

    def upcoming(self, count: int) -> list[tuple[Sequence, int]]:
        """The first sequences of the queue, with how many of their tokens are cached already."""
        return [(one, len(self._known(one)) * self.block_size) for one in itertools.islice(self.waiting, count)]

    def _may_start(self, chunks: dict[Sequence, Chunk], left: int) -> bool:
        """Whether the first of the queue has been let in.

        Nobody waits for its images when there is nothing to do. A prompt that a later step can take whole is not cut.
        """
        first = self.waiting[0]
        if not chunks:
            return self._admit(first)
        missing = len(first.tokens) - len(self._known(first)) * self.block_size
        fits = missing <= left or missing > self.step_tokens - self.max_running
        return fits and self.is_ready(first) and self._admit(first)

    def _known(self, sequence: Sequence) -> list[int]:
        """Cached blocks of a sequence's beginning; at least one token is left, for there is no logit without one."""
        if not self.prefix_cache:
            return []
        return self.pool.find(sequence.keys.of(sequence.tokens)[: (len(sequence.tokens) - 1) // self.block_size])

    def _admit(self, sequence: Sequence) -> bool:
        """Let the first of the queue run if all it has now would fit beside the others."""
        if sequence.num_pending:  # it has just given way, and nobody knows yet with which token it goes on
            return False
        found = self._known(sequence)
        self.pool.hold(found)
        if self._blocks_for(len(sequence.tokens)) - len(found) > self.pool.num_free:
            self.pool.release(found)
            return False
        self.waiting.popleft()
        self.running.append(sequence)
        sequence.blocks, sequence.num_remembered = found, len(found)
        sequence.num_computed = len(found) * self.block_size
        if sequence.num_found is None:
            sequence.num_found = sequence.num_computed
        sequence.slot = self._slots.pop()
        self.num_cached_tokens += sequence.num_computed
        return True

    def _preempt(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self._give_back(sequence)
        self.waiting.appendleft(sequence)
        self.num_preemptions += 1

    def _give_back(self, sequence: Sequence) -> None:
        self.pool.release(sequence.blocks)
        self._slots.append(sequence.slot)
        sequence.blocks, sequence.num_computed, sequence.num_remembered, sequence.slot = [], 0, 0, -1
