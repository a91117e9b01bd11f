"""Tables and pictures of docs/performance.md from the results files of `vl2 bench --out`.

python scripts/write_performance.py

bench/results/*.json, bench/targets.toml --> by device: the part between the marks in docs/performance.md,
    docs/images/performance-DEVICE.png (percent of the floor) and -DEVICE-batch.png (tokens a second)

The trap: targets are for a GPU. Rows of a CPU are never held against them.
"""

import argparse
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from vl2.files import write_whole

ROOT = Path(__file__).resolve().parent.parent
MARKS = "<!-- results:start -->", "<!-- results:end -->"
KINDS = ("decode", "prefill", "vision", "ttft", "serve", "moe", "attention", "train")
MODELS = ("nano", "tiny", "small", "base")
PLAIN = "plain loop"  # our own reference, no peer
MET, MISSED, FREE = "tab:green", "tab:red", "tab:blue"


# units of targets that are shares, and the facts that hold them
SHARES = {"of_floor_learning": "of_floor_without_optimizer", "of_one": "of_one_alone"}
NAMES = {"of_floor_learning": "without optimizer", "of_one": "of one GPU"}


def case_of(row: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in row["case"].items())


def is_gpu(content: dict[str, Any]) -> bool:
    return "NVIDIA" in content["machine"]["device"]


def best_peer(row: dict[str, Any]) -> float | None:
    """How many times as fast as the fastest peer ours is."""
    others = [timing["median"] for name, timing in row["peers"].items() if name != PLAIN]
    return min(others) / row["ours"]["median"] if others else None


def reached(row: dict[str, Any], unit: str) -> float | None:
    """What a row has in the unit of a target."""
    median = row["ours"]["median"]
    values = {"of_floor": row["of_floor"], "milliseconds": median * 1e3, "a_second": row["units"] / median}
    values |= {unit: row["facts"].get(fact) for unit, fact in SHARES.items()}
    return best_peer(row) if unit == "speedup" else values[unit]


def matches(case: dict[str, Any], wanted: dict[str, Any]) -> bool:
    case = {"ranks": 1, "lora": 0, **case, "cached": case.get("batch", 1) * case.get("context", 0)}
    for key, value in {"ranks": 1, **wanted}.items():
        low, high = value if isinstance(value, list) else (value, value)
        if key not in case or not low <= case[key] <= high:
            return False
    return True


def targets_of(
    content: dict[str, Any], row: dict[str, Any], targets: list[dict[str, Any]]
) -> Iterator[tuple[str, float, bool, float]]:
    """(unit, target, whether the target is a lower limit, what was reached) of each target this row has."""
    for target in targets if is_gpu(content) else ():
        limits = target.get("least") or target["most"]
        if target["kind"] != content["kind"] or content["model"] not in limits:
            continue
        value = reached(row, target["unit"])
        if matches({"ranks": content.get("ranks", 1), **row["case"]}, target["case"]) and value is not None:
            yield target["unit"], limits[content["model"]], "least" in target, value


def verdict(unit: str, limit: float, least: bool, value: float) -> str:
    """For example "≥ 60 %: missed by 4 points"."""
    shares = {"of_floor": f"{limit:.0%}", **{unit: f"{limit:.0%} {NAMES[unit]}" for unit in SHARES}}
    name = {**shares, "milliseconds": f"{limit:g} ms", "a_second": f"{limit:,.0f} a second"}.get(
        unit, f"{limit:g}x the best peer"
    )
    by = abs(value - limit)
    far = f"{by * 100:.1f} points" if unit in shares else f"{by / limit:.0%}"
    met = value >= limit if least else value <= limit
    return f"{'≥' if least else '≤'} {name}: {'met' if met else '**missed**'} by {far}"


