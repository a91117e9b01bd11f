"""Run, fine-tune, train and evaluate the DeepSeek-VL2 family of vision-language models."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Model", "load"]

if TYPE_CHECKING:
    from vl2.api import Model, load


def __getattr__(name: str) -> Any:
    """`vl2.load` and `vl2.Model`, imported when first used so that `import vl2` stays instant."""
    if name in __all__:
        from vl2 import api

        return getattr(api, name)
    raise AttributeError(f"module 'vl2' has no attribute {name!r}")
