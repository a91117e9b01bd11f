"""Put Chinese characters into a byte-level BPE tokenizer: in place of its least used merges, and behind its last id.

    counts of pieces --drop leaves of the merge tree, least used first--> free ids
    用 = E7 94 A8 --merges (E7, 94) and (E7 94, A8)--> two pieces for the first character, one for others of its pair

Every piece that stays keeps its id. The trap: a merge that another one needs is no leaf, and stays as long as that one.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Any

from tokenizers import Tokenizer as Backend
from tokenizers.pre_tokenizers import ByteLevel


def spell(text: str) -> str:
    """The characters that stand for the UTF-8 bytes of a text in byte-level vocabularies."""
    return ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)[0][0]


def pieces_of(characters: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Pieces that characters need, each with the two it is merged from; a pair comes before its characters."""
    found: dict[str, tuple[str, str]] = {}
    for spelled in map(spell, characters):
        for end in range(2, len(spelled) + 1):
            found[spelled[:end]] = (spelled[: end - 1], spelled[end - 1])
    return found


def count_pieces(backend: Backend, texts: Iterable[str]) -> Counter[str]:
    """How often each piece stands in the encoded texts."""
    counts: Counter[str] = Counter()
    for encoding in backend.encode_batch(list(texts), add_special_tokens=False):
        counts.update(encoding.tokens)
    return counts


def least_used(merges: Sequence[tuple[str, str]], counts: Counter[str], number: int) -> list[str]:
    """Pieces to drop, in order. One that is gone is written with the two it was made of, which are used more then."""
    made_of = {left + right: (left, right) for left, right in merges}
    assert len(made_of) == len(merges)
    needed_by = Counter(part for parts in made_of.values() for part in parts)
    used = Counter(counts)
    queue = [(used[piece], piece) for piece in made_of if not needed_by[piece]]
    heapq.heapify(queue)
    dropped: list[str] = []
    while len(dropped) < number:
        count, piece = heapq.heappop(queue)
        dropped.append(piece)
        for part in made_of[piece]:
            used[part] += count
            needed_by[part] -= 1
            if part in made_of and not needed_by[part]:
                heapq.heappush(queue, (used[part], part))
    return dropped


def grow(definition: dict[str, Any], characters: Sequence[str], counts: Counter[str], size: int) -> dict[str, Any]:
    """A tokenizer.json of `size` ids in which every one of `characters` is one piece.

    Args:
        definition: the tokenizer.json to grow; its ids leave no gap.
        counts: how often its pieces are used.
    """
    grown = deepcopy(definition)
    vocabulary: dict[str, int] = grown["model"]["vocab"]
    merges = [tuple(merge) for merge in grown["model"]["merges"]]
    wanted = {piece: parts for piece, parts in pieces_of(characters).items() if piece not in vocabulary}
    dropped = least_used(merges, counts, max(len(vocabulary) + len(wanted) - size, 0))
    ids = [*sorted(vocabulary.pop(piece) for piece in dropped), *range(len(definition["model"]["vocab"]), size)]
    vocabulary |= dict(zip(wanted, ids, strict=False))  # no id is left out, there may be some too many
    gone = set(dropped)
    grown["model"]["merges"] = [list(m) for m in (*merges, *wanted.values()) if "".join(m) not in gone]
    return grown
