"""Sections of JSON and TOML files as frozen dataclasses: checked reading, plain writing.

    {"key": value, ...} --Section.from_dict--> dataclass --to_dict--> {"key": value, ...}

Unknown keys, wrong types and values that a section refuses are ConfigErrors that name the key.
"""

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, Self, get_args, get_origin, get_type_hints


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the key, the value and what is allowed."""


# Keys of published files that carry no architecture: bookkeeping of the library that wrote them.
_IGNORED_KEYS = frozenset(
    (
        "architectures", "auto_map", "_name_or_path", "_attn_implementation", "transformers_version", "torch_dtype",
        "dtype", "use_cache", "lm_head", "rm_head", "ep_size", "pretraining_tp", "return_dict", "output_attentions",
        "output_hidden_states", "cls", "params", "class_name", "is_encoder_decoder", "model_type", "weight_init",
        "use_checkpoint", "num_recomputing_layers", "deterministic", "num_classes", "class_token", "no_embed_class",
    )
)  # fmt: skip


def require(condition: bool, key: str, value: object, rule: str) -> None:
    if not condition:
        raise ConfigError(f"{key} = {value!r}: {rule}")


def _coerce(value: Any, hint: Any, key: str) -> Any:
    """Check `value` against a field's annotation; JSON lists become tuples, integers pass for floats."""
    options = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        if option is type(None):
            if value is None:
                return None
        elif get_origin(option) is tuple:
            inner = get_args(option)
            if isinstance(value, list | tuple):
                if len(inner) == 2 and inner[1] is Ellipsis:
                    return tuple(_coerce(v, inner[0], f"{key}[{i}]") for i, v in enumerate(value))
                if len(inner) == len(value):
                    return tuple(
                        _coerce(v, t, f"{key}[{i}]") for i, (v, t) in enumerate(zip(value, inner, strict=True))
                    )
        elif option is float:
            if isinstance(value, int | float) and not isinstance(value, bool):
                require(math.isfinite(value), key, value, "must be a finite number")  # JSON of Python knows NaN
                return float(value)
        elif option is int:
            if isinstance(value, int) and not isinstance(value, bool):
                return value
        elif isinstance(option, type) and issubclass(option, Section):
            if isinstance(value, Mapping):
                return option.from_dict(value, key)
        elif isinstance(value, option):
            return value
    wanted = " or ".join(getattr(o, "__name__", str(o)) for o in options)
    raise ConfigError(f"{key} = {value!r}: expected {wanted}, got {type(value).__name__}")


class Section:
    """A frozen dataclass that reads and writes one section of a published JSON file."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "") -> Self:
        """Build from parsed JSON. Unknown keys, wrong types and impossible combinations raise ConfigError."""
        prefix = f"{where}." if where else ""
        known: dict[str, Field[Any]] = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
        hints = get_type_hints(cls)
        kwargs: dict[str, Any] = {}
        for key, value in values.items():
            if key in known:
                kwargs[key] = _coerce(value, hints[key], prefix + key)
            elif key not in _IGNORED_KEYS:
                name = prefix + key if key.isprintable() else repr(prefix + key)  # one line, whatever the file says
                raise ConfigError(f"{name} = {value!r}: unknown key; known keys: {', '.join(sorted(known))}")
        for name, f in known.items():
            if name not in kwargs and f.default is MISSING and f.default_factory is MISSING:
                raise ConfigError(f"{prefix}{name} is missing")
        try:
            return cls(**kwargs)
        except ConfigError as error:
            raise ConfigError(f"{prefix}{error}") from None

    def to_dict(self) -> dict[str, Any]:
        """Every field under its published name, ready for json.dump."""
        out: dict[str, Any] = {}
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            out[f.name] = value.to_dict() if isinstance(value, Section) else _plain(value)
        return out


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple) else value
