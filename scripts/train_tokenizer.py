"""Train Nano's tokenizer on the text its training data is made of: byte-level BPE, digits one by one, short pieces.

    python scripts/train_tokenizer.py OUT_DIR [--size 8192]

Pieces are at most four bytes long, so that an unseen word is spelled from pieces that training has seen often; a model
that reads must spell, not guess.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from vl2.processing.tokenizer import SPECIAL_STRINGS, Tokenizer
from vl2.synth.registry import TASKS, generate

LONGEST_PIECE = 4


def texts(per_task: int) -> Iterator[str]:
    """Questions and answers of the training split."""
    for task in TASKS:
        for index in range(per_task):
            for question in generate(task, 0, index, "train").questions:
                yield question.text
                yield from question.answers[:1]
    rng = np.random.default_rng(0)
    for _ in range(per_task):  # coordinates, so that their separators become single pieces
        yield "[[" + ", ".join(str(n) for n in rng.integers(0, 1000, 4)) + "]]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=8192)
    parser.add_argument("--per-task", type=int, default=1500)
    arguments = parser.parse_args()
    backend = Backend(models.BPE())
    words = Regex(r"\p{N}|[^\s\p{L}\p{N}]| ?\p{L}+|\s+(?!\S)|\s")
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.decoder = decoders.ByteLevel()
    specials = [AddedToken(text, special=True, normalized=False) for text in SPECIAL_STRINGS.values()]
    trainer = trainers.BpeTrainer(
        vocab_size=arguments.size, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=LONGEST_PIECE, show_progress=False,
    )  # fmt: skip
    backend.train_from_iterator(texts(arguments.per_task), trainer)
    arguments.out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(backend)
    tokenizer.save(arguments.out)
    print(f"{tokenizer.vocab_size} tokens -> {arguments.out}")


if __name__ == "__main__":
    main()
