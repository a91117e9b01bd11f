"""Rebuild vl2/synth/pack/chinese: fonts and texts for Chinese, from the packages that its sources.toml lists.

    npm install, apt-get download --> WORKDIR/{npm,deb} --cut to the most used characters--> fonts/*.ttf, fonts.tsv
    fonts with a `redraw` in the list: their strokes bolder, slanted or unsteady (scripts/redraw_font.py)
    characters that a file draws wrong, as `mended` lists them: from another font's file
    fonts with a `rest`, Japanese ones: what they lack, and all that is no Chinese character, from a font before them
    jieba, Faker, help pages --> text/{train,test}/*.txt, characters.txt (most used first)          licences/*.txt

Needs npm, apt-get, dpkg-deb and `pip install fonttools brotli jieba==0.42.1 Faker==40.63.0`. The result is the same
on every run. The trap: a text with a character that some font lacks would be drawn as boxes; texts are checked against
characters.txt.

    python scripts/build_chinese.py WORKDIR
"""

import hashlib
import html
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import jieba
from build_pack import keep_unhinted, make_own
from faker.providers.address.zh_CN import Provider as Addresses
from faker.providers.company.zh_CN import Provider as Companies
from faker.providers.job.zh_CN import Provider as Jobs
from faker.providers.person.zh_CN import Provider as People
from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.ttLib.scaleUpem import scale_upem
from redraw_font import Changes, lend, redraw

from vl2.synth.han import PUNCTUATION

PACK = Path(__file__).parent.parent / "vl2" / "synth" / "pack" / "chinese"
NUM_CHARACTERS = 3500
LATIN = [chr(code) for code in range(0x20, 0x7F)] + list("°±")
UNITS_PER_EM = 512
NUM_WORDS = 24_000
NUM_SENTENCES = 7_000
# kinds of words that jieba marks as names of persons, organisations and other proper nouns
NAMES_OF = ("nr", "nt", "nz", "nrt", "nrfg")
# of forms and amounts; too rare in running text to be among the most used
ALWAYS = "钮祺壹贰叁肆伍陆柒捌玖拾佰仟零氏镇巷栋票据购销额税率邮址签章订购页码编栏附件盖骑缝姓籍贯婚孕码箱"
UNWANTED = set("奸淫娼妓嫖屎尿粪尸杀贼毒赌鬼魔屁婊奶裸")  # in no word
UNWANTED_WORDS = {"强暴", "阴道", "阴茎", "乳房"}


def fetch(sources: dict, work: Path) -> None:
    """Install and unpack what is listed, unless it is there."""
    npm, deb = work / "npm", work / "deb"
    npm.mkdir(parents=True, exist_ok=True)
    deb.mkdir(parents=True, exist_ok=True)
    wanted = [f["package"] + "@" + f["version"] for f in sources["fonts"] if f["registry"] == "npm"]
    missing = [name for name in dict.fromkeys(wanted) if not (npm / "node_modules" / name.rpartition("@")[0]).exists()]
    if missing:
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", *missing], cwd=npm, check=True)
    for source in (*sources["fonts"], *sources["texts"]):
        if source["registry"] == "Debian" and not (deb / "x/usr/share/doc" / source["package"]).exists():
            subprocess.run(["apt-get", "download", source["package"]], cwd=deb, check=True)
            archive = next(deb.glob(f"{source['package']}_*.deb"))
            subprocess.run(["dpkg-deb", "-x", archive.name, "x"], cwd=deb, check=True)


def used_words() -> list[tuple[str, int]]:
    """Words of jieba's dictionary that are no names, most frequent first."""
    rows = (Path(jieba.__file__).parent / "dict.txt").read_text(encoding="utf-8").splitlines()
    found = [(word, int(count)) for word, count, kind in (row.split(" ") for row in rows) if kind not in NAMES_OF]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def choose_characters(words: list[tuple[str, int]], fonts: list[set[str]]) -> list[str]:
    """The most used characters of GB2312 that all fonts have, most used first; each font is the set of its own."""
    counts: Counter[str] = Counter()
    for word, count in words:
        for char in word:
            counts[char] += count
    covered = set.intersection(*fonts)

    def usual(char: str) -> bool:
        try:
            return len(char.encode("gb2312")) == 2 and "\u4e00" <= char <= "\u9fff" and char in covered
        except UnicodeEncodeError:
            return False

    ranked = [char for char, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])) if usual(char)]
    chosen = ranked[:NUM_CHARACTERS]
    return [*chosen, *(char for char in dict.fromkeys(ALWAYS) if char not in chosen)]


