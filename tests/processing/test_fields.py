"""Fields of a schema to questions, and answers in words to values."""

from typing import Any

import pytest

from vl2.processing.fields import fields_of, is_one_value, json_question, question_of, value_of

STRING, NUMBER, INTEGER, BOOLEAN = ({"type": kind} for kind in ("string", "number", "integer", "boolean"))


@pytest.mark.parametrize(
    ("name", "field", "question"),
    [
        ("total", NUMBER, "What is the total?"),
        ("invoiceNumber", STRING, "What is the invoice number?"),
        ("invoice_number", STRING, "What is the invoice number?"),
        ("VAT-id", STRING, "What is the VAT id?"),
        ("x", STRING | {"title": "Due date"}, "What is the due date?"),
        ("x", STRING | {"title": "VAT paid", "description": "The tax."}, "What is the tax?"),
        ("x", STRING | {"description": "all that is written in red"}, "What is all that is written in red?"),
        ("x", STRING | {"description": "Who signed?"}, "Who signed?"),
        ("x", NUMBER | {"description": "how much was paid"}, "How much was paid?"),
        ("whoever", STRING, "What is the whoever?"),
        ("newsletter", BOOLEAN, "Is newsletter ticked?"),
        ("is_paid", BOOLEAN, "Is paid?"),
        ("x", BOOLEAN | {"description": "Was it paid in cash?"}, "Was it paid in cash?"),
    ],
)  # fmt: skip
def test_questions(name: str, field: dict[str, Any], question: str) -> None:
    assert question_of(name, field) == question


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("£30.90", STRING, "£30.90"),
        ("£30.90", NUMBER, 30.9),
        ("1,030.90 EUR", NUMBER, 1030.9),
        ("1.030,90 EUR", NUMBER, 1030.9),
        ("1 030,90 EUR", NUMBER, 1030.9),
        ("12\u00a0345\u202f678", NUMBER, 12345678),
        ("3 4567", NUMBER, 3),
        ("30,9", NUMBER, 30.9),
        ("1,030", NUMBER, 1030),
        ("1.030.000", NUMBER, 1030000),
        ("-4.50", NUMBER, -4.5),
        ("−3 °C", INTEGER, -3),
        ("Total: 12.", INTEGER, 12),
        ("2.0", NUMBER, 2.0),
        ("none", NUMBER, "none"),
        ("7", {"type": ["integer", "null"]}, 7),
        ("Yes", BOOLEAN, True),
        ("no, it is not", BOOLEAN, False),
        ("Unchecked", BOOLEAN, False),
        ("nothing", BOOLEAN, "nothing"),
        ("by  CARD.", {"enum": ["cash", "By card"]}, "By card"),
        ("3", {"enum": [2, 3]}, 3),
        ("cheque", {"enum": ["cash", "card"]}, "cheque"),
    ],
)
def test_values(text: str, field: dict[str, Any], value: Any) -> None:
    assert value_of(text, field) == value
    assert type(value_of(text, field)) is type(value)


def test_fields_stand_alone() -> None:
    """With the definitions that they may refer to."""
    definitions = {"money": NUMBER}
    schema = {
        "type": "object", "$defs": definitions, "properties": {"total": {"$ref": "#/$defs/money"}, "shop": STRING},
        "required": ["total"], "additionalProperties": False, "title": "Receipt",
    }  # fmt: skip
    assert fields_of(schema) == {
        "total": {"$defs": definitions, "$ref": "#/$defs/money"}, "shop": {"$defs": definitions, "type": "string"},
    }  # fmt: skip


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": STRING}, {"properties": {"a": STRING}}, {"type": "object"},
        {"type": "object", "properties": {"a": STRING}, "required": ["b"]},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": STRING}, "maxProperties": 1},
        {"type": "object", "properties": {"a": STRING}, "anyOf": [{"required": ["a"]}]},
        {"type": "object", "properties": {"a": STRING}, "patternProperties": {"a": {"maxLength": 2}}},
    ],
)  # fmt: skip
def test_what_is_not_asked_field_by_field(schema: dict[str, Any]) -> None:
    """The object could break a rule that no field knows."""
    assert fields_of(schema) == {}


def test_what_a_short_answer_can_give() -> None:
    assert all(map(is_one_value, (STRING, NUMBER, BOOLEAN, {"enum": [1]}, {"type": ["string", "null"]})))
    assert not any(map(is_one_value, ({}, {"type": "array"}, {"type": ["string", "object"]}, {"$ref": "#/$defs/a"})))
    assert json_question("Who?", STRING) == 'Who?\nAnswer with JSON of this schema: {"type": "string"}'
