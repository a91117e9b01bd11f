"""Train Nano's tokenizer on the text its training data is made of: byte-level BPE, digits one by one, short pieces.

    python scripts/train_tokenizer.py OUT_DIR [--size 8192]

Pieces are at most five bytes long (a leading space counts two), so that an unseen word is spelled from pieces that
training has seen often; a model that reads must spell, not guess.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from vl2.processing.boxes import LAST, format_box_list
from vl2.processing.tokenizer import SPECIAL_STRINGS, Tokenizer
from vl2.synth.ingredients import cities, companies, emails, people, sentences, streets, words

LONGEST_PIECE = 5


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=8192)
    arguments = parser.parse_args()
    backend = Backend(models.BPE())
    words = Regex(r" ?\p{N}| ?\p{L}+|[^\s\p{L}\p{N}]+|\s")
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.decoder = decoders.ByteLevel()
    specials = [AddedToken(text, special=True, normalized=False) for text in SPECIAL_STRINGS.values()]
    trainer = trainers.BpeTrainer(
        vocab_size=arguments.size, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=LONGEST_PIECE, show_progress=False,
    )  # fmt: skip
    backend.train_from_iterator(texts(), trainer)
    arguments.out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(backend)
    tokenizer.save(arguments.out)
    print(f"{tokenizer.vocab_size} tokens -> {arguments.out}")


if __name__ == "__main__":
    main()
