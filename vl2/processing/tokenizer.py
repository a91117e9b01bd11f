"""Tokenizer: byte-level BPE from tokenizer.json, with the family's special tokens by name.

The trap: text must never turn into a special token, whatever it spells; only `special` ids, placed by the renderer, are.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken
from tokenizers import Tokenizer as _Backend

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
    """Text to ids and back. Build with `from_file`."""

    def __init__(self, backend: _Backend) -> None:
        for text in SPECIAL_STRINGS.values():
            if backend.token_to_id(text) is None:
                backend.add_special_tokens([AddedToken(text, special=True, normalized=False)])
        self._backend = backend
        ids = {name: backend.token_to_id(text) for name, text in SPECIAL_STRINGS.items()}
        self.special = SpecialIds(**ids)
        # A second copy without any added token: what it makes of text can only be ordinary tokens.
        stripped = json.loads(backend.to_str())
        stripped["added_tokens"] = []
        stripped["post_processor"] = None
        self._plain = _Backend.from_str(json.dumps(stripped))
        added = backend.get_added_tokens_decoder()
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
        return cls(backend)

    def save(self, directory: Path) -> None:
        """Write tokenizer.json and tokenizer_config.json in official style."""
        self._backend.save(str(directory / "tokenizer.json"))
        config = {
            "add_bos_token": True,
            "add_eos_token": False,
            "bos_token": SPECIAL_STRINGS["bos"],
            "eos_token": SPECIAL_STRINGS["eos"],
            "pad_token": SPECIAL_STRINGS["pad"],
            "clean_up_tokenization_spaces": False,
            "tokenizer_class": "LlamaTokenizerFast",
        }
        (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    @property
    def vocab_size(self) -> int:
        """One more than the largest id."""
        return max(self._backend.get_vocab(with_added_tokens=True).values()) + 1

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; the spelling of a special token is encoded as ordinary characters."""
        return self._plain.encode(text, add_special_tokens=False).ids

    def decode(self, ids: list[int]) -> str:
        """Text of ids. Boxes and phrases keep their tags; other special tokens vanish."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: list[int]) -> bytes:
        """UTF-8 bytes of ids; an answer cut in the middle of a character ends in part of one."""
        out = bytearray()
        for i in ids:
            if i in self._hidden:
                continue
            if i in self._added_text:
                out += self._added_text[i].encode()
            elif (token := self._plain.id_to_token(i)) is not None:
                out += bytes(_BYTE_OF[character] for character in token)
        return bytes(out)


class StreamDecoder:
    """Turns ids into text as they come; a character is held back until all its bytes are there."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._rest = b""

    def push(self, token_id: int) -> str:
        data = self._rest + self._tokenizer.decode_bytes([token_id])
        try:
            self._rest = b""
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            tail = data[error.start :]
            if error.reason == "unexpected end of data" and len(tail) < 4:
                self._rest = tail
                return data[: error.start].decode("utf-8")
            return data.decode("utf-8", errors="replace")

    def flush(self) -> str:
        """What is still held back, with a replacement mark for half a character."""
        rest, self._rest = self._rest, b""
        return rest.decode("utf-8", errors="replace")


def _byte_alphabet() -> dict[str, int]:
    """The printable characters that stand for bytes in byte-level BPE vocabularies (GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {chr(b): b for b in printable}
    others = [b for b in range(256) if b not in set(printable)]
    return alphabet | {chr(256 + n): b for n, b in enumerate(others)}


_BYTE_OF = _byte_alphabet()
