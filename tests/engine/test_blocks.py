"""The block pool against a plain model of it, and keys that tell prefixes and images apart."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vl2.engine.blocks import BlockPool, PrefixKeys


def test_blocks_are_held_found_and_used_anew() -> None:
    pool = BlockPool(3)
    first = pool.allocate(2)
    for block, key in zip(first, (b"a", b"ab"), strict=True):
        pool.remember(block, key)
    assert pool.find([b"a", b"ab", b"abc"]) == first
    assert pool.find([b"x", b"ab"]) == []
    pool.release(first)
    assert pool.num_free == 3
    assert pool.find([b"a", b"ab"]) == first  # free, yet known
    pool.hold(pool.find([b"a"]))
    assert pool.num_free == 2
    pool.allocate(2)  # the block that was never used, then the end of the prefix
    assert pool.find([b"a", b"ab"]) == first[:1]
    with pytest.raises(ValueError, match="1 blocks asked for, 0 free"):
        pool.allocate(1)


def test_a_block_cannot_be_released_twice() -> None:
    pool = BlockPool(1)
    blocks = pool.allocate(1)
    pool.release(blocks)
    with pytest.raises(ValueError, match="held by nobody"):
        pool.release(blocks)


@given(st.data())
def test_pool_against_counting(data: st.DataObject) -> None:
    """Whatever happens, holders add up, a held block is never given away, and a key finds what it was given to."""
    pool = BlockPool(6)
    held: list[list[int]] = []
    keyed: dict[bytes, int] = {}
    for _ in range(data.draw(st.integers(1, 30))):
        action = data.draw(st.sampled_from(["allocate", "release", "remember", "share"]))
        count = Counter(block for blocks in held for block in blocks)
        assert pool.num_free == 6 - len(count)
        if action == "allocate" and pool.num_free:
            blocks = pool.allocate(data.draw(st.integers(1, pool.num_free)))
            assert not set(blocks) & set(count)
            keyed = {key: block for key, block in keyed.items() if block not in blocks}
            held.append(blocks)
        elif action == "release" and held:
            pool.release(held.pop(data.draw(st.integers(0, len(held) - 1))))
        elif action == "remember" and held and held[-1]:
            block = data.draw(st.sampled_from(held[-1]))
            key = bytes([data.draw(st.integers(0, 9))])
            if key not in keyed and block not in keyed.values():
                pool.remember(block, key)
                keyed[key] = block
        elif action == "share":
            key = bytes([data.draw(st.integers(0, 9))])
            found = pool.find([key])
            assert found == ([keyed[key]] if key in keyed else [])
            pool.hold(found)
            held.append(found)


def test_keys_depend_on_everything_before() -> None:
    one, other = PrefixKeys(2).of([1, 2, 3, 4, 5]), PrefixKeys(2).of([9, 2, 3, 4])
    assert len(one) == len(other) == 2  # full blocks only
    assert not set(one) & set(other)
    growing = PrefixKeys(2)
    assert growing.of([1, 2, 3]) == one[:1]
    assert growing.of([1, 2, 3, 4, 5]) == one


def test_images_of_the_same_placeholders_have_other_keys() -> None:
    tokens = [7] * 8
    plain = PrefixKeys(4).of(tokens)
    one = PrefixKeys(4, [(2, 4)], [b"one"]).of(tokens)
    two = PrefixKeys(4, [(2, 4)], [b"two"]).of(tokens)
    moved = PrefixKeys(4, [(3, 4)], [b"one"]).of(tokens)
    later = PrefixKeys(4, [(5, 2)], [b"one"]).of(tokens)
    assert len({keys[0] for keys in (plain, one, two, moved)}) == 4
    assert later[0] == plain[0]  # before the image nothing differs
    assert len({keys[1] for keys in (plain, one, two, moved, later)}) == 5
