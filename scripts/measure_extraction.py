"""How often `Model.extract` finds the fields of receipts of the test split, field by field and as one JSON.

    python scripts/measure_extraction.py --count 40 [--model nano] [--no-at-once]

A text is right if it is an answer of the data engine, whatever its case; a number if it equals one. Fields that a
receipt does not have are not counted.
"""

import argparse
import itertools
from collections.abc import Callable

from rich.progress import track

import vl2
from vl2.extraction import ExtractionError
from vl2.processing.fields import value_of
from vl2.synth.registry import generate
from vl2.synth.sample import Sample
from vl2.synth.wordings_receipts import RECEIPT_NOUNS, RECEIPT_WHOLES

NUMBER, STRING = {"type": "number"}, {"type": "string", "maxLength": 60}
FIELDS = {"store": STRING, "date": STRING, "total": NUMBER, "subtotal": NUMBER, "tax": NUMBER, "cashier": STRING}

WORDINGS = {
    name: f"{RECEIPT_NOUNS[f'receipt.{name}']}|{RECEIPT_WHOLES[f'receipt.{name}']}".split("|") for name in FIELDS
}


def answers_of(sample: Sample) -> dict[str, tuple[str, ...]]:
    """What the data engine knows of the fields of a receipt, recognised by how it asks for them."""
    found: dict[str, tuple[str, ...]] = {}
    for question in sample.questions:
        text = question.text.lower()
        kinds = [name for name, wordings in WORDINGS.items() if any(wording in text for wording in wordings)]
        if question.kind == "ask" and len(kinds) == 1:
            found[kinds[0]] = question.answers
    return found


def is_right(value: object, answers: tuple[str, ...]) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in {answer.lower() for answer in answers}
    return value in [value_of(answer, NUMBER) for answer in answers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--count", type=int, default=40, help="receipts")
    parser.add_argument("--at-once", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    model = vl2.load(options.model)
    samples = (generate("receipt", 0, number, "test") for number in itertools.count())
    samples = list(itertools.islice(filter(answers_of, samples), options.count))
    ways: dict[str, Callable[[Sample, dict], dict]] = {
        "field by field": lambda sample, schema: model.extract(sample.image, schema).value,
        "one JSON": lambda sample, schema: model.extract(sample.image, schema, at_once=True, max_tokens=300).value,
    }
    for way, read in list(ways.items())[: 1 + options.at_once]:
        right = asked = cut = 0
        for sample in track(samples, way):
            answers = answers_of(sample)
            schema = {"type": "object", "properties": {name: FIELDS[name] for name in answers}, "required": [*answers]}
            try:
                value = read(sample, schema | {"additionalProperties": False})
            except ExtractionError:
                cut, value = cut + 1, dict.fromkeys(answers)
            asked += len(answers)
            right += sum(is_right(value[name], answers[name]) for name in answers)
        print(f"{way}: {right} of {asked} fields right, {right / asked:.2f}; no JSON from {cut} of {len(samples)}")


if __name__ == "__main__":
    main()
