"""Answers that must be JSON of a schema: which tokens are allowed, what is refused, and that the rest is enforced."""

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vl2.engine.engine import Engine
from vl2.grammar import JSON_OBJECT, GrammarError, Grammars
from vl2.model.vl2 import VL2
from vl2.processing.render import Prompt
from vl2.processing.tokenizer import Tokenizer
from vl2.sampling import Sampler, SamplingParams, on_device

ANSWER = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}
HOSTILE = {"type": "string", "pattern": "^((a{1000}){1000}){1000}$"}
CLOSED = ANSWER | {"additionalProperties": False}


@pytest.fixture(scope="session")
def grammars(byte_tokenizer: Tokenizer) -> Grammars:
    return Grammars(byte_tokenizer)


@pytest.fixture(scope="session")
def engine(make_model: Callable[..., VL2], byte_tokenizer: Tokenizer) -> Engine:
    return Engine(make_model("tiny"), byte_tokenizer.special.eos)


def texts_allowed(grammars: Grammars, tokenizer: Tokenizer, schema: dict[str, Any], beginning: str) -> set[str]:
    matcher = grammars.of(schema).start()
    for token in tokenizer.encode(beginning):
        assert matcher.allowed(352)[token]
        matcher.advance(token)
    return {tokenizer.decode([i], skip_special=False) for i in matcher.allowed(352).nonzero()[:, 0].tolist()}


END = "<｜end▁of▁sentence｜>"


def test_what_may_come_next(grammars: Grammars, byte_tokenizer: Tokenizer) -> None:
    """The end only when the JSON is complete, no white space of the model's own, no special tokens in strings."""
    assert texts_allowed(grammars, byte_tokenizer, CLOSED, "") == {"{"}
    digits = set("0123456789")
    assert texts_allowed(grammars, byte_tokenizer, CLOSED, '{"total": ') == digits | {"-", "42"}
    assert texts_allowed(grammars, byte_tokenizer, CLOSED, '{"total": 4') == digits | {"}", "42", "00"}
    assert texts_allowed(grammars, byte_tokenizer, CLOSED, '{"total": 4}') == {END}
    assert texts_allowed(grammars, byte_tokenizer, {"type": "integer"}, "4") == digits | {"42", "00", END}
    inside = texts_allowed(grammars, byte_tokenizer, {"type": "string"}, '"')
    assert {"a", " ", '"', "\\", "42", "00"} <= inside
    assert not {text for text in inside if text.startswith("<｜") or text.startswith("<|") or text == "<image>"}


def test_ids_without_a_token_are_never_allowed(grammars: Grammars, byte_tokenizer: Tokenizer) -> None:
    """Models embed more rows than their tokenizers have."""
    matcher = grammars.of({"type": "string"}).start()
    matcher.advance(byte_tokenizer.encode('"')[0])
    allowed = matcher.allowed(5000)
    assert allowed.shape == (5000,)
    assert not allowed[byte_tokenizer.vocab_size :].any()
    assert matcher.allowed(20).equal(allowed[:20])


def test_a_grammar_is_compiled_once_and_shared(grammars: Grammars, byte_tokenizer: Tokenizer) -> None:
    grammar = grammars.of(CLOSED)
    assert grammars.of(json.dumps(CLOSED)) is grammar
    one, other = grammar.start(), grammar.start()
    one.advance(byte_tokenizer.encode("{")[0])
    assert not one.allowed(352).equal(other.allowed(352))
    for number in range(100):
        grammars.of({"const": number})
    assert grammars.of(CLOSED) is not grammar  # only so many are kept


