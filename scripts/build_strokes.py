"""Rebuild vl2/synth/pack/chinese/strokes.npz: how each character of the pack is written, stroke by stroke.

    npm install --> WORKDIR/strokes/node_modules/hanzi-writer-data --medians, simplified--> strokes.npz
                                                                   ARPHICPL.TXT --> licences/hanzi-writer-data.txt

    counts (characters,) uint8, strokes of each character of characters.txt in its order, 0 where they lack
    lengths (strokes,) uint8, points of each stroke      points (points, 2) uint8, x to the right, y down, 256 an em
    notice: what the licence asks a changed file to say of itself

Needs npm. The result is the same on every run. The trap: a new order of characters.txt needs a new strokes.npz.

    python scripts/build_strokes.py WORKDIR
"""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np

PACK = Path(__file__).parent.parent / "vl2" / "synth" / "pack" / "chinese"
TOP, EM = 900, 1024  # the package's y goes up from -124 to 900
TOLERANCE = 15.0  # by which a simplified stroke may miss a point, in the package's units


def fetch(source: dict, work: Path) -> Path:
    """The folder of the installed package."""
    folder = work / "strokes"
    folder.mkdir(parents=True, exist_ok=True)
    package = folder / "node_modules" / source["package"]
    if not package.exists():
        wanted = f"{source['package']}@{source['version']}"
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", wanted], cwd=folder, check=True)
    return package


def simplify(points: np.ndarray) -> np.ndarray:
    """The corners of a polyline that leave every point within TOLERANCE (Ramer, Douglas, Peucker); both (N, 2)."""
    first, last = points[0], points[-1]
    along = last - first
    length = float(np.hypot(*along))
    off = points - first
    away = np.abs(along[0] * off[:, 1] - along[1] * off[:, 0]) / length if length else np.hypot(*off.T)
    far = int(away.argmax())
    if len(points) < 3 or away[far] <= TOLERANCE:
        return points[[0, -1]]
    return np.concatenate([simplify(points[: far + 1])[:-1], simplify(points[far:])])


def main() -> None:
    """Build from the work directory named on the command line."""
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/build_strokes.py WORKDIR")
    source = tomllib.loads((PACK / "sources.toml").read_text(encoding="utf-8"))["strokes"][0]
    package = fetch(source, Path(sys.argv[1]))
    counts, strokes = [], []
    for char in (PACK / "characters.txt").read_text(encoding="utf-8").strip():
        path = package / f"{char}.json"
        medians = json.loads(path.read_text(encoding="utf-8"))["medians"] if path.exists() else []
        counts.append(len(medians))
        for median in medians:
            corners = simplify(np.array(median, np.float64)) * (1, -1) + (0, TOP)
            strokes.append(np.rint(corners * 256 / EM).clip(0, 255).astype(np.uint8))
    target = PACK / "strokes.npz"
    np.savez_compressed(
        target,
        counts=np.array(counts, np.uint8),
        lengths=np.array([len(stroke) for stroke in strokes], np.uint8),
        points=np.concatenate(strokes),
        notice=np.array(source["changes"]),
    )
    shutil.copy(package / source["notice"], PACK / "licences" / f"{source['package']}.txt")
    print(len(counts), "characters,", len(strokes), "strokes,", sum(map(len, strokes)), "points,", end=" ")
    print(target.stat().st_size, "bytes; without strokes:", counts.count(0))


if __name__ == "__main__":
    main()
