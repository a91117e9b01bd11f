"""scripts/write_performance.py on made-up results: tables by device, targets, pictures."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
GPU, CPU = "NVIDIA Made-Up", "Some Processor"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("write_performance", ROOT / "scripts" / "write_performance.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def timing(seconds: float) -> dict[str, float]:
    return {"median": seconds, "low": seconds * 0.98, "p90": seconds * 1.04, "spread": 0.06, "repeats": 20}


def made_up(kind: str, model: str, cases: list[tuple[dict[str, Any], float, dict[str, float]]], device: str = GPU):
    """A results file. cases: what, share of the floor that is reached, times of peers as multiples of ours."""
    rows = []
    for number, (case, of_floor, peers) in enumerate(cases, 1):
        floor = 1e-3 * number
        rows.append({
            "case": case, "units": case.get("batch", 1), "ours": timing(floor / of_floor), "floor": floor,
            "of_floor": of_floor, "facts": {"distinct_experts": 6.0, "peak_memory_bytes": 4e10},
            "peers": {name: timing(floor / of_floor * times) for name, times in peers.items()},
        })  # fmt: skip
    machine = {
        "device": device, "threads": 2, "dtype": "bfloat16", "torch": "2.11", "python": "3.12", "commit": "",
        "bytes_per_sec": 4e12, "flops_per_sec": 7e14, "triton": "3.6", "transformers": "5.17", "driver": "1",
    }  # fmt: skip
    return {"kind": kind, "model": model, "layers": 1, "machine": machine, "rows": rows}


def decode_cases(shares: list[float]) -> list[tuple[dict[str, Any], float, dict[str, float]]]:
    peers = {"transformers eager": 30.0, "transformers compiled": 4.0, "transformers compiled, grouped_mm": 2.5}
    few = {name: times for name, times in peers.items() if name != "transformers compiled"}
    return [
        ({"batch": batch, "context": 2048}, share, peers if batch <= 8 else few)
        for batch, share in zip((1, 8, 64, 256), shares, strict=True)
    ]


def test_page(script: ModuleType, tmp_path: Path) -> None:
    contents = {
        "a-cpu.json": made_up("decode", "small", decode_cases([0.1, 0.2, 0.3, 0.4]), CPU),
        "gpu-small-decode.json": made_up("decode", "small", decode_cases([0.55, 0.6, 0.75, 0.72])),
        "gpu-tiny-decode.json": made_up("decode", "tiny", decode_cases([0.5, 0.6, 0.7, 0.5])),
        "gpu-base-ttft.json": made_up("ttft", "base", [({"grid": "3x3", "tiles": 10, "tokens": 2037}, 0.02, {})]),
        "gpu-base-moe.json": made_up("moe", "base", [({"tokens": 256}, 0.95, {}), ({"tokens": 8}, 0.4, {})]),
        "gpu-base-attention.json": made_up(
            "attention", "base", [({"batch": 64, "context": 2048}, 0.7, {}), ({"batch": 1, "context": 2048}, 0.2, {})]
        ),
        "gpu-small-serve.json": made_up("serve", "small", [({"requests": 512, "running": 256}, 0.5, {})]),
    }
    (results := tmp_path / "results").mkdir()
    for name, content in contents.items():
        (results / name).write_text(json.dumps(content), encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(f"before\n{script.MARKS[0]}\nold\n{script.MARKS[1]}\nafter\n", encoding="utf-8")
    script.main(["--results", str(results), "--page", str(page)])
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{script.MARKS[0]}\n")
    assert text.endswith(f"{script.MARKS[1]}\nafter\n")
    assert "old" not in text
    gpu, cpu = text.split(f"### {CPU}")
    assert gpu.index(f"### {GPU}") < gpu.index("#### decode, tiny") < gpu.index("#### attention, base")
    assert "target" not in cpu
    assert "≥ 60%: **missed** by 5.0 points; ≥ 3x the best peer: **missed** by 17%" in gpu
    assert "≥ 70%: met by 5.0 points" in gpu
    assert "≤ 52 ms: met by 4%" in gpu
    assert "≥ 90%: met by 5.0 points" in gpu
    assert "≥ 75%: **missed** by 5.0 points" in gpu
    assert "≥ 10,000 a second: **missed**" in gpu
    assert "2.50x" in gpu
    assert "40.0" in gpu  # peak GB
    for name in ("nvidia-made-up", "nvidia-made-up-batch", "some-processor", "some-processor-batch"):
        assert f"(images/performance-{name}.png)" in text
        with Image.open(tmp_path / "images" / f"performance-{name}.png") as picture:
            assert min(picture.size) > 200


def test_targets_of_training_are_for_what_they_say(script: ModuleType) -> None:
    targets = [
        {"kind": "train", "case": {"ranks": 1, "lora": 0}, "unit": "of_floor_learning", "least": {"small": 0.5}},
        {"kind": "train", "case": {"ranks": [2, 8]}, "unit": "of_one", "least": {"small": 0.85}},
    ]
    content = made_up(
        "train", "small", [({"tokens": 8}, 0.4, {}), ({"tokens": 8, "lora": 4}, 0.4, {}), ({"ranks": 2}, 0.4, {})]
    )
    for row in content["rows"]:
        row["facts"] |= {"of_floor_without_optimizer": 0.45, "of_one_alone": 0.9}
    held = [[script.verdict(*target) for target in script.targets_of(content, row, targets)] for row in content["rows"]]
    assert held == [["≥ 50% without optimizer: **missed** by 5.0 points"], [], ["≥ 85% of one GPU: met by 5.0 points"]]


def test_targets_are_of_known_kinds(script: ModuleType) -> None:
    import tomllib

    for target in tomllib.loads((ROOT / "bench" / "targets.toml").read_text(encoding="utf-8"))["target"]:
        assert target["kind"] in script.KINDS
        assert set(target.get("least") or target["most"]) <= set(script.MODELS)
        assert target["unit"] in ("of_floor", "milliseconds", "a_second", "speedup", *script.SHARES)


def test_results_in_the_repository_are_shown() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for path in (ROOT / "bench" / "results").glob("*.json"):
        assert f"`bench/results/{path.name}`" in text