def table(content: dict[str, Any], name: str, targets: list[dict[str, Any]]) -> str:
    """One results file in Markdown."""
    rows = content["rows"]
    peers = list(dict.fromkeys(peer for row in rows for peer in row["peers"]))
    held = [[verdict(*target) for target in targets_of(content, row, targets)] for row in rows]
    compared, facts = any(best_peer(row) for row in rows), {key for row in rows for key in row["facts"]}
    head = ["case", "ours ms (low - p90)", "a second", "floor ms", "of floor"]
    head += ["target"] * any(held) + [f"{peer} ms" for peer in peers] + ["best peer"] * compared
    head += ["of floor without optimizer"] * ("of_floor_without_optimizer" in facts)
    head += ["of one GPU, each"] * ("of_one_alone" in facts)
    head += ["experts a layer"] * ("distinct_experts" in facts) + ["peak GB"] * ("peak_memory_bytes" in facts)
    lines = [
        f"#### {content['kind']}, {content['model']}{layers_of(content)}\n",
        "| " + " | ".join(head) + " |",
        "|---|" + "---:|" * (len(head) - 1),
    ]
    for row, verdicts in zip(rows, held, strict=True):
        ours, speedup = row["ours"], best_peer(row)
        cells = [
            case_of(row),
            f"{milliseconds(ours['median'])} ({milliseconds(ours['low'])} - {milliseconds(ours['p90'])})",
            f"{row['units'] / ours['median']:,.1f}",
            milliseconds(row["floor"]),
            f"{row['of_floor']:.0%}",
        ]
        cells += ["; ".join(verdicts) or "-"] * any(held)
        cells += [milliseconds(row["peers"][peer]["median"]) if peer in row["peers"] else "-" for peer in peers]
        cells += [f"{speedup:.2f}x" if speedup else "-"] * compared
        if "of_floor_without_optimizer" in facts:
            cells.append(f"{row['facts']['of_floor_without_optimizer']:.0%}")
        if "of_one_alone" in facts:
            cells.append(f"{row['facts']['of_one_alone']:.0%}" if "of_one_alone" in row["facts"] else "-")
        if "distinct_experts" in facts:
            cells.append(f"{row['facts']['distinct_experts']:.1f}" if "distinct_experts" in row["facts"] else "-")
        if "peak_memory_bytes" in facts:
            cells.append(f"{row['facts'].get('peak_memory_bytes', 0) / 1e9:.1f}")
        lines.append("| " + " | ".join(cells) + " |")
    lines.append(f"\n{machine_of(content)}. `bench/results/{name}`\n")
    return "\n".join(lines)


def layers_of(content: dict[str, Any]) -> str:
    """How many decoder layers were trained, rarely all, and on how many GPUs."""
    layers = f", {content['layers']} decoder layers" if content["kind"] == "train" else ""
    return f"{layers}, {content['ranks']} GPUs" if content.get("ranks", 1) > 1 else layers


def gpus_of(content: dict[str, Any], row: dict[str, Any]) -> str:
    """For a picture, where the case does not say it."""
    ranks = content.get("ranks", 1)
    return f" on {ranks} GPUs" if ranks > 1 and "ranks" not in row["case"] else ""


def milliseconds(seconds: float) -> str:
    """With as many decimals as short times need."""
    return f"{seconds * 1e3:.4f}" if seconds < 1e-4 else f"{seconds * 1e3:.2f}"


def machine_of(content: dict[str, Any]) -> str:
    machine = content["machine"]
    parts = [] if is_gpu(content) else [f"{machine['threads']} threads"]
    parts += [machine["dtype"], f"torch {machine['torch']}"]
    parts += [f"{name} {machine[name]}" for name in ("triton", "transformers", "driver") if machine.get(name)]
    parts.append(f"commit {machine['commit'] or 'unknown'}")
    reads, multiplies = machine["bytes_per_sec"] / 1e9, machine["flops_per_sec"] / 1e9
    return f"{', '.join(parts)}: reads {reads:,.1f} GB/s, multiplies {multiplies:,.0f} GFLOP/s"