def test_the_sampler_chooses_what_is_allowed(grammars: Grammars, byte_tokenizer: Tokenizer) -> None:
    """The likeliest of the allowed tokens, even where all of them are no numbers; a free choice stays what it was."""
    params = SamplingParams(grammar=grammars.of(CLOSED))
    assert not on_device(params)
    (brace,) = byte_tokenizer.encode("{")
    logits = torch.randn(352)
    logits[brace] = -1e9
    for value in (-1e9, float("nan"), float("-inf")):
        logits[brace] = value
        before = logits.clone()
        assert Sampler(params, []).choose(logits) == brace
        assert logits.equal(before) or value != value
    free = SamplingParams(temperature=1.0, seed=3)
    unlikely = torch.where(grammars.of(JSON_OBJECT).start().allowed(352), torch.randn(352), -1e9)
    bound = SamplingParams(temperature=1.0, seed=3, grammar=grammars.of(JSON_OBJECT))
    assert Sampler(bound, []).choose(unlikely) == Sampler(free, []).choose(unlikely)


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        ({"type": "array", "uniqueItems": True}, "uniqueItems is not supported; remove it"),
        ({"not": {}, "if": {}}, "if, not is not supported|not, if is not supported"),
        ({"properties": {"a": {"type": "object", "minProperties": 2}}}, "minProperties is not supported"),
        ({"items": [{"x-guidance": {"lenient": True}}]}, "x-guidance is not supported"),
        ({"oneOf": [{"type": "string"}, {"minLength": 2}]}, "oneOf constraints are not supported"),
        ({"type": "objekt"}, "Invalid type: objekt"),
        ({"type": "string", "format": "colour"}, "Unknown format: colour"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
        ({"minLength": "x"}, "Expected positive integer"),
        ({"enum": []}, "Unsatisfiable schema"),
        ({"$ref": "#"}, "no JSON meets it"),
        ({"$ref": "http://example.com/schema"}, "http://example.com/schema"),
        ({"$ref": "file:///etc/passwd"}, "does not fetch"),
        ({"$schema": "http://example.com/"}, "does not fetch"),
        ({"type": "array", "minItems": 10**9, "items": {"type": "null"}}, "is too complex .*Too many"),
        (HOSTILE, "is too complex"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "is too complex .*Too many"),
        ({"type": "number", "minimum": float("nan")}, "is not JSON"),
        ({"enum": ["x" * 100_001]}, "has 100015 characters; the limit is 100000"),
        ({"enum": [f"x{n}" for n in range(9000)]}, "is too complex"),
        ([], r"json_schema = \[\]: must be an object"),
        ("true", "json_schema = true: must be an object"),
        ("{", "is not JSON"),
        ('{"items":' * 3000 + "{}" + "}" * 3000, "recursion"),
        ({"enum": [object()]}, "is not JSON"),
    ],
)  # fmt: skip
def test_what_is_refused(schema: Any, what: str, grammars: Grammars) -> None:
    """In one line that says what; nothing is fetched, and nothing that an answer could violate is let through."""
    with pytest.raises(GrammarError, match=what) as caught:
        grammars.of(schema)
    assert str(caught.value).startswith("json_schema")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_names_and_values_are_no_keywords(grammars: Grammars) -> None:
    grammars.of({"properties": {"minProperties": {"const": {"x-guidance": 1}}}, "default": {"minProperties": 1}})


def test_a_grammar_that_cannot_be_followed_ends_the_answer(grammars: Grammars, byte_tokenizer: Tokenizer) -> None:
    """With "length": the answer is no JSON."""
    hostile = {"type": "array", "minItems": 10**9, "items": {"type": "null"}}
    hostile = {"type": "array", "prefixItems": [{"type": "integer"}, hostile], "minItems": 2}
    sampler = Sampler(SamplingParams(grammar=grammars.of(hostile)), [])
    assert sampler.end == "stop"
    wanted, said = byte_tokenizer.encode("[1, [null"), []
    while byte_tokenizer.special.eos not in said:
        said.append(sampler.choose(torch.zeros(352).index_fill(0, torch.tensor(wanted[len(said)]), 9)))
    assert byte_tokenizer.decode(said).startswith("[1")
    assert sampler.end == "length"


