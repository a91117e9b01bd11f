"""The scheduler without any model: random requests, aborts and tiny pools."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vl2.engine.blocks import BlockPool, PrefixKeys
from vl2.engine.scheduler import Scheduler
from vl2.engine.types import CapacityError, Chunk, Sequence
from vl2.processing.render import Prompt
from vl2.sampling import Draw, SamplingParams

BLOCK = 4


def sequence(number: int, length: int, limit: int, start: int = 0) -> Sequence:
    ids = [start + place for place in range(length)]
    return Sequence(
        number, Prompt(ids, ids, (), ()), SamplingParams(), limit, Draw.of(SamplingParams(), 0), (), PrefixKeys(BLOCK)
    )


def scheduler(num_blocks: int, step_tokens: int = 8, patience: int = 0) -> Scheduler:
    return Scheduler(BlockPool(num_blocks), BLOCK, max_running=4, step_tokens=step_tokens, patience=patience)


def run(plan: Scheduler) -> list[Chunk]:
    """One step in which every sequence that may choose learns a token and ends at its limit."""
    chunks = plan.schedule()
    learn(plan, launch(plan, chunks))
    return chunks


def launch(plan: Scheduler, chunks: list[Chunk]) -> list[Sequence]:
    """The sequences that choose a token in these chunks."""
    choosing = [chunk.sequence for chunk in chunks if chunk.num_choices]
    for chunk in chunks:
        plan.advance(chunk)
    return choosing


def learn(plan: Scheduler, choosing: list[Sequence]) -> None:
    for one in choosing:
        if one in plan.running or one in plan.waiting:
            plan.accept(one, [1000 + one.num_generated])
            if one.num_generated == one.limit:
                plan.finish(one)


def test_decoding_comes_before_prompts_and_long_prompts_come_in_chunks() -> None:
    plan = scheduler(32)
    first, long = sequence(0, 3, 9), sequence(1, 20, 2, 100)
    plan.add(first)
    plan.add(long)
    steps = [[(c.sequence, c.start, c.count) for c in run(plan)] for _ in range(4)]
    assert steps[0] == [(first, 0, 3), (long, 0, 5)]
    assert steps[1] == [(first, 3, 1), (long, 5, 7)]
    assert steps[2] == [(first, 4, 1), (long, 12, 7)]
    assert steps[3] == [(first, 5, 1), (long, 19, 1)]


def test_a_prompt_that_the_next_step_takes_whole_is_not_cut() -> None:
    plan = scheduler(32, step_tokens=12)
    first, second, third = sequence(0, 6, 9), sequence(1, 7, 2, 100), sequence(2, 3, 2, 200)
    for one in (first, second, third):
        plan.add(one)
    steps = [[(c.sequence, c.start, c.count) for c in run(plan)] for _ in range(2)]
    assert steps == [[(first, 0, 6)], [(first, 6, 1), (second, 0, 7), (third, 0, 3)]]


def test_prompts_gather_where_many_decode() -> None:
    """For some steps, until they fill half of one; not while few decode."""
    plan = scheduler(64, step_tokens=16, patience=3)
    running = [sequence(number, 2, 30, 100 * number) for number in range(2)]
    for one in running:
        plan.add(one)
    assert len(run(plan)) == 2
    late = sequence(5, 3, 2, 500)
    plan.add(late)
    counts = [len(run(plan)) for _ in range(4)]
    assert counts == [2, 2, 2, 3]  # alone, it is patient
    more = [sequence(6, 3, 30, 600), sequence(7, 5, 30, 700)]
    for one in more:
        plan.add(one)
    run(plan)
    assert not any(one.is_running for one in more)  # there is room for one, which is little
    run(plan)  # late is done now
    assert all(one.is_running for one in more)  # together they are enough
    few = Scheduler(BlockPool(64), BLOCK, max_running=8, step_tokens=16, patience=3)
    for one in (sequence(0, 2, 30), sequence(1, 2, 30, 50)):
        few.add(one)
    run(few)
    few.add(sequence(2, 2, 30, 100))
    assert len(run(few)) == 3


def test_drafts_take_only_what_nobody_needs() -> None:
    """They fit what is left of the step and the free blocks; right ones count as computed, wrong ones never were."""
    plan = scheduler(3, step_tokens=6)
    first, second = sequence(0, 4, 6), sequence(1, 3, 1, 100)
    plan.add(first)
    run(plan)
    first.drafts = [7] * 9
    plan.add(second)
    (drafted, other) = plan.schedule()
    assert (drafted.sequence, drafted.start, drafted.count, drafted.num_drafts) == (first, 4, 3, 2)
    assert drafted.tokens == [*first.tokens[4:], 7, 7]
    assert drafted.num_choices == 3
    assert (other.sequence, other.count) == (second, 3)
    plan.advance(drafted)
    assert first.num_computed == 5
    plan.accept(first, [7, 8])
    assert first.num_computed == 6
    assert not plan.num_preemptions


def test_nobody_overtakes_in_the_queue() -> None:
    plan = scheduler(6)
    big, bigger, small = sequence(0, 16, 2), sequence(1, 20, 2, 100), sequence(2, 2, 2, 200)
    for one in (big, bigger, small):
        plan.add(one)
    run(plan)
    assert plan.running == [big]  # the next needs 5 blocks of the 2 that are left; the small one waits behind it
    assert list(plan.waiting) == [bigger, small]


def test_the_youngest_gives_way() -> None:
    plan = scheduler(4)
    old, young = sequence(0, 7, 6), sequence(1, 7, 6, 100)
    plan.add(old)
    plan.add(young)
    while not plan.num_preemptions:
        run(plan)
    assert plan.running == [old]
    assert list(plan.waiting) == [young]
    assert young.blocks == []
    assert young.num_generated > 0  # kept
    while plan.running or plan.waiting:
        run(plan)
    assert young.num_generated == 6


def test_what_can_never_fit_is_refused_with_numbers() -> None:
    plan = scheduler(3)
    plan.add(sequence(0, 8, 5))  # the last of 13 tokens is never computed
    with pytest.raises(CapacityError, match="answer of up to 6 need 13 tokens of cache, which holds 12"):
        plan.add(sequence(1, 8, 6))
    with pytest.raises(ValueError, match="step_tokens = 3: must be at least max_running = 4"):
        scheduler(3, step_tokens=3)


def test_a_known_prefix_is_not_computed_again() -> None:
    plan = scheduler(16)
    plan.add(sequence(0, 9, 1))
    run(plan)
    run(plan)
    same = sequence(1, 8, 2)  # all of it is known, but one token has to be computed
    longer = sequence(2, 11, 2)
    plan.add(same)
    plan.add(longer)
    assert [(c.sequence, c.start, c.count) for c in run(plan)] == [(same, 4, 4), (longer, 8, 3)]
    assert same.blocks[0] == longer.blocks[0]
    assert plan.num_cached_tokens == 12


def test_without_the_prefix_cache_everything_is_computed() -> None:
    plan = Scheduler(BlockPool(16), BLOCK, max_running=4, step_tokens=64, prefix_cache=False)
    for number in range(2):
        plan.add(sequence(number, 9, 1))
        assert [chunk.start for chunk in run(plan)] == [0]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_random_traffic(seed: int) -> None:
    """Every request finishes with all its tokens, in bounded time, and no block is shared by mistake."""
    rng = Random(seed)
    num_blocks, step_tokens = rng.randint(4, 12), rng.randint(4, 24)
    plan = scheduler(num_blocks, step_tokens=step_tokens, patience=rng.choice([0, 3]))
    ahead = rng.random() < 0.5  # the next step is planned before this one's tokens are known
    under_way: list[Sequence] = []
    alive: list[Sequence] = []
    work = 0
    arrivals = rng.randint(1, 8)
    steps = 0
    for steps in range(2000):
        if arrivals and rng.random() < 0.5:
            arrivals -= 1
            length = rng.randint(1, 4 * num_blocks - 4)
            limit = rng.randint(1, min(9, 4 * num_blocks - length + 1))
            new = sequence(steps, length, limit, rng.choice([0, 0, 500]))
            plan.add(new)
            alive.append(new)
            work += length + limit
        if alive and rng.random() < 0.05:
            gone = alive.pop(rng.randrange(len(alive)))
            if gone in plan.running or gone in plan.waiting:
                plan.finish(gone)
        chunks = plan.schedule()
        launched = launch(plan, chunks)
        learned, under_way = (under_way, launched) if ahead else (launched, [])
        waited_for = bool(learned)
        assert sum(chunk.count for chunk in chunks) <= step_tokens
        assert len({chunk.sequence for chunk in chunks}) == len(chunks)
        assert not plan.running or chunks or waited_for  # somebody always goes on
        assert len(plan.running) <= plan.max_running
        holders = Counter(block for one in plan.running for block in one.blocks)
        assert plan.pool.num_free == num_blocks - len(holders)
        for one in plan.running:
            assert len(one.blocks) * BLOCK >= one.num_computed
            for place, block in enumerate(one.blocks):
                if holders[block] > 1:  # only full blocks of an equal prefix
                    others = [o for o in plan.running if block in o.blocks]
                    assert len({tuple(o.tokens[: (place + 1) * BLOCK]) for o in others}) == 1
        learn(plan, learned)
        if not arrivals and not plan.running and not plan.waiting:
            break
    assert not plan.running
    assert not plan.waiting
    assert plan.pool.num_free == num_blocks
    assert all(one.num_generated == one.limit for one in alive)
    assert steps <= 60 + 8 * work
