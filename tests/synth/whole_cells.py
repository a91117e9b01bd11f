"""The cells that an answer about many cells of a table names, whatever its form."""

import csv
import io
import json

from vl2.synth.sample import Question


def cells_of(question: Question) -> list[str]:
    """Of Markdown, JSON, CSV, or one cell a line."""
    answer = question.answers[0]
    if answer.startswith("|"):
        cells = [cell.strip() for cell in answer.replace("\n", "").split("|")]
        return [cell for cell in cells if cell and cell != "---"]
    if answer.startswith("{"):
        found: list[str] = []
        for key, value in json.loads(answer).items():
            found += [key, *((*value, *value.values()) if isinstance(value, dict) else (value,))]
        return found
    if "csv" in question.text.lower() or "comma-separated" in question.text:
        return [cell for row in csv.reader(io.StringIO(answer)) for cell in row]
    return answer.split("\n")
