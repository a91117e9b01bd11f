"""Who may import whom, and rules of style that a machine can check."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import vl2.model

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "vl2"
MODULES = sorted(PACKAGE.rglob("*.py"))
OURS = sorted(p for folder in ("vl2", "tests", "scripts", "examples") for p in (ROOT / folder).rglob("*.py"))
MAX_LINES = 600

# A part imports parts of lower rank, and only those named here.
RANKS: dict[int, dict[str, str]] = {
    0: {"section": "", "layout": "", "files": "", "kernels": "", "device": ""},
    1: {"config": "section", "sampling": "kernels"},
    2: {"processing": "section config layout files"},
    3: {
        "model": "config layout kernels",
        "data": "config layout files processing",
        "intake": "processing",
        "grammar": "processing",
    },
    4: {
        "synth": "files processing data",
        "generate": "sampling processing model",
        "engine": "config layout sampling processing model kernels",
        "family": "config layout processing model",
        "hub": "",
        "extraction": "processing grammar",
    },
    5: {
        "train": "section device config layout files kernels data model processing hub",
        "eval": "files sampling processing data",
        "api": "config device kernels sampling processing grammar extraction model engine hub",
        "draw": "config layout files processing",
        "downloads": "files intake",
        "training_cost": "config model family",
    },
    6: {
        "chat": "processing api",
        "answerer": "processing data eval api",
        "serve": "config sampling layout intake processing grammar engine api",
        "bench": "config layout files kernels sampling processing model data family generate engine train",
    },
    7: {
        "batch": "sampling intake processing api serve",
        "early_evaluation": "data synth eval api answerer train",
    },
}
ALLOWED = {part: set(names.split()) for parts in RANKS.values() for part, names in parts.items()}
RANK = {part: rank for rank, parts in RANKS.items() for part in parts}
FRONT = {
    "__init__",
    "__main__",
    "cli",
    "cli_documents",
    "cli_training",
    "cli_eval",
    "cli_bench",
    "cli_serve",
    "cli_extract",
    "cli_batch",
}  # these may import anything

FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "torch.load", "yaml.load", "os.system", "os.popen", "marshal.loads",
}  # fmt: skip
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "shelve", "marshal", "joblib"}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}


def name_of(path: Path) -> str:
    """vl2/model/moe.py -> vl2.model.moe"""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path) for path in MODULES}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, *, at_start_only: bool = False) -> Iterator[str]:
    """Modules of ours that a file imports; `at_start_only` leaves out what functions and type checkers import."""
    nodes = tree(path).body if at_start_only else ast.walk(tree(path))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "vl2")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            if node.module and node.module.split(".")[0] == "vl2":
                deeper = (f"{node.module}.{alias.name}" for alias in node.names)
                yield from (name if name in NAMES else node.module for name in deeper)


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def test_every_module_has_a_rank() -> None:
    assert {part_of(name) for name in NAMES} - FRONT == set(RANK)


def test_the_table_points_down() -> None:
    for part, allowed in ALLOWED.items():
        assert all(RANK[other] < RANK[part] for other in allowed), part


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    """Those inside functions too."""
    part = part_of(name_of(path))
    if part not in FRONT:
        others = {part_of(module) for module in imports(path)} - {part}
        assert others <= ALLOWED[part], f"{name_of(path)} may not import {sorted(others - ALLOWED[part])}"


def test_no_cycles() -> None:
    """Every module can be imported first."""
    graph = {name_of(path): set(imports(path, at_start_only=True)) & NAMES for path in MODULES}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for other in graph[module]:
                visit(other, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_optional_packages_stay_where_they_are_needed() -> None:
    """`import vl2` and the model work with the core dependencies alone."""
    extras = {
        "matplotlib": "train synth", "cv2": "synth", "playwright": "synth",
        "transformers": "bench", "pyarrow": "data", "urllib3": "intake",
        "pypdfium2": "processing", "llguidance": "grammar", "starlette": "serve", "uvicorn": "serve",
        "pydantic": "serve batch", "prometheus_client": "serve", "python_multipart": "serve", "httptools": "serve",
        "ray": "serve", "peft": "model", "datasets": "data", "hypothesis": "", "pytest": "", "jsonschema": "",
    }  # fmt: skip
    for path in MODULES:
        for node in ast.walk(tree(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                home = extras.get(name.split(".")[0])
                assert home is None or part_of(name_of(path)) in home.split(), f"{path} imports {name}"


def test_files_are_short() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in OURS}
    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_files_are_named_after_what_they_hold() -> None:
    assert [path for path in OURS if path.stem.removeprefix("test_") in FORBIDDEN_NAMES] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_say_what_they_are_for(path: Path) -> None:
    """An empty __init__ and the three lines of __main__ need no words."""
    if path.name not in ("__init__.py", "__main__.py"):
        assert ast.get_docstring(tree(path))


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_runs_what_it_reads(path: Path) -> None:
    """No eval, no pickle, no shell; and no error is swallowed."""
    for node in ast.walk(tree(path)):
        where = f"{path}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call):
            assert dotted(node.func) not in FORBIDDEN_CALLS, where
            for keyword in node.keywords:
                true = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
                assert not (true and keyword.arg in ("shell", "trust_remote_code", "allow_pickle")), where
        elif isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & FORBIDDEN_IMPORTS, where
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in FORBIDDEN_IMPORTS, where
        elif isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{where}: bare except"
            silent = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
            assert not (silent and dotted(node.type) in ("Exception", "BaseException")), f"{where}: swallowed error"


# Shape suffixes

SUFFIX = re.compile(r"[a-z][a-z0-9_]*_([A-Z][A-Z0-9]*)")


def legend() -> set[str]:
    """Letters explained in vl2/model/__init__.py: a capital before its words ("M = T * A", "Y, X pixels" too)."""
    text = vl2.model.__doc__ or ""
    return set(re.findall(r"(?:^|\s)([A-Z])(?=,? [a-zA-Z=])", text.split("per axis:")[1]))


def test_legend() -> None:
    assert legend() == set("TSLDVHGKUZREAMFNPQWICYXJOB")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_suffixes_are_in_the_legend(path: Path) -> None:
    """Wherever tensors and arrays carry suffixes."""
    used: dict[str, str] = {}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Name | ast.Attribute | ast.arg):
            name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else node.arg
            if match := SUFFIX.fullmatch(name):
                used |= dict.fromkeys(re.sub(r"\d", "", match[1]), name)
    assert {letter: name for letter, name in used.items() if letter not in legend()} == {}


def test_files_of_tests_have_names_of_their_own() -> None:
    """pytest imports them by name alone."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]
    assert sorted(set(names)) == sorted(names)
