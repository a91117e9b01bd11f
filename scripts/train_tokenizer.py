"""Train Nano's tokenizer on the text its training data is made of: byte-level BPE, digits one by one, short pieces.

    python scripts/train_tokenizer.py OUT_DIR [--size 8192]                          from nothing, in English
    python scripts/train_tokenizer.py OUT_DIR --grow vl2/weights/nano --size 9728    one more language, ids kept

Pieces are at most five bytes long (a leading space counts two), so that an unseen word is spelled from pieces that
training has seen often; a model that reads must spell, not guess. For the same reason a piece holds one Chinese
character at most. `--grow` (scripts/grow_tokenizer.py) drops the English pieces that training uses least, and prints
what both languages cost before and after. The trap: it counts what the data engine of today draws.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from grow_tokenizer import count_pieces, grow
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from vl2.data.dialogue import sample_conversations
from vl2.processing.boxes import LAST, format_box_list
from vl2.processing.messages import Ref, Text
from vl2.processing.tokenizer import SPECIAL_STRINGS, Tokenizer
from vl2.synth import han
from vl2.synth.ingredients import cities, companies, emails, people, sentences, streets, words
from vl2.synth.registry import generate

LONGEST_PIECE = 5
NUM_CHARACTERS = 3100
ENGLISH = (
    "line", "paragraph", "page", "receipt", "form", "table", "chart", "ground", "count", "scene", "caption", "invoice",
    "card", "flow", "merged-table", "dialogue", "pointing", "compare",
)  # fmt: skip
CHINESE = (
    "line-zh", "paragraph-zh", "page-zh", "receipt-zh", "form-zh", "invoice-zh", "card-zh", "flow-zh",
    "merged-table-zh",
)  # fmt: skip
SAMPLES, SEED, QUESTIONS = 200, 11, 12


def texts() -> Iterator[str]:
    """The training split's text, in the letter cases that documents use, and what answers about places look like."""
    rng = np.random.default_rng(0)
    pools = (sentences, companies, streets, cities, emails, people)
    for pool in pools:
        yield from pool("train")
    for word in words("train"):
        yield f" {word} {word.title()} {word.upper()}"
    for _ in range(2000):
        count = int(rng.integers(1, 4))
        yield format_box_list(rng.integers(0, LAST + 1, (count, 4)).tolist())
        yield f"{rng.integers(1, 10**4)}.{rng.integers(100):02} {rng.integers(1, 29):02}/{rng.integers(1, 13):02}/20"


def drawn(tasks: tuple[str, ...]) -> Iterator[str]:
    """What is said in conversations about samples of these tasks: questions, answers, phrases."""
    for task in tasks:
        for index in range(SAMPLES):
            sample = generate(task, SEED, index)
            for message in sample_conversations(sample, np.random.default_rng(index), QUESTIONS)[0]:
                for part in message.parts:
                    if isinstance(part, Text | Ref):
                        yield part.text if isinstance(part, Text) else part.phrase


def chinese_texts() -> Iterator[str]:
    """The training split's Chinese text."""
    for name in ("words", "sentences", "given_names", "cities", "companies", "jobs"):
        yield from han.pool(name, "train")
    yield from han.pool("surnames", "shared")


def used_characters(texts: list[str], number: int) -> list[str]:
    """Chinese punctuation and the most used Chinese characters; those used equally often as jieba ranks them."""
    counts, rank = Counter(char for text in texts for char in text), {c: i for i, c in enumerate(han.characters())}
    return [*han.PUNCTUATION, *sorted(rank, key=lambda char: (-counts[char], rank[char]))][:number]


def grown(directory: Path, size: int, number: int) -> Backend:
    """The tokenizer of a directory with `number` Chinese characters, and what it costs, printed."""
    definition = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
    english, chinese = list(drawn(ENGLISH)), list(drawn(CHINESE))
    before = Backend.from_str(json.dumps(definition))
    characters = used_characters([*chinese_texts(), *chinese], number)
    after = Backend.from_str(
        json.dumps(grow(definition, characters, count_pieces(before, [*texts(), *english, *chinese]), size))
    )
    for name, measured in (
        ("English, as drawn", english),
        ("English sentences", sentences("train")),
        ("English words", [f" {word}" for word in words("train")]),
        ("Chinese, as drawn", chinese),
        ("Chinese sentences", han.pool("sentences", "train")),
        ("Chinese words", han.pool("words", "train")),
    ):
        costs = [count_pieces(b, measured).total() / sum(map(len, measured)) for b in (before, after)]
        print(f"{name}: {costs[0]:.4f} tokens a character before, {costs[1]:.4f} after")
    kept = before.get_vocab().keys() & after.get_vocab().keys()
    print(f"{before.get_vocab_size() - len(kept)} pieces dropped, {after.get_vocab_size() - len(kept)} new ones")
    return after


def trained(size: int) -> Backend:
    """A new tokenizer, of English."""
    backend = Backend(models.BPE())
    words = Regex(r" ?\p{N}| ?\p{L}+|[^\s\p{L}\p{N}]+|\s")
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.decoder = decoders.ByteLevel()
    specials = [AddedToken(text, special=True, normalized=False) for text in SPECIAL_STRINGS.values()]
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=LONGEST_PIECE, show_progress=False,
    )  # fmt: skip
    backend.train_from_iterator(texts(), trainer)
    return backend


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=8192)
    parser.add_argument("--grow", type=Path, help="directory of the tokenizer to put Chinese into")
    parser.add_argument("--characters", type=int, default=NUM_CHARACTERS, help="Chinese characters that get an id")
    arguments = parser.parse_args()
    size = arguments.size
    backend = grown(arguments.grow, size, arguments.characters) if arguments.grow else trained(size)
    arguments.out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(backend)
    tokenizer.save(arguments.out)
    print(f"{tokenizer.vocab_size} tokens -> {arguments.out}")


if __name__ == "__main__":
    main()
