"""Which kernels let the next one start early, and that those which must not do not."""

import ast
from pathlib import Path

import pytest

from vl2.kernels import launch

KERNELS = Path(launch.__file__).parent


class Rows:
    """In the place of a tensor on a device."""

    is_cuda = True

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def get_device(self) -> int:
        return 0


def calls() -> dict[str, set[str]]:
    """What every function of the Triton modules calls, by its name."""
    functions = [
        node
        for path in KERNELS.glob("*_triton.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
    ]
    return {
        function.name: {
            node.func.id
            for node in ast.walk(function)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        for function in functions
    }


def test_who_lets_the_next_start_waits_itself_and_sends_nothing() -> None:
    known = calls()
    early = {name: called for name, called in known.items() if "let_next_start" in called}
    assert len(early) >= 7
    for name, called in early.items():
        inside = called.union(*(known.get(other, set()) for other in called))
        assert "wait_for_last" in inside, name
        assert "send" not in inside or name == "_linear", f"{name}: what follows it reads before it waits"


def test_a_product_that_is_sent_does_not() -> None:
    body = (KERNELS / "linear_triton.py").read_text()
    assert body.count("let_next_start(") == body.count("if COUNT == 1:  #") == 1


def test_only_single_tokens_and_only_kernels_that_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_is_hopper", lambda device: True)
    assert launch.overlapped(Rows(1), "pick") == {"OVERLAP": 2, "launch_pdl": True}  # type: ignore[arg-type]
    for rows, name in ((Rows(2), "pick"), (Rows(1), ""), (Rows(1), "down")):
        assert launch.overlapped(rows, name)["OVERLAP"] == 1  # type: ignore[arg-type]
