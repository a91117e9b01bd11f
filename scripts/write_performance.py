"""Tables and a picture of docs/performance.md from the results files of `vl2 bench --out`.

python scripts/write_performance.py

bench/results/*.json --> the part between the marks in docs/performance.md, docs/images/performance.png
"""

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from vl2.files import write_whole

ROOT = Path(__file__).resolve().parent.parent
MARKS = "<!-- results:start -->", "<!-- results:end -->"


def case_of(row: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in row["case"].items())


def table(content: dict[str, Any], name: str) -> str:
    """One results file in Markdown."""
    machine = content["machine"]
    peers = list(dict.fromkeys(peer for row in content["rows"] for peer in row["peers"]))
    head = ["case", "ours ms (low - p90)", "a second", "floor ms", "of floor", *(f"{peer} ms" for peer in peers)]
    lines = [
        f"### {content['kind']}, {content['model']}\n",
        "| " + " | ".join(head) + " |",
        "|---|" + "---:|" * (len(head) - 1),
    ]
    for row in content["rows"]:
        ours = row["ours"]
        cells = [
            case_of(row),
            f"{ours['median'] * 1e3:.2f} ({ours['low'] * 1e3:.2f} - {ours['p90'] * 1e3:.2f})",
            f"{row['units'] / ours['median']:,.1f}",
            f"{row['floor'] * 1e3:.2f}",
            f"{row['of_floor']:.0%}",
            *(f"{row['peers'][peer]['median'] * 1e3:.2f}" if peer in row["peers"] else "-" for peer in peers),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines.append(
        f"\n{machine['device']}, {machine['threads']} threads, {machine['dtype']}, torch {machine['torch']}, commit "
        f"{machine['commit']}: reads {machine['bytes_per_sec'] / 1e9:.1f} GB/s, multiplies "
        f"{machine['flops_per_sec'] / 1e9:,.0f} GFLOP/s. `bench/results/{name}`\n"
    )
    return "\n".join(lines)


def picture(contents: list[dict[str, Any]], path: Path) -> None:
    """Ours and the peers as multiples of the floor, a bar each."""
    bars = [
        (f"{content['model']} {content['kind']}: {case_of(row)}", name, timing["median"] / row["floor"])
        for content in contents
        for row in content["rows"]
        for name, timing in (("ours", row["ours"]), *row["peers"].items())
    ]
    colors = {"ours": "tab:blue", "plain loop": "tab:orange", "transformers": "tab:grey"}
    figure, axes = plt.subplots(figsize=(10, 0.24 * len(bars) + 1.2), layout="constrained")
    for place, (_, name, value) in enumerate(bars):
        axes.barh(place, value, color=colors[name])
        axes.text(value, place, f" {value:.1f}", va="center", fontsize=7)
    labels = [label if place == 0 or bars[place - 1][0] != label else "" for place, (label, _, _) in enumerate(bars)]
    axes.set_yticks(range(len(bars)), labels, fontsize=7)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("time / floor of the measured machine (1 is the least possible)")
    axes.legend([plt.Rectangle((0, 0), 1, 1, color=color) for color in colors.values()], list(colors), fontsize=8)
    with write_whole(path) as staging:
        figure.savefig(staging, dpi=110, format="png")
    plt.close(figure)


def main() -> None:
    files = sorted((ROOT / "bench/results").glob("*.json"))
    contents = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    page = ROOT / "docs/performance.md"
    before, rest = page.read_text(encoding="utf-8").split(MARKS[0])
    _, after = rest.split(MARKS[1])
    tables = "\n".join(table(content, path.name) for content, path in zip(contents, files, strict=True))
    with write_whole(page) as staging:
        staging.write_text(f"{before}{MARKS[0]}\n{tables}{MARKS[1]}{after}", encoding="utf-8")
    picture(contents, ROOT / "docs/images/performance.png")


if __name__ == "__main__":
    main()
