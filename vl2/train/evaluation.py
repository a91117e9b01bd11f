"""Scores during training, by the metrics of `vl2 eval`: what a recipe asks for, and who answers.

    every k steps: what was learned, as exported --Evaluator.score--> {task: metric, value, n}
                   --> "evaluation" in that line of metrics.jsonl, evaluation.png

An evaluator is passed in, as generators are, since training does not know how to answer. It loads what a user would
load, so it measures that. The trap: other ranks wait meanwhile, and give up after ten minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypedDict

from vl2.section import Section, require


@dataclass(frozen=True)
class EvaluationSection(Section):
    """When to score what was learned so far, and on what.

    every_steps: steps between two evaluations; one is always done at the end.
    records: table of name to a file of records with metrics (README, "Train"), best some that training never sees.
    tasks: synthetic tasks, drawn from the test split.
    limit: records of each of them, at most.
    max_tokens: longest answer.
    batch_size: records answered together.
    """

    every_steps: int
    records: tuple[tuple[str, str], ...] = ()
    tasks: tuple[str, ...] = ()
    limit: int = 100
    max_tokens: int = 256
    batch_size: int = 8

    def __post_init__(self) -> None:
        for key in ("every_steps", "limit", "max_tokens", "batch_size"):
            require(getattr(self, key) > 0, key, getattr(self, key), "must be positive")
        require(bool(self.records or self.tasks), "records", self.records, "give records, tasks or both")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "") -> Self:
        values = dict(values)
        if isinstance(values.get("records"), Mapping):
            values["records"] = list(values["records"].items())
        return super().from_dict(values, where)

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "records": dict(self.records)}


class TaskScore(TypedDict):
    """A metric's value over n records."""

    metric: str
    value: float
    n: int


class Evaluator(Protocol):
    """What can answer and score."""

    def check(self, section: EvaluationSection) -> None:
        """Raises ValueError if the section asks for what is not there."""
        ...

    def score(self, model: Path, section: EvaluationSection, device: str) -> dict[str, TaskScore]:
        """Scores by task of the model, or adapter, in a directory."""
        ...
