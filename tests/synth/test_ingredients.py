"""The pack: complete, split without overlap, drawable."""

import re
import struct
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from vl2.synth.ingredients import (
    FONT_KINDS,
    PACK,
    ambiguous,
    cities,
    companies,
    emails,
    first_names,
    fonts,
    function_words,
    is_test_word,
    load_font,
    names,
    people,
    sample_words,
    sentences,
    streets,
    surnames,
    words,
)

POOLS = (words, names, people, first_names, surnames, companies, streets, cities, emails, sentences)


def shared_words() -> set[str]:
    labels = (PACK / "text" / "shared" / "label_words.txt").read_text().split()
    return {*function_words(), *labels}


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_content_words_belong_to_their_split(pool, split: str):
    shared = shared_words()
    found = {word for text in pool(split) for word in re.findall(r"[a-z]+", text.lower())}
    content = {word for word in found if len(word) > 2 and word not in shared}
    assert len(content) > 200
    assert {word for word in content if is_test_word(word) != (split == "test")} == set()


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_pools_hold_distinct_printable_lines(pool, split: str):
    texts = pool(split)
    assert len(texts) >= 400
    assert all(re.fullmatch(r"[ -~]+", text) and text == text.strip() for text in texts)


def test_font_families_are_in_one_split_only():
    sources = tomllib.loads((PACK / "sources.toml").read_text(encoding="utf-8"))
    listed = {"train": set(), "test": set()}
    for font in sources["fonts"]:
        listed[font["split"]].add(font["package"].removeprefix("@fontsource/").split("-")[0])
    # also no family in one split whose relative, such as its mono face, is in the other (first word of the name)
    assert listed["train"] & listed["test"] == set()
    assert len(listed["train"]) > 80
    assert len(listed["test"]) > 25
    for split, other in (("train", "test"), ("test", "train")):
        files = {path.split("/")[-1] for kind in FONT_KINDS for path in fonts(split, kind)}
        assert files.isdisjoint(path.split("/")[-1] for kind in FONT_KINDS for path in fonts(other, kind))


def test_every_source_says_what_it_is():
    sources = tomllib.loads((PACK / "sources.toml").read_text(encoding="utf-8"))
    for source in (*sources["fonts"], *sources["texts"], *sources["tables"]):
        assert source["package"]
        assert source["version"]
        assert source["licence"]
    notices = (PACK / "licences" / "fonts.txt").read_text(encoding="utf-8")
    assert all(font["package"] in notices for font in sources["fonts"])
    assert "Princeton" in (PACK / "licences" / "wordnet.txt").read_text()
    assert "Faraglia" in (PACK / "licences" / "faker.txt").read_text()


def drawn(char: str, font: ImageFont.FreeTypeFont) -> np.ndarray:
    """The pixels of one character."""
    picture = Image.new("L", (40, 40))
    ImageDraw.Draw(picture).text((4, 4), char, font=font, fill=255)
    return np.asarray(picture)


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_font_draws_every_character(split: str):
    paths = {path for kind in FONT_KINDS for path in fonts(split, kind)}
    for path in paths:
        font = load_font(path, 20)
        assert all(font.getmask(chr(code)).getbbox() for code in range(33, 127)), path
        missing = drawn("\uffff", font)
        assert all((drawn(char, font) != missing).any() for char in "AgQ7#~^{"), path
        assert len(ambiguous(path)) < 30
    assert not any("bebas" in path for path in fonts(split))


def test_no_font_is_hinted_by_freetype_itself():
    """That would cost four times the drawing; FreeType does it for fonts with at most seven bytes of instructions."""
    for path in {path for split in ("train", "test") for kind in FONT_KINDS for path in fonts(split, kind)}:
        data = Path(path).read_bytes()
        count = struct.unpack(">H", data[4:6])[0]
        entries = [struct.unpack(">4sLLL", data[12 + 16 * i : 28 + 16 * i]) for i in range(count)]
        lengths = {tag: length for tag, _, _, length in entries}
        assert b"fpgm" in lengths or lengths.get(b"prep", 0) > 7, path


def test_sample_words_is_deterministic_and_reaches_rare_words():
    first = sample_words(np.random.default_rng(4), "train", 2000)
    assert first == sample_words(np.random.default_rng(4), "train", 2000)
    ranks = {word: rank for rank, word in enumerate(words("train"))}
    drawn = np.array([ranks[word] for word in first])
    assert (drawn < 1000).mean() > 0.1
    assert (drawn > 15_000).mean() > 0.1


def test_pack_is_small():
    own = [path for folder in ("fonts", "text", "licences") for path in (PACK / folder).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in own) < 6_000_000