def slug(device: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def draw_floor(contents: list[dict[str, Any]], targets: list[dict[str, Any]], path: Path) -> None:
    """Percent of the floor, a bar each case, with a mark where the target is."""
    bars = []
    for content in contents:
        for row in content["rows"]:
            limit = next((limit for unit, limit, *_ in targets_of(content, row, targets) if unit == "of_floor"), None)
            bars.append(
                (f"{content['model']} {content['kind']}{gpus_of(content, row)}: {case_of(row)}", row["of_floor"], limit)
            )
    figure, axes = plt.subplots(figsize=(9.5, 0.24 * len(bars) + 1.3), layout="constrained")
    for place, (_, value, limit) in enumerate(bars):
        axes.barh(place, value * 100, color=FREE if limit is None else MET if value >= limit else MISSED, height=0.7)
        axes.text(max(value, limit or 0) * 100 + 1, place, f"{value:.0%}", va="center", fontsize=8)
        if limit is not None:
            axes.plot([limit * 100] * 2, [place - 0.45, place + 0.45], color="black", linewidth=2)
    axes.set_yticks(range(len(bars)), [label for label, _, _ in bars], fontsize=8)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, 109)
    axes.axvline(100, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlabel("percent of what the measured machine could do at most", loc="right")  # labels leave little room
    if any(limit is not None for _, _, limit in bars):
        names = {"target met": MET, "target missed": MISSED, "no target": FREE}
        handles = [Line2D([], [], color=color, linewidth=6, label=name) for name, color in names.items()]
        handles.append(Line2D([], [], color="black", linestyle="", marker="|", markersize=10, label="target"))
        figure.legend(handles=handles, fontsize=8, loc="outside upper center", ncols=4)
    save(figure, path)


def draw_batches(contents: list[dict[str, Any]], path: Path) -> bool:
    """Tokens a second against sequences at a time, a panel each model and context; False if none has two."""
    panels: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for content in contents:
        for row in content["rows"] if content["kind"] == "decode" else ():
            panel = panels.setdefault(f"{content['model']}, {row['case']['context']} tokens cached", {})
            batch = row["case"]["batch"]
            floor = ("floor", {"median": row["floor"]})
            for name, timing in (floor, ("ours", row["ours"]), *row["peers"].items()):
                panel.setdefault(name, []).append((batch, row["units"] / timing["median"]))
    panels = {title: lines for title, lines in panels.items() if len(lines["ours"]) > 1}
    if not panels:
        return False
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    styles = {"floor": ("black", ":", ""), "ours": ("tab:blue", "-", "o"), PLAIN: ("tab:orange", "--", "s")}
    others = [name for name in names if name not in styles]
    styles |= {n: (f"C{5 + i}", "--", "^v<>"[i % 4]) for i, n in enumerate(others)}
    width = min(len(panels), 3)
    height = -(-len(panels) // width)
    figure, grid = plt.subplots(
        height, width, figsize=(max(3.6 * width, 6), 3.4 * height + 0.6), layout="constrained", squeeze=False
    )
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (title, lines) in zip(grid.flat, panels.items(), strict=False):
        for name, points in lines.items():
            color, line, marker = styles[name]
            axes.plot(*zip(*sorted(points), strict=True), color=color, linestyle=line, marker=marker, markersize=5)
        batches = sorted({batch for points in lines.values() for batch, _ in points})
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(batches, [str(batch) for batch in batches])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.grid(visible=True, alpha=0.3)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("sequences at a time")
    for row in grid:
        row[0].set_ylabel("tokens a second")
    handles = [
        Line2D([], [], color=color, linestyle=line, marker=marker, markersize=5, label=name)
        for name, (color, line, marker) in styles.items()
        if name in names
    ]
    figure.legend(handles=handles, fontsize=8, loc="outside upper center", ncols=min(len(handles), 3))
    save(figure, path)
    return True


def save(figure: Any, path: Path) -> None:
    with write_whole(path) as staging:
        figure.savefig(staging, dpi=110, format="png")
    plt.close(figure)


def section(
    device: str, files: dict[str, dict[str, Any]], targets: list[dict[str, Any]], images: Path, link: str
) -> str:
    """One device: its pictures, then its tables."""
    contents = list(files.values())
    name = f"performance-{slug(device)}"
    draw_floor(contents, targets, images / f"{name}.png")
    parts = [f"### {device}\n", f"![Percent of the floor on {device}]({link}/{name}.png)\n"]
    if draw_batches(contents, images / f"{name}-batch.png"):
        parts.append(f"![Tokens a second against sequences at a time on {device}]({link}/{name}-batch.png)\n")
    return "\n".join([*parts, *(table(content, file, targets) for file, content in files.items())])


def order(content: dict[str, Any]) -> tuple[int, int]:
    def place(name: str, known: tuple[str, ...]) -> int:
        return known.index(name) if name in known else len(known)

    return place(content["kind"], KINDS), place(content["model"], MODELS)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "bench/results")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/performance.md")
    options = parser.parse_args(arguments)
    targets = tomllib.loads((ROOT / "bench/targets.toml").read_text(encoding="utf-8"))["target"]
    read = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(options.results.glob("*.json"))}
    by_device: dict[str, dict[str, dict[str, Any]]] = {}
    for name, content in sorted(read.items(), key=lambda item: (not is_gpu(item[1]), *order(item[1]))):
        by_device.setdefault(content["machine"]["device"], {})[name] = content
    images = options.page.parent / "images"
    images.mkdir(exist_ok=True)
    sections = [section(device, files, targets, images, "images") for device, files in by_device.items()]
    before, rest = options.page.read_text(encoding="utf-8").split(MARKS[0])
    _, after = rest.split(MARKS[1])
    with write_whole(options.page) as staging:
        staging.write_text(f"{before}{MARKS[0]}\n{chr(10).join(sections)}{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
