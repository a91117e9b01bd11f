"""Write vl2/synth/pack/photos.zip: photographs, small, for what lies around a photographed page.

the [[photos]] of sources.toml --apt-get download--> WORKDIR/deb/x --512 pixels, JPEG--> photos.zip (train/, test/)

python scripts/build_photos.py WORKDIR
"""

import io
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from PIL import Image

PACK = Path(__file__).parent.parent / "vl2" / "synth" / "pack"
LONGEST = 560
QUALITY = 72


def build_photos(work: Path) -> None:
    """Download what is missing and write the file."""
    sources = tomllib.loads((PACK / "sources.toml").read_text(encoding="utf-8"))["photos"]
    deb = work / "deb"
    deb.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(PACK / "photos.zip", "w", zipfile.ZIP_STORED) as pack:
        for source in sources:
            found = deb / "x" / source["folder"]
            if not found.exists():
                subprocess.run(["apt-get", "download", source["package"]], cwd=deb, check=True)
                archive = next(deb.glob(f"{source['package']}_*.deb"))
                subprocess.run(["dpkg-deb", "-x", archive.name, "x"], cwd=deb, check=True)
            for file in source["files"]:
                image = Image.open(found / file["name"]).convert("RGB")
                image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
                written = io.BytesIO()
                image.save(written, "JPEG", quality=QUALITY, optimize=True)
                # a fixed date, so that the file is the same on every run
                entry = zipfile.ZipInfo(f"{file['split']}/{Path(file['name']).stem}.jpg", (2020, 1, 1, 0, 0, 0))
                pack.writestr(entry, written.getvalue())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/build_photos.py WORKDIR")
    build_photos(Path(sys.argv[1]))
