"""Groups of parameters: what a recipe can freeze or give a learning rate of its own.

    vision | projector | language = embeddings + attention + dense + router + experts + shared_experts + norms + head

The trap: "language" names its eight parts together, so a set of frozen names is expanded before anyone looks into it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vl2.section import Section, require

LANGUAGE_PARTS = ("embeddings", "attention", "dense", "router", "experts", "shared_experts", "norms", "head")
GROUPS = ("vision", "projector", *LANGUAGE_PARTS)
FREEZABLE = ("vision", "projector", "language", *LANGUAGE_PARTS)

_OUTSIDE = {"vision": "vision", "projector": "projector", "image_newline": "projector", "view_seperator": "projector"}
_INSIDE = {"embed_tokens": "embeddings", "norm": "norms", "lm_head": "head"}
_OF_LAYER = {"router": "router", "experts": "experts", "shared_experts": "shared_experts"}


def group_of(name: str) -> str:
    """One of GROUPS, from the name of a parameter of `VL2`."""
    first, *rest = name.split(".")
    if first != "language":
        return _OUTSIDE[first]
    if rest[0] != "layers":
        return _INSIDE[rest[0]]
    _, _, module, *deeper = rest
    if module.endswith("layernorm") or deeper[0].endswith("layernorm"):
        return "norms"
    return "attention" if module == "self_attn" else _OF_LAYER.get(deeper[0], "dense")


def expand(names: Iterable[str]) -> frozenset[str]:
    """Members of FREEZABLE as members of GROUPS."""
    return frozenset(part for name in names for part in (LANGUAGE_PARTS if name == "language" else (name,)))


def check_freeze(names: tuple[str, ...]) -> None:
    """Raises ConfigError for an unknown group, and if nothing is left to train."""
    for name in names:
        require(name in FREEZABLE, "freeze", name, f"must be among {', '.join(FREEZABLE)}")
    require(len(expand(names)) < len(GROUPS), "freeze", names, "leaves nothing to train")


@dataclass(frozen=True)
class LearningRateMultipliers(Section):
    """Factors on the stage's learning rate by group; a part of the language model that has none takes language's."""

    vision: float = 1.0
    projector: float = 1.0
    language: float = 1.0
    embeddings: float | None = None
    attention: float | None = None
    dense: float | None = None
    router: float | None = None
    experts: float | None = None
    shared_experts: float | None = None
    norms: float | None = None
    head: float | None = None
    patch_head: float = 1.0

    def __post_init__(self) -> None:
        for key, value in self.to_dict().items():
            require(
                value is None or value >= 0, key, value, "must not be negative; 0 keeps moments but changes nothing"
            )

    def of(self, group: str) -> float:
        """Of one of GROUPS, or of patch_head."""
        own: Any = getattr(self, group)
        return self.language if own is None else own
