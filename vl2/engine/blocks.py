"""Blocks of the paged cache: who holds them, and which of them hold a known prefix. No tensors.

    keys of a prompt's full blocks --find--> blocks that hold that prefix already
    allocate, hold --> block table of a sequence --release--> free, and still known by key until used anew

A key names everything from the start of the sequence to the end of its block: token ids, and for image tokens the
image's digest and the place in it. Two images never share a key, although their placeholders are the same token.
The trap: a block that holds a known prefix may be free; it is lost only when `allocate` needs it.
"""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256


class BlockPool:
    """Reference counts of `num_blocks` blocks."""

    def __init__(self, num_blocks: int) -> None:
        self.num_blocks = num_blocks
        self._holders = [0] * num_blocks
        self._keys: list[bytes | None] = [None] * num_blocks
        self._known: dict[bytes, int] = {}
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(num_blocks))  # the first is used next

    @property
    def num_free(self) -> int:
        """Blocks that `allocate` could give, those with a known prefix among them."""
        return len(self._free)

    def find(self, keys: Sequence[bytes]) -> list[int]:
        """Blocks that hold the longest known beginning of `keys`; nobody's hold changes."""
        found: list[int] = []
        for key in keys:
            block = self._known.get(key)
            if block is None:
                break
            found.append(block)
        return found

    def hold(self, blocks: Sequence[int]) -> None:
        """One more sequence holds these blocks."""
        for block in blocks:
            self._free.pop(block, None)
            self._holders[block] += 1

    def allocate(self, count: int) -> list[int]:
        """Free blocks, held once, the longest unused first; what they held is forgotten."""
        if count > len(self._free):
            raise ValueError(f"{count} blocks asked for, {len(self._free)} free")
        blocks = [self._free.popitem(last=False)[0] for _ in range(count)]
        for block in blocks:
            self._holders[block] = 1
            self._forget(block)
        return blocks

    def release(self, blocks: Sequence[int]) -> None:
        """One sequence less holds these blocks. The end of a prefix is used anew before its beginning."""
        for block in reversed(blocks):
            if self._holders[block] == 0:
                raise ValueError(f"block {block} is held by nobody")
            self._holders[block] -= 1
            if self._holders[block] == 0:
                self._free[block] = None
                if self._keys[block] is None:
                    self._free.move_to_end(block, last=False)  # holds nothing worth keeping

    def remember(self, block: int, key: bytes) -> None:
        """A held block is full and may be found by its key; a key that is known stays with its first block."""
        if key not in self._known:
            self._known[key], self._keys[block] = block, key

    def _forget(self, block: int) -> None:
        key = self._keys[block]
        if key is not None:
            del self._known[key]
            self._keys[block] = None


class PrefixKeys:
    """Keys of the full blocks of a sequence that grows.

    Args:
        block_size: tokens of a block.
        spans: (start, length) of the placeholders of each image.
        digests: of the images, in the same order.
    """

    def __init__(self, block_size: int, spans: Sequence[tuple[int, int]] = (), digests: Sequence[bytes] = ()) -> None:
        self._size, self._spans, self._digests = block_size, tuple(spans), tuple(digests)
        self._keys: list[bytes] = []

    def of(self, tokens: Sequence[int]) -> list[bytes]:
        """Keys of all full blocks of `tokens`, which may only have become longer since the last call."""
        for number in range(len(self._keys), len(tokens) // self._size):
            start, end = number * self._size, (number + 1) * self._size
            digest = sha256(self._keys[-1] if self._keys else b"")
            digest.update(b"".join(token.to_bytes(8, "little") for token in tokens[start:end]))
            for (first, length), image in zip(self._spans, self._digests, strict=True):
                if first < end and start < first + length:
                    digest.update(image + (start - first).to_bytes(8, "little", signed=True))
            self._keys.append(digest.digest())
        return self._keys
