"""A value that meets a JSON schema, out of what a model answers about an image.

    fields of an object   --question_of each--> answers in words --value_of--> values that their schemas accept
      one that does not fit is null or left out where the schema allows it, else JSON under the field's grammar
      a list or an object --json_question--> JSON under the field's grammar
    any other schema      --json_question--> JSON under its grammar

The trap: meeting the schema says nothing about being right. `Extraction.forced` names fields whose answer in words did
not fit, for which the grammar left the model no choice but to write something that does.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vl2.grammar import Grammar, Grammars
from vl2.processing.fields import fields_of, is_one_value, json_question, question_of, value_of

# Questions about the image to answers; JSON of a grammar if there is one. Raises ExtractionError if it was cut.
Ask = Callable[[Sequence[str], Grammar | None], list[str]]


class ExtractionError(ValueError):
    """No complete JSON came out; says why."""


@dataclass(frozen=True)
class Extraction:
    """What was found.

    value: meets the schema.
    forced: fields that the schema requires and whose answer in words did not fit.
    """

    value: Any
    forced: tuple[str, ...] = ()


def extract(ask: Ask, grammars: Grammars, schema: Mapping[str, Any] | str, at_once: bool) -> Extraction:
    """Ask for the fields of a schema one by one where it allows that and `at_once` does not forbid it.

    Raises: GrammarError for a schema that cannot be enforced, before anything is asked; ExtractionError.
    """
    whole = grammars.of(schema)
    definition = json.loads(whole.schema)
    fields = {} if at_once else fields_of(definition)
    if not fields:
        return Extraction(json.loads(ask([json_question("Read the image.", definition)], whole)[0]))
    bounds = {name: grammars.of(field) for name, field in fields.items()}
    questions = {name: question_of(name, field) for name, field in fields.items()}
    said = [name for name in fields if is_one_value(fields[name])]
    answers = dict(zip(said, ask([questions[name] for name in said], None), strict=True))
    needed = set(definition.get("required", ()))
    value, forced = {}, []
    for name, field in fields.items():
        if name not in answers:
            value[name] = json.loads(ask([json_question(questions[name], field)], bounds[name])[0])
            continue
        found = value_of(answers[name], field)
        if bounds[name].accepts(found):
            value[name] = found
        elif bounds[name].accepts(None):
            value[name] = None
        elif name in needed:
            value[name] = json.loads(ask([questions[name]], bounds[name])[0])
            forced.append(name)
    return Extraction(value, tuple(forced))
