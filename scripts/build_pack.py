"""Rebuild the fonts and texts of vl2/synth/pack from the packages listed in its sources.toml.

    sources.toml --npm install, apt-get download--> a work directory --cut, rename--> fonts/*.ttf, fonts.tsv
                 --build_texts--> text/{train,test,shared}/*.txt            licences/*.txt

Needs npm, apt-get and dpkg-deb (Debian or Ubuntu) and
`pip install fonttools brotli pillow numpy wordfreq==3.1.1 Faker==40.54.0`. The result is the same on every run.
The trap: a font family is in one split only, with all its weights.

    PYTHONHASHSEED=0 python scripts/build_pack.py WORKDIR
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
from build_texts import build_texts
from fontTools import subset
from fontTools.ttLib import TTFont, newTable
from fontTools.ttLib.tables.ttProgram import Program
from PIL import Image, ImageDraw, ImageFont

PACK = Path(__file__).parent.parent / "vl2" / "synth" / "pack"
CHARACTERS = [
    *range(0x20, 0x7F), *range(0xA0, 0x100),
    0x2013, 0x2014, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2026, 0x20AC, 0x2122,
]  # fmt: skip
LARGEST_HINTED = 22_000  # bytes; hinting instructions of larger fonts are dropped


def fetch(sources: dict, work: Path) -> None:
    """Install the listed npm packages and unpack the listed Debian packages below `work`, unless they are there."""
    npm = work / "npm"
    if not (npm / "node_modules").exists():
        npm.mkdir(parents=True, exist_ok=True)
        (npm / "package.json").write_text('{"name": "pack", "version": "1.0.0"}')
        wanted = [f"{font['package']}@{font['version']}" for font in sources["fonts"]]
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", *wanted], cwd=npm, check=True)
    deb = work / "deb"
    if not (deb / "x").exists():
        deb.mkdir(parents=True, exist_ok=True)
        for source in sources["texts"]:
            if source["registry"] == "Debian":
                subprocess.run(["apt-get", "download", source["package"]], cwd=deb, check=True)
        for archive in sorted(deb.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", archive.name, "x"], cwd=deb, check=True)


def make_own(font: TTFont, name: str) -> None:
    """Name a changed font as licences of fonts ask for, and let it be the same bytes whenever it is built."""
    for record in font["name"].names:
        if record.nameID in (1, 4):
            record.string = name
        elif record.nameID == 6:
            record.string = name.replace(" ", "")
    font.flavor = None
    font["head"].modified = font["head"].created  # type: ignore[attr-defined]
    font.recalcTimestamp = False


def keep_unhinted(font: TTFont) -> None:
    """Give a font without instructions ten bytes of them: "drop-outs on, no effect".

    FreeType hints fonts with at most seven bytes on its own, which takes four times as long as drawing their glyphs.
    """
    if "fpgm" in font or ("prep" in font and len(font["prep"].program.getBytecode()) > 7):
        return
    font["prep"] = newTable("prep")
    font["prep"].program = Program()
    # PUSHW 511, SCANCTRL, PUSHB 4, SCANTYPE as in most web fonts; PUSHB 0, POP
    font["prep"].program.fromBytecode(bytes([0xB8, 0x01, 0xFF, 0x85, 0xB0, 0x04, 0x8D, 0xB0, 0x00, 0x21]))
    font["maxp"].maxStackElements = max(font["maxp"].maxStackElements, 8)


def cut_font(source: Path, target: Path, number: int) -> None:
    """Write `source` as a TrueType file with only CHARACTERS and no layout tables, under a name of its own.

    The name is changed because the Open Font License reserves names for unchanged versions.
    """
    for hinting in (True, False):
        font = TTFont(source)
        options = subset.Options(hinting=hinting, layout_features=[], notdef_outline=True, glyph_names=False)
        options.name_IDs = [0, 1, 2, 4, 6, 13, 14]
        options.drop_tables += ["GSUB", "GPOS", "GDEF", "kern", "FFTM", "STAT", "DSIG", "meta"]
        cutter = subset.Subsetter(options)
        cutter.populate(unicodes=CHARACTERS)
        cutter.subset(font)
        make_own(font, f"VL2 Pack {number:03d}")
        keep_unhinted(font)
        font.save(target)
        if target.stat().st_size <= LARGEST_HINTED:
            return


def ambiguous_characters(path: Path) -> str:
    """Characters drawn like another one of their group: each but the first of those that cannot be told apart."""
    font = ImageFont.truetype(str(path), 64, layout_engine=ImageFont.Layout.BASIC)
    missing = [chr(code) for code in range(33, 127) if code not in TTFont(path).getBestCmap()]
    if missing:
        raise ValueError(f"{path.name} lacks {''.join(missing)}; take the font off the list")
    alike = ""
    for group in ("Il|1", "O0", "Oo", "Ss5", "Zz2", "Cc", "Vv", "Ww", "Xx", "Uu", "'`", "-_", "g9", "([", ")]"):
        drawn: list[np.ndarray] = []
        for char in group:
            picture = Image.new("L", (128, 128))
            ImageDraw.Draw(picture).text((32, 100), char, font=font, fill=255, anchor="ls")
            ink = np.asarray(picture) > 100
            ink = np.roll(ink, 64 - int(np.nonzero(ink.any(0))[0].mean().round()), 1)
            if any((ink & other).sum() > 0.8 * (ink | other).sum() for other in drawn):
                alike += char
            drawn.append(ink)
    return "".join(sorted(set(alike)))


def build_fonts(sources: dict, packages: Path) -> None:
    """Write fonts/*.ttf and fonts.tsv (file, split, kind, package, ambiguous characters)."""
    shutil.rmtree(PACK / "fonts", ignore_errors=True)
    (PACK / "fonts").mkdir()
    rows = ["file\tsplit\tkind\tpackage\tambiguous"]
    for font in sources["fonts"]:
        name = font["package"].removeprefix("@fontsource/")
        for style in font["files"]:
            file = f"{name}-{style.removeprefix('latin-')}.ttf"
            cut_font(packages / font["package"] / "files" / f"{name}-{style}.woff2", PACK / "fonts" / file, len(rows))
            alike = ambiguous_characters(PACK / "fonts" / file)
            rows.append(f"{file}\t{font['split']}\t{font['kind']}\t{font['package']}\t{alike}")
    (PACK / "fonts.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def build_licences(sources: dict, packages: Path, work: Path) -> None:
    """Write licences/: each distinct licence text once, with the notices of the fonts under it."""
    folder = PACK / "licences"
    folder.mkdir(exist_ok=True)
    bodies: dict[str, tuple[str, list[str]]] = {}
    for font in sources["fonts"]:
        name = font["package"]
        text = (packages / name / "LICENSE").read_text(encoding="utf-8").replace("\r\n", "\n").strip()
        notice, mark, body = text.partition("This Font Software is licensed under the SIL Open Font License")
        if not mark:
            notice, body = "", text
        key = hashlib.sha256("".join(body.split()).replace("http://", "https://").encode()).hexdigest()
        notices = bodies.setdefault(key, (mark + body, []))[1]
        notices.append(f"{name} {font['version']} ({font['licence']}): {' '.join(notice.split())}")
    parts = ["\n".join(notices) + "\n\n" + body for body, notices in bodies.values()]
    (folder / "fonts.txt").write_text(("\n\n" + "=" * 100 + "\n\n").join(parts) + "\n", encoding="utf-8")
    shutil.copy(work / "deb/x/usr/share/doc/wordnet-base/copyright", folder / "wordnet.txt")


def main() -> None:
    """Build everything in the work directory named on the command line."""
    if len(sys.argv) != 2:
        sys.exit("usage: PYTHONHASHSEED=0 python scripts/build_pack.py WORKDIR")
    if os.environ.get("PYTHONHASHSEED") != "0":
        sys.exit("set PYTHONHASHSEED=0: Faker goes through sets, so that other runs would draw other towns and streets")
    work = Path(sys.argv[1])
    sources = tomllib.loads((PACK / "sources.toml").read_text(encoding="utf-8"))
    fetch(sources, work)
    packages = work / "npm" / "node_modules"
    build_fonts(sources, packages)
    build_licences(sources, packages, work)
    build_texts(work / "deb" / "x" / "usr" / "share" / "wordnet", PACK / "text", PACK / "licences")
    print(
        json.dumps(
            {str(path.relative_to(PACK)): path.stat().st_size for path in sorted(PACK.glob("text/*/*.txt"))}, indent=1
        )
    )


if __name__ == "__main__":
    main()
