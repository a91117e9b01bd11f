"""Write docs/licences.md: everything that ships with vl2 and was made by others, read from the lists in the pack.

vl2/synth/pack/{sources,icons}.toml, chinese/sources.toml --> docs/licences.md

python scripts/list_licences.py            write the page
python scripts/list_licences.py --check    exit with 1 if the page is out of date
"""

import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACK = ROOT / "vl2" / "synth" / "pack"
PAGE = ROOT / "docs" / "licences.md"

INTRODUCTION = """\
<!-- Written by scripts/list_licences.py from vl2/synth/pack/*.toml; change those lists, then run it again. -->
# Licences

The code of vl2 and the weights of Nano are under the MIT licence (`LICENSE`). The data engine ships fonts, drawings,
texts, numbers and photographs that others made, under the licences below; they are in the folder `vl2/synth/pack` of
the repository and of the installed package. Nano was trained on pictures drawn with the entries marked `train` and with
two fonts of Liu Jian Mao Cao (OFL-1.1), which were taken out afterwards, and on nothing else; entries marked `test` are
only in pictures that measure it. `docs/nano/samples.png` shows pictures of OpenCV's documentation, which Debian has
under Apache-2.0 and BSD-3-Clause.
`scripts/build_pack.py`, `scripts/build_icons.py`, `scripts/build_chinese.py`, `scripts/build_strokes.py` and
`scripts/build_photos.py` take nothing that is not listed.

The published DeepSeek-VL2 weights (tiny, small, base) are not part of vl2. They are downloaded on request and are under
the DeepSeek model licence of their own pages.
"""

FONTS = """
## Fonts

Files: `fonts/`. Changes: cut to Latin-1 and a few marks of punctuation, layout tables removed, renamed inside as the
Open Font License asks, stored as TrueType. Copyright notices of every font and the licence texts: `licences/fonts.txt`.
All are npm packages.
"""

CHINESE = """
## Chinese

Files: `chinese/`. Changes: fonts cut to 3,500 characters, outlines rounded to 512 units an em, hints and layout tables
removed, renamed inside; those with `redraw` in `chinese/sources.toml` are polygons, and some of them slanted, narrower,
bolder, thinner or unsteady; Xiaolai has the Latin letters of Patrick Hand; kouzan-gyosho, kouzan-sosho, aoyagi-soseki
and aoyagi-soseki-brush have signs, Latin letters and some 1,250 characters of Long Cang, aoyagi-kouzan-brush has some
1,860, so each is under the Open Font License as a whole; Long Cang and Ma Shan Zheng, both under it, have a few
characters of each other (`mended` in the list). Strokes (`strokes.npz`) are middle lines, simplified, 256 units an em;
whoever passes them on does so under the Arphic Public License. Copyright notices and licence texts, that one among
them: `chinese/licences/`.
"""

PHOTOGRAPHS = """
## Photographs

File: `photos.zip`; from Debian's {package} {version}. Changes: scaled to 560 pixels, stored as JPEG. They lie around
pages in the tasks that end in `-photo`.
"""

TABLES = """
## Numbers of charts

File: `tables.json`, written by `scripts/build_tables.py`. Changes: averages and selections, rounded.
"""

DRAWINGS = """
## Drawings

Files: `icons.zip`. Changes: rendered from SVG, cropped to the ink, scaled to 100 pixels, stored as WebP; one-colour
icons are tinted when they are used, and training pictures show drawings bent, recoloured, outlined or blurred. The
published Nano has seen all that are marked `train`.

OpenMoji and EmojiOne 1 are under CC-BY-SA-4.0. Their files in `icons.zip` stay under it; the rest of the zip, a
collection, does not come under it. Whoever passes on a training picture that shows one of them passes it on under
CC-BY-SA-4.0, with the names below. Test pictures show none.
"""

NOTICES = """
## Licence texts

OFL-1.1, Ubuntu Font Licence (UFL-1.0) and Apache-2.0: in `vl2/synth/pack/licences/fonts.txt`.
WordNet: `licences/wordnet.txt`. Faker: `licences/faker.txt`.
CC-BY-4.0: <https://creativecommons.org/licenses/by/4.0/legalcode>.
CC-BY-3.0: <https://creativecommons.org/licenses/by/3.0/legalcode>.
CC-BY-SA-4.0: <https://creativecommons.org/licenses/by-sa/4.0/legalcode>.
MPL-2.0: <https://www.mozilla.org/MPL/2.0/>.

MIT, for the drawings marked so, with the copyright lines above:

> Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
> documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
> rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
> persons to whom the Software is furnished to do so, subject to the following conditions:
>
> The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
> Software.
>
> THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
> WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
> COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
> OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

ISC, for the drawings marked so, with the copyright lines above:

> Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby
> granted, provided that the above copyright notice and this permission notice appear in all copies.
>
> THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL
> IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT,
> INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN
> AN ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR
> PERFORMANCE OF THIS SOFTWARE.
"""


def read(name: str) -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads((PACK / name).read_text(encoding="utf-8"))


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _versioned(source: dict[str, Any]) -> str:
    return f"{source['registry']} {source['package']} {source['version']}"


def page() -> str:
    """The whole page."""
    sources, drawings = read("sources.toml"), read("icons.toml")["source"]
    fonts = sorted(sources["fonts"], key=lambda font: (font["licence"], font["package"]))
    texts, tables = (
        [[_versioned(source), source["licence"], source["used"]] for source in sources[kind]]
        for kind in ("texts", "tables")
    )
    chinese, photos = read("chinese/sources.toml"), sources["photos"][0]
    return "".join(
        [
            INTRODUCTION,
            "\n## Texts\n",
            table(["package", "licence", "used"], texts),
            TABLES,
            table(["package", "licence", "used"], tables),
            DRAWINGS,
            table(
                ["package", "attribution", "used"],
                [[f"{d['name']} {d['version']}", d["attribution"], d["used"]] for d in drawings],
            ),
            FONTS,
            table(
                ["package", "licence", "split"],
                [[f"{font['package']} {font['version']}", font["licence"], font["split"]] for font in fonts],
            ),
            CHINESE,
            table(
                ["package", "licence", "used"],
                [
                    *(
                        [_versioned(font), font["licence"], f"{font['name']}, {font['split']}"]
                        for font in chinese["fonts"]
                    ),
                    *(
                        [_versioned(other), other["licence"], other["used"]]
                        for other in (*chinese["texts"], *chinese["strokes"])
                    ),
                ],
            ),
            PHOTOGRAPHS.format(**photos),
            table(
                ["photograph", "author", "licence", "split"],
                [[file["name"], file["author"], file["licence"], file["split"]] for file in photos["files"]],
            ),
            NOTICES,
        ]
    )


def main() -> None:
    if sys.argv[1:] == ["--check"]:
        current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        if current != page():
            sys.exit(f"{PAGE} is out of date: run python scripts/list_licences.py")
        return
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