def open_font(path: Path) -> TTFont:
    """A font file, or the first font of a collection."""
    return TTFont(path, fontNumber=0) if path.suffix == ".ttc" else TTFont(path)


def mend(font: TTFont, file: str, sources: dict, paths: dict[str, list[Path]]) -> TTFont:
    """A font with the characters that its file draws wrong from the file of another; `paths` by names of fonts."""
    for part in sources["mended"]:
        if part["file"] == file:
            lend(font, open_font(paths[part["by"]][0]), part["characters"], part["weight"])
    return font


def cut_font(font: TTFont, target: Path, number: int, characters: list[str]) -> None:
    """Write a font with only these characters, without layout tables and hints, under a name of its own."""
    options = subset.Options(hinting=False, layout_features=[], notdef_outline=True, glyph_names=False)
    options.name_IDs = [0, 1, 2, 4, 6, 13, 14]
    options.drop_tables += [
        "GSUB",
        "GPOS",
        "GDEF",
        "kern",
        "FFTM",
        "STAT",
        "DSIG",
        "meta",
        "vhea",
        "vmtx",
        "VORG",
        "BASE",
    ]
    cutter = subset.Subsetter(options)
    cutter.populate(text="".join(characters))
    cutter.subset(font)
    # half the bytes of most outlines, and a tenth of a pixel at 50 pixels
    scale_upem(font, UNITS_PER_EM)
    make_own(font, f"VL2 Han {number:02d}")
    if "glyf" in font:
        keep_unhinted(font)
    font.save(target)


def redraw_font(font: dict, slices: list[TTFont], target: Path, number: int, characters: list[str]) -> None:
    """Write a font with the changes of the list; what its slices lack comes from a font of the pack's English half.

    A `rest` is one of the fonts written before.
    """
    letters = [PACK.parent / "fonts" / font["letters"]] if "letters" in font else []
    rest = open_font(PACK / "fonts" / f"{font['rest']}.ttf") if "rest" in font else None
    sources = [*slices, *(open_font(path) for path in letters)]
    name = f"VL2 Han {number:02d}"
    drawn = redraw(sources, characters, name, Changes(**font["redraw"]), rest)
    make_own(drawn, name)
    keep_unhinted(drawn)
    drawn.save(target)


def of_test(text: str) -> bool:
    """Whether a word or a sentence belongs to the test split: one in eight, by its hash."""
    return hashlib.sha256(text.encode()).digest()[0] < 32


def sentences(work: Path, allowed: set[str]) -> list[str]:
    """Sentences of the help pages whose characters the fonts have."""
    found: dict[str, None] = {}
    root = work / "deb/x/usr/share/libreoffice/help/zh-CN"
    for page in sorted(root.rglob("*.html")):
        text = page.read_text(encoding="utf-8", errors="ignore")
        for part in re.findall(r"<p[^>]*>(.*?)</p>", text, re.S):
            plain = " ".join(html.unescape(re.sub(r"<[^>]+>", "", part)).split())
            for sentence in re.findall(r"[^。！？]+[。！？]", plain):
                sentence = re.sub(r"(?<=[\u4e00-\u9fff，。]) (?=[\u4e00-\u9fff])", "", sentence.strip())
                han = sum("\u4e00" <= char <= "\u9fff" for char in sentence)
                if 8 <= len(sentence) <= 48 and han > 0.7 * len(sentence) and set(sentence) <= allowed:
                    found.setdefault(sentence)
    ordered = sorted(found, key=lambda text: hashlib.sha256(text.encode()).digest()[1:])
    return ordered[:NUM_SENTENCES]


