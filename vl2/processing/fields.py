"""Fields of a JSON schema to questions as a person would ask them, and what is said to values.

    {"invoiceNumber": {"type": "string"}} --question--> "What is the invoice number?" --model--> "INV-0042"
    {"total": {"type": "number"}}         --question--> "What is the total?" --model--> "£1,030.90" --value_of--> 1030.9

Small models answer questions far better than they write JSON, so an object is asked for field by field where its
schema allows. The trap: a value that is read here need not fit its field; whoever asks has to check it.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

# A schema of an object with nothing else is met if every field meets its own.
_SEPARABLE = {
    "type", "properties", "required", "additionalProperties", "title", "description", "default", "examples", "$schema",
    "$id", "$comment", "$defs", "definitions",
}  # fmt: skip
_SHARED = ("$schema", "$defs", "definitions")  # what fields may refer to
_ONE_VALUE = {"string", "number", "integer", "boolean", "null"}
_QUESTION = re.compile(r"(what|which|who|whose|when|where|how|is|are|was|were|does|do|did|has|have|can)\b", re.I)
_NUMBER = re.compile(r"[-−]?(\d{1,3}([ \u00a0\u202f]\d{3})+(?!\d)([.,]\d+)?|\d[\d.,]*)")
_YES = re.compile(r"(yes|true|ticked|checked)\b", re.I)
_NO = re.compile(r"(no|not|false|unticked|unchecked)\b", re.I)


def fields_of(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Schemas of the fields of an object, each complete by itself; none if they cannot be asked for one by one."""
    properties = schema.get("properties")
    if schema.get("type") != "object" or not schema.keys() <= _SEPARABLE or not isinstance(properties, Mapping):
        return {}
    if not all(isinstance(field, Mapping) for field in properties.values()):
        return {}
    if not set(schema.get("required", ())) <= properties.keys():
        return {}
    shared = {key: schema[key] for key in _SHARED if key in schema}
    return {name: {**shared, **field} for name, field in properties.items()}


def is_one_value(field: Mapping[str, Any]) -> bool:
    """Whether the field is a text, a number, yes or no, or one of several, which a short answer can give."""
    kinds = field.get("type", [])
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    return bool(kinds or "enum" in field) and kinds <= _ONE_VALUE


def question_of(name: str, field: Mapping[str, Any]) -> str:
    """The description if it is a question, else one about the description, the title or the name in words."""
    words = str(field.get("description") or field.get("title") or _in_words(name)).strip()
    if words.endswith("?"):
        return words
    words = words.rstrip(".")
    if _QUESTION.match(words):
        return f"{words[:1].upper()}{words[1:]}?"
    if field.get("type") == "boolean":
        return f"Is {words} ticked?"
    if words[:1].isupper() and not words[:2].isupper():
        words = words[:1].lower() + words[1:]
    article = "" if re.match(r"(the|a|an|this|all)\b", words, re.I) else "the "
    return f"What is {article}{words}?"


def json_question(what: str, schema: Mapping[str, Any]) -> str:
    """Asks for JSON of a schema at once."""
    return f"{what}\nAnswer with JSON of this schema: {json.dumps(schema, ensure_ascii=False)}"


def value_of(text: str, field: Mapping[str, Any]) -> Any:
    """What an answer in words says, as the field wants it; the text itself if it says nothing of the kind."""
    kinds = field.get("type", "string")
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    for option in field.get("enum", ()):
        if _plain(str(option)) == _plain(text):
            return option
    if kinds & {"number", "integer"} and (number := _number(text)) is not None:
        return number
    if "boolean" in kinds and (_YES.match(text) or _NO.match(text)):
        return _YES.match(text) is not None
    return text


def _in_words(name: str) -> str:
    """invoiceNumber, invoice_number and invoice-number are the invoice number."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(word if word.isupper() else word.lower() for word in re.split(r"[\s_.-]+", spaced) if word)


def _plain(text: str) -> str:
    return " ".join(text.lower().rstrip(".").split())


def _number(text: str) -> int | float | None:
    """The first number of a text: 1,030.90 and 1.030,90 and 1 030,9 are the same, 1,030 is a whole one."""
    found = _NUMBER.search(text)
    if not found:
        return None
    digits = re.sub(r"\s", "", found[0]).rstrip(".,").replace("−", "-")
    marks = [character for character in digits if character in ".,"]
    groups = re.split("[.,]", digits)
    has_fraction = bool(marks) and (
        len(set(marks)) == 2 or (len(marks) == 1 and (marks[0] == "." or len(groups[-1]) != 3))
    )
    if not has_fraction:
        return int("".join(groups))
    return float("".join(groups[:-1]) + "." + groups[-1])
