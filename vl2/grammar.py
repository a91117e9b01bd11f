"""Answers that are JSON of a given schema: which tokens may come next.

    JSON schema --Grammars.of, once per schema--> Grammar --start, once per request--> Matcher
    Matcher.allowed -> (V,) bool --Sampler masks the logits, chooses--> token --Matcher.advance--> ...

llguidance does the work. The trap: a schema promises something about every answer, so whatever the library would not
enforce is refused. White space is fixed (`{"a": 1, "b": [2, 3]}`), or a model could write it without end.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vl2.processing.tokenizer import Tokenizer

JSON_OBJECT: Mapping[str, Any] = {"type": "object"}  # a schema that any object meets
MAX_SCHEMA_CHARACTERS = 100_000
_KEPT = 64  # compiled schemas
_LEXER_FUEL = 100_000  # a tenth of the library's limit: a hostile pattern costs 50 ms instead of a second
_ONE_FORM: Any = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "lenient": False,
    "coerce_one_of": False,
}
_NAMED = ("properties", "patternProperties", "$defs", "definitions")  # hold schemas by name
_VALUES = ("enum", "const", "default", "examples")  # hold no schemas


class GrammarError(ValueError):
    """A schema that is none, or asks for what cannot be enforced; the message says what."""


class Matcher:
    """One answer in the making."""

    def __init__(self, state: Any) -> None:
        self._state = state

    def allowed(self, count: int) -> Tensor:
        """(V,) bool: which of the ids below `count` may come next; the end token only where the JSON is complete."""
        bits = np.frombuffer(self._state.compute_bitmask(), np.uint8)
        allowed_V = torch.zeros(count, dtype=torch.bool)
        bits_V = torch.from_numpy(np.unpackbits(bits, count=min(count, 8 * len(bits)), bitorder="little"))
        allowed_V[: len(bits_V)] = bits_V.bool()
        return allowed_V

    def advance(self, token_id: int) -> None:
        """Take an allowed token."""
        self._state.consume_token(token_id)

    @property
    def error(self) -> str:
        """Why the schema cannot be followed, or ""; once it cannot, only the end token is allowed."""
        return self._state.get_error()


@dataclass(frozen=True, eq=False)
class Grammar:
    """A compiled schema; any number of requests may use it at a time.

    schema: its JSON text.
    """

    schema: str
    _beginning: Any
    _tokenize: Callable[[str], list[int]]

    def start(self) -> Matcher:
        """For a new answer."""
        return Matcher(self._beginning.deep_copy())

    def accepts(self, value: Any) -> bool:
        """Whether a value meets the schema."""
        ids = self._tokenize(json.dumps(value, ensure_ascii=False))
        state = self._beginning.deep_copy()
        return state.try_consume_tokens(ids) == len(ids) and state.is_accepting()


class Grammars:
    """Compiles schemas for a tokenizer and keeps the latest.

    Raises: GrammarError if llguidance is not installed.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        try:
            import llguidance
        except ImportError:
            raise GrammarError(
                "JSON schemas need llguidance: pip install 'llguidance>=1.9' (extra vl2[json])"
            ) from None
        self._library = llguidance
        self._num_tokens = tokenizer.vocab_size
        self._tokenizer = llguidance.LLTokenizer(_Vocabulary(tokenizer))  # type: ignore[arg-type]
        self._limits = llguidance.LLParserLimits(initial_lexer_fuel=_LEXER_FUEL, verbose_errors=False)
        self._of_text = lru_cache(_KEPT)(self._compile)

    def of(self, schema: Mapping[str, Any] | str) -> Grammar:
        """The grammar of a schema, given as a mapping or as JSON. Raises GrammarError."""
        try:
            parsed = json.loads(schema) if isinstance(schema, str) else schema
            text = json.dumps(parsed, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise GrammarError(f"json_schema: is not JSON ({error})") from None
        if not isinstance(parsed, Mapping):
            raise GrammarError(f"json_schema = {text[:40]}: must be an object, such as {json.dumps(JSON_OBJECT)}")
        if len(text) > MAX_SCHEMA_CHARACTERS:
            raise GrammarError(f"json_schema: has {len(text)} characters; the limit is {MAX_SCHEMA_CHARACTERS}")
        return self._of_text(text)

    def _compile(self, text: str) -> Grammar:
        matcher = self._library.LLMatcher
        try:
            grammar = matcher.grammar_from_json_schema(text, overrides=_ONE_FORM)
        except ValueError as error:  # nested too deeply
            raise GrammarError(f"json_schema: {_in_one_line(str(error))}") from None
        for node in _schemas(json.loads(text)):
            _refuse_loopholes(node)
        beginning = matcher(self._tokenizer, grammar, log_level=0, limits=self._limits)
        grammar = Grammar(text, beginning, self._tokenizer.tokenize_str)
        probe = grammar.start()
        for _ in range(2):  # what cannot be met, or is too large, shows at the first tokens
            probe.advance(int(probe.allowed(self._num_tokens).nonzero()[0]))
        if probe.error:
            raise GrammarError(f"json_schema: {_in_one_line(probe.error)}")
        return grammar


class _Vocabulary:
    """What the library asks of a tokenizer; added tokens are never text."""

    is_tokenizer_wrapper = True

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.eos_token_id, self.bos_token_id = tokenizer.special.eos, tokenizer.special.bos
        self.tokens = [tokenizer.decode_bytes([i], skip_special=False) for i in range(tokenizer.vocab_size)]
        self.special_token_ids = sorted(tokenizer.added_ids)

    def __call__(self, text: str | bytes) -> list[int]:
        return self._tokenizer.encode(text.decode(errors="replace") if isinstance(text, bytes) else text)


def _schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """A schema and all schemas in it."""
    if isinstance(schema, list):
        for one in schema:
            yield from _schemas(one)
    elif isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            if key in _NAMED and isinstance(value, dict):
                yield from _schemas(list(value.values()))
            elif key not in _VALUES:
                yield from _schemas(value)


def _refuse_loopholes(schema: dict[str, Any]) -> None:
    """What the library takes although an answer might then not fit."""
    for key, why in {
        "minProperties": "a model may write the same key again; list keys under required",
        "x-guidance": "white space and strictness are fixed; remove it",
    }.items():
        if key in schema:
            raise GrammarError(f"json_schema: {key} is not supported: {why}")


def _in_one_line(error: str) -> str:
    """What the library says, without the drawings of its regex parser and its internals."""
    unknown = re.match(r'Unimplemented keys: \[(".*")\]', error)
    if unknown:
        return f"{unknown[1].replace(chr(34), '')} is not supported; remove it"
    line = " ".join(error.replace("<non-verbose/>", "").split())
    if line == "NoExtensionBias":
        return "no JSON meets it"
    line = line if len(line) <= 200 else f"{line[:200]} ..."
    limits = ("too many", "too big", "too large", "max is")
    return f"is too complex ({line})" if any(limit in line.lower() for limit in limits) else line
