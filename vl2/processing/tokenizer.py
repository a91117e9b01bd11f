"""Tokenizer: byte-level BPE from tokenizer.json, with the family's special tokens by name.

The trap: text must never turn into a special token, whatever it spells; the renderer alone places `special` ids.
"""

import codecs
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as _Backend

from vl2.files import write_whole

# In the order in which the official processor adds those that a tokenizer.json lacks (SPEC A6).
SPECIAL_STRINGS: dict[str, str] = {
    "bos": "<｜begin▁of▁sentence｜>",
    "eos": "<｜end▁of▁sentence｜>",
    "pad": "<｜▁pad▁｜>",
    "image": "<image>",
    "ref": "<|ref|>",
    "ref_end": "<|/ref|>",
    "det": "<|det|>",
    "det_end": "<|/det|>",
    "grounding": "<|grounding|>",
    "user": "<|User|>",
    "assistant": "<|Assistant|>",
}
_KEPT_IN_ANSWERS = ("ref", "ref_end", "det", "det_end", "grounding")


class TokenizerError(ValueError):
    """A tokenizer file that cannot be used."""


@dataclass(frozen=True)
class SpecialIds:
    """Ids of the special tokens."""

    bos: int
    eos: int
    pad: int
    image: int
    ref: int
    ref_end: int
    det: int
    det_end: int
    grounding: int
    user: int
    assistant: int


class Tokenizer:
    """Text to ids and back. Build with `from_file`.

    Args:
        backend: any byte-level BPE; special tokens that it lacks are added to it in the published order.
    """

    def __init__(self, backend: _Backend) -> None:
        added = backend.get_added_tokens_decoder()
        known = {token.content for token in added.values()}
        missing = [AddedToken(s, special=True, normalized=False) for s in SPECIAL_STRINGS.values() if s not in known]
        backend.add_special_tokens(missing)  # one whose string is in the vocabulary keeps its id
        self._backend = backend
        id_of = backend.get_vocab(with_added_tokens=True)
        ids = {name: id_of[text] for name, text in SPECIAL_STRINGS.items()}
        self.special = SpecialIds(**ids)
        added = backend.get_added_tokens_decoder()
        self._plain = _without_added_tokens(json.loads(backend.to_str()))
        kept = {ids[name] for name in _KEPT_IN_ANSWERS}
        self._hidden = {i for i, token in added.items() if token.special and i not in kept}
        self._added_text = {i: token.content for i, token in added.items()}

    @classmethod
    def from_file(cls, path: Path) -> "Tokenizer":
        """Read tokenizer.json."""
        try:
            backend = _Backend.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for every unreadable file
            raise TokenizerError(f"{path}: not a readable tokenizer.json ({error})") from error
        try:
            return cls(backend)
        except TokenizerError as error:
            raise TokenizerError(f"{path}: {error}") from None

    def save(self, directory: Path) -> None:
        """Write tokenizer.json and tokenizer_config.json as the published models have them."""
        with write_whole(directory / "tokenizer.json") as staging:
            self._backend.save(str(staging))
        with write_whole(directory / "tokenizer_config.json") as staging:
            text = json.dumps(self._published_config(), ensure_ascii=False, indent=2)
            staging.write_text(text + "\n", encoding="utf-8")

    def _published_config(self) -> dict[str, Any]:
        flags = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
        added = sorted(self._backend.get_added_tokens_decoder().items())
        return {
            "add_bos_token": True,
            "add_eos_token": False,
            "added_tokens_decoder": {str(i): {f: getattr(token, f) for f in flags} for i, token in added},
            "additional_special_tokens": [SPECIAL_STRINGS["user"], SPECIAL_STRINGS["assistant"]],
            "bos_token": SPECIAL_STRINGS["bos"],
            "clean_up_tokenization_spaces": False,
            "eos_token": SPECIAL_STRINGS["eos"],
            "model_max_length": int(1e30),  # "no limit" in the library that reads this file
            "pad_token": SPECIAL_STRINGS["pad"],
            "processor_class": "DeepseekVLV2Processor",
            "tokenizer_class": "LlamaTokenizer",
            "unk_token": None,
            "use_default_system_prompt": False,
        }

    @property
    def vocab_size(self) -> int:
        """One more than the largest id."""
        return max(self._backend.get_vocab(with_added_tokens=True).values()) + 1

    @property
    def added_ids(self) -> frozenset[int]:
        """Ids of added tokens, special or not: no plain text has them."""
        return frozenset(self._added_text)

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; the spelling of a special token is encoded as ordinary characters."""
        text = text.encode("utf-8", errors="replace").decode("utf-8")  # lone surrogates have no UTF-8 form
        return self._plain.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """Text of ids. Boxes and phrases keep their tags; other special tokens vanish unless asked for."""
        return self.decode_bytes(ids, skip_special=skip_special).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Sequence[int], *, skip_special: bool = True) -> bytes:
        """UTF-8 bytes of ids; an answer cut in the middle of a character ends in part of one.

        Ids without a token (a model embeds more rows than its tokenizer has) give nothing.
        """
        out = bytearray()
        for i in ids:
            if skip_special and i in self._hidden:
                continue
            if i in self._added_text:
                out += self._added_text[i].encode()
            elif (token := self._plain.id_to_token(i)) is not None:
                out += bytes(_BYTE_OF[character] for character in token)
        return bytes(out)


def _without_added_tokens(definition: dict[str, Any]) -> _Backend:
    """A tokenizer that knows no added token: whatever it makes of text can only be ordinary tokens."""
    model = definition["model"]
    if model["type"] != "BPE" or "ByteLevel" not in json.dumps(definition["pre_tokenizer"]):
        raise TokenizerError("not a byte-level BPE tokenizer, the only kind of this family")
    strings = {token["content"] for token in definition["added_tokens"]}
    for text in strings & model["vocab"].keys():
        if model.get("ignore_merges"):  # such a model takes whole words from its vocabulary, special tokens too
            del model["vocab"][text]
    strange = [t for t in model["vocab"] if t not in strings and not _BYTE_OF.keys() >= set(t)]
    if strange:
        raise TokenizerError(f"token {strange[0]!r} is neither made of byte-level characters nor an added token")
    settings = {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
    return _Backend.from_str(json.dumps(definition | settings))


class StreamDecoder:
    """Turns ids into text as they come; a character is held back until all its bytes are there."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """Text that this token completes; bytes that can start no character become a replacement mark."""
        return self._decoder.decode(self._tokenizer.decode_bytes([token_id]))

    def flush(self) -> str:
        """What is still held back, with a replacement mark for half a character."""
        return self._decoder.decode(b"", final=True)


def _byte_alphabet() -> dict[str, int]:
    """The printable characters that stand for bytes in byte-level BPE vocabularies (GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {chr(b): b for b in printable}
    others = [b for b in range(256) if b not in set(printable)]
    return alphabet | {chr(256 + n): b for n, b in enumerate(others)}


_BYTE_OF = _byte_alphabet()