def schemas() -> st.SearchStrategy[dict[str, Any]]:
    """Small ones that a random model finishes."""
    size = st.integers(0, 3)
    strings = st.one_of(
        st.builds(lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more}, size, size),
        st.sampled_from(["^[a-c]{1,3}$", "^(\\d\\d-)?x$", "b", "^é+.$"]).map(
            lambda p: {"type": "string", "pattern": p} | ({"maxLength": 9} if p != "b" else {})
        ),
        st.sampled_from(["date", "ipv4", "uuid"]).map(lambda f: {"type": "string", "format": f}),
    )
    numbers = st.one_of(
        st.builds(
            lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more}, st.integers(-99, 99), size
        ),
        st.sampled_from([{"type": "integer"}, {"type": "number"}, {"type": "number", "exclusiveMinimum": -1.5}]),
        st.sampled_from([3, 0.5]).map(lambda step: {"type": "number", "multipleOf": step, "minimum": 0, "maximum": 50}),
    )
    values = st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2)
    )
    fixed = st.one_of(
        st.lists(values, min_size=1, max_size=3).map(lambda v: {"enum": v}), values.map(lambda v: {"const": v}),
        st.sampled_from([{"type": "null"}, {"type": "boolean"}, {"type": ["boolean", "null"]}]),
    )  # fmt: skip

    def larger(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
        lists = st.builds(
            lambda items, low, more: {"type": "array", "items": items, "minItems": low, "maxItems": low + more},
            inner, size, size,
        )  # fmt: skip
        names = st.text('ab "\\é\n', min_size=1, max_size=3)
        objects = st.builds(
            lambda properties, count: {
                "type": "object", "properties": properties, "required": list(properties)[:count],
                "additionalProperties": False,
            },
            st.dictionaries(names, inner, max_size=3), size,
        )  # fmt: skip
        extra = st.builds(
            lambda values, needed: {"type": "object", "additionalProperties": values, "required": needed},
            inner, st.lists(names, max_size=2, unique=True),
        )  # fmt: skip
        return st.one_of(lists, objects, extra, st.lists(inner, min_size=1, max_size=3).map(lambda s: {"anyOf": s}))

    return st.recursive(st.one_of(strings, numbers, fixed), larger, max_leaves=4)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(schema=schemas(), seed=st.integers(0, 2**32))
def test_answers_of_a_random_model_meet_their_schema(
    schema: dict[str, Any], seed: int, engine: Engine, grammars: Grammars, byte_tokenizer: Tokenizer
) -> None:
    """Unless they are cut. Without the grammar nothing it says is JSON."""
    try:
        grammar = grammars.of(schema)
    except GrammarError as error:
        if "Unsatisfiable" not in str(error):  # such as a pattern that is longer than maxLength
            raise
        return
    ids = byte_tokenizer.encode("what?")
    params = [
        SamplingParams(max_tokens=60, temperature=temperature, seed=seed, grammar=grammar)
        for temperature in (0.0, 0.8, 5)
    ]
    finishes = ["", "", ""]
    out: list[list[int]] = [[], [], []]
    for number, output in engine.stream([Prompt(ids, ids, (), ())] * 3, params):
        out[number].append(output.token_id)
        finishes[number] = output.finish or ""
    for answer, finish in zip(out, finishes, strict=True):
        text = byte_tokenizer.decode_bytes(answer).decode(errors="strict" if finish == "stop" else "replace")
        if finish == "stop":
            jsonschema.validate(json.loads(text), schema, cls=jsonschema.Draft202012Validator)
            text.encode()
        else:
            assert len(answer) == 60


def test_the_property_meets_what_it_is_for(engine: Engine, grammars: Grammars, byte_tokenizer: Tokenizer) -> None:
    """Most answers of the test above end by themselves, and a random model alone writes no JSON."""
    ids = byte_tokenizer.encode("what?")
    schema = {"type": "array", "items": {"enum": ["a", 1, None]}, "minItems": 2, "maxItems": 4}
    grammar = grammars.of(schema)
    free = [SamplingParams(max_tokens=40, temperature=1.0, seed=n) for n in range(8)]
    bound = [SamplingParams(max_tokens=40, temperature=1.0, seed=n, grammar=grammar) for n in range(8)]
    out: list[list[int]] = [[] for _ in range(16)]
    for number, output in engine.stream([Prompt(ids, ids, (), ())] * 16, free + bound):
        out[number].append(output.token_id)
    texts = [byte_tokenizer.decode(answer) for answer in out]
    assert not any(text.startswith("[") for text in texts[:8])
    assert {json.dumps(json.loads(text)) for text in texts[8:]} == set(texts[8:])
    assert len(set(texts[8:])) > 2
    assert np.mean([len(json.loads(text)) for text in texts[8:]]) > 1