def write_texts(work: Path, characters: list[str], words: list[tuple[str, int]]) -> None:
    """The pools of both splits; surnames and the endings of names of towns and firms are shared."""
    han = set(characters)
    allowed = {*han, *PUNCTUATION, *LATIN}
    wanted = [word for word, _ in words if not set(word) & UNWANTED and word not in UNWANTED_WORDS]
    short = [word for word in wanted if 2 <= len(word) <= 4 and set(word) <= han]
    given = sorted({*People.first_names_male, *People.first_names_female})
    pools = {
        "words": short[:NUM_WORDS],
        "sentences": sentences(work, allowed),
        "given_names": [name for name in given if set(name) <= han],
        "cities": sorted({city for city in (*Addresses.cities, *Addresses.districts) if set(city) <= han}),
        "companies": sorted({prefix for prefix in Companies.company_prefixes if set(prefix) <= han}),
        "jobs": sorted({job for job in Jobs.jobs if set(job) <= allowed and len(job) <= 8}),
    }
    for split in ("train", "test"):
        folder = PACK / "text" / split
        folder.mkdir(parents=True, exist_ok=True)
        for name, pool in pools.items():
            chosen = [text for text in pool if of_test(text) == (split == "test")]
            (folder / f"{name}.txt").write_text("\n".join(chosen) + "\n", encoding="utf-8")
            print(split, name, len(chosen))
    shared = PACK / "text" / "shared"
    shared.mkdir(parents=True, exist_ok=True)
    surnames = [name for name in dict.fromkeys(People.last_names) if set(name) <= han]
    (shared / "surnames.txt").write_text("\n".join(surnames) + "\n", encoding="utf-8")


def main() -> None:
    """Build everything in the work directory named on the command line."""
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/build_chinese.py WORKDIR")
    work = Path(sys.argv[1])
    sources = tomllib.loads((PACK / "sources.toml").read_text(encoding="utf-8"))
    fetch(sources, work)
    roots = {"npm": work / "npm/node_modules", "Debian": work / "deb/x"}
    files = []
    for font in sources["fonts"]:
        root = roots[font["registry"]] / (font["package"] if font["registry"] == "npm" else "")
        files.append(sorted(root.glob(font["file"])))  # several are slices of one font
        if "sha256" in font and hashlib.sha256(files[-1][0].read_bytes()).hexdigest() != font["sha256"]:
            sys.exit(f"{files[-1][0]} is not the file that sources.toml lists: its sha256 differs")
    words = used_words()
    whole = [paths for font, paths in zip(sources["fonts"], files, strict=True) if "rest" not in font]
    characters = choose_characters(
        words, [{chr(code) for path in paths for code in open_font(path).getBestCmap()} for paths in whole]
    )
    shutil.rmtree(PACK / "fonts", ignore_errors=True)
    (PACK / "fonts").mkdir()
    rows = ["file\tsplit\tkind\tpackage"]
    paths_of = {font["name"]: paths for font, paths in zip(sources["fonts"], files, strict=True)}
    for place, (font, paths) in enumerate(zip(sources["fonts"], files, strict=True), 1):
        number = font.get("number", place)
        target = PACK / "fonts" / f"{font['name']}.ttf"
        slices = [mend(open_font(path), font["file"], sources, paths_of) for path in paths]
        if "redraw" in font:
            redraw_font(font, slices, target, number, [*characters, *PUNCTUATION, *LATIN])
        else:
            cut_font(slices[0], target, number, [*characters, *PUNCTUATION, *LATIN])
        rows.append(f"{target.name}\t{font['split']}\t{font['kind']}\t{font['package']}")
        print(target.name, target.stat().st_size)
    (PACK / "fonts.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (PACK / "characters.txt").write_text("".join(characters) + "\n", encoding="utf-8")
    write_texts(work, characters, words)
    notices = PACK / "licences"
    notices.mkdir(exist_ok=True)
    for source in (*sources["fonts"], *sources["texts"]):
        if "notice" in source:
            name = source["package"].rpartition("/")[2]
            shutil.copy(roots[source["registry"]] / source["notice"], notices / f"{name}.txt")


if __name__ == "__main__":
    main()
