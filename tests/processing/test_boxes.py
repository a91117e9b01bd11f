"""Boxes in text: there and back within half a step, and no text that makes the parser fail."""

import time
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vl2.processing.boxes import (
    LAST,
    Box,
    PlainStream,
    Region,
    format_regions,
    parse_box_list,
    parse_regions,
    to_thousandths,
)

SIZES = st.tuples(st.integers(1, 5000), st.integers(1, 5000))
TAGS = ["<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>"]
UNIT = st.floats(0, 1)


@st.composite
def sized_boxes(draw):
    width, height = draw(SIZES)
    boxes = []
    for _ in range(draw(st.integers(0, 4))):
        x0, x1 = sorted((draw(UNIT) * width, draw(UNIT) * width))
        y0, y1 = sorted((draw(UNIT) * height, draw(UNIT) * height))
        boxes.append(Box(x0, y0, x1, y1))
    return (width, height), boxes


def quiet_parse(text, size):
    """Parse and insist that nothing was worth a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return parse_regions(text, size)


@given(sized_boxes(), st.text(st.characters(exclude_characters="<"), max_size=20))
def test_formatted_regions_parse_to_the_same_pixels(sized, label):
    size, boxes = sized
    regions, plain = quiet_parse(f"There: {format_regions(label, boxes, size)}.", size)
    assert plain == f"There: {label}."
    assert [region.label for region in regions] == [label] * len(boxes)
    for region, box in zip(regions, boxes, strict=True):
        for found, wanted, extent in zip(region.box, box, (*size, *size), strict=True):
            assert abs(found - wanted) <= 0.5001 * extent / LAST


def test_published_form():
    text = format_regions("HELLO", [Box(6.4, 9.6, 192.2, 192.2)], (640, 480))
    assert text == "<|ref|>HELLO<|/ref|><|det|>[[10, 20, 300, 400]]<|/det|>"


def test_readme_example_of_the_published_model():
    text = "<|ref|>The giraffe at the back.<|/ref|><|det|>[[580, 270, 999, 900]]<|/det|>"
    regions, plain = quiet_parse(text, (1998, 999))
    assert regions == [Region("The giraffe at the back.", Box(1160, 270, 1998, 900))]
    assert plain == "The giraffe at the back."


def test_several_boxes_and_several_phrases():
    cats = "<|ref|>cat<|/ref|><|det|>[[1, 2, 3, 4],[5,6,7,8]]<|/det|>"
    text = f"A {cats} and <|ref|>dog<|/ref|> <|det|>[[0,0,9,9]]<|/det|>"
    regions, plain = quiet_parse(text, (999, 999))
    assert regions == [
        Region("cat", Box(1, 2, 3, 4)), Region("cat", Box(5, 6, 7, 8)), Region("dog", Box(0, 0, 9, 9))
    ]  # fmt: skip
    assert plain == "A cat and dog"


def test_looked_for_and_absent_is_well_formed():
    text = format_regions("zebra", [], (10, 10))
    assert text == "<|ref|>zebra<|/ref|><|det|>[]<|/det|>"
    assert quiet_parse(text, (10, 10)) == ([], "zebra")


@pytest.mark.parametrize(
    "inner",
    ["[[1, 2, 3]]", "[[1, 2, 3, 4, 5]]", "[1, 2, 3, 4]", "[[1, 2, 3, 1000]]", "[[1.5, 2, 3, 4]]", "[[-1, 2, 3, 4]]",
     "[[9, 2, 3, 4]]", "[[1, 2, 3, 4]", "[[1, 2, 3, 4],]", "[[a, b, c, d]]", "", "[[]]", "[[1, 2, 3, 4]] x",
     "__import__('os')", "[[9999999999, 1, 2, 3]]", "9999"],
)  # fmt: skip
def test_malformed_boxes_give_a_warning_and_no_region(inner):
    assert parse_box_list(inner) is None
    with pytest.warns(UserWarning, match="no region"):
        regions, plain = parse_regions(f"a <|ref|>cat<|/ref|><|det|>{inner}<|/det|> b", (10, 10))
    assert (regions, plain) == ([], "a cat b")


def test_a_phrase_without_boxes_does_not_swallow_the_next_one():
    text = "<|ref|>cat<|/ref|> near <|ref|>dog<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>"
    with pytest.warns(UserWarning, match="cat"):
        regions, plain = parse_regions(text, (999, 999))
    assert regions == [Region("dog", Box(1, 2, 3, 4))]
    assert plain == "cat near dog"


@pytest.mark.parametrize(
    ("text", "plain"),
    [("<|ref|>cat<|/ref|><|det|>[[1, 2, 3", "cat"), ("<|ref|>cat", "cat"), ("x<|det|>[[1, 2, 3, 4]]<|/det|>y", "xy"),
     ("<|/det|>a<|/ref|>", "a")],
)  # fmt: skip
def test_answers_cut_short_lose_their_tags(text, plain):
    with pytest.warns(UserWarning, match="no region"):
        assert parse_regions(text, (10, 10)) == ([], plain)


@pytest.mark.filterwarnings("ignore:no region")
@given(
    st.lists(
        st.one_of(
            st.text(max_size=6),
            st.sampled_from([*TAGS, "[[", "]]", ", ", "[", "]"]),
            st.integers(-9, 10**30).map(str),
        ),
        max_size=25,
    ).map("".join),
    SIZES,
)
def test_no_text_makes_the_parser_fail(text, size):
    regions, plain = parse_regions(text, size)
    for region in regions:
        x0, y0, x1, y1 = region.box
        assert 0 <= x0 <= x1 <= size[0] * 1.000001
        assert 0 <= y0 <= y1 <= size[1] * 1.000001
    assert isinstance(plain, str)


@pytest.mark.filterwarnings("ignore:no region")
@pytest.mark.parametrize(
    "unit", ["<|ref|>", "<|det|>", "<|ref|>a<|/ref|>", "<|ref|>a<|/ref|><|det|>[", "[[1,", " ", "<|ref|>a<|/ref|>    "]
)
def test_long_garbage_is_parsed_in_linear_time(unit):
    start = time.perf_counter()
    parse_regions(unit * 10_000, (10, 10))
    parse_box_list("[" + unit * 10_000)
    parse_box_list("[[1,2,3,4]" + ", [1,2,3,4]" * 10_000 + unit)
    assert time.perf_counter() - start < 3


def test_boxes_outside_the_image_are_clamped():
    assert to_thousandths(Box(-5, -5, 500, 7), (10, 10)) == (0, 0, 999, 699)


def test_labels_that_hold_tags_are_refused():
    with pytest.raises(ValueError, match="tags"):
        format_regions("a<|/ref|>b", [], (10, 10))


PIECES = st.lists(
    st.sampled_from([*TAGS, "[[1, 2, 3, 4]]", "[[", "a cat", " ", "\n", "<", "<|", "<|re", "|>", "<|x|>", "é"])
)


@given(PIECES, st.randoms(use_true_random=False))
def test_plain_text_of_a_stream_is_that_of_the_whole(pieces, random):
    """However it is cut, and nothing that was said is taken back."""
    text = "".join(pieces)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = parse_regions(text, (10, 10))[1].strip()
    for cuts in (pieces, list(text), [text]):
        stream = PlainStream()
        assert "".join([stream.push(piece) for piece in cuts] + [stream.finish()]) == whole
    at = sorted(random.randint(0, len(text)) for _ in range(3))
    stream = PlainStream()
    cuts = [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]
    assert "".join([stream.push(piece) for piece in cuts] + [stream.finish()]) == whole


def test_plain_text_comes_as_soon_as_it_is_certain():
    stream = PlainStream()
    pieces = ["The", " ", "<|ref|>", "cat", "<|/ref|>", "<|det|>", "[[1,2,3,4]]", "<|/det|>", " sits", "."]
    assert [stream.push(piece) for piece in pieces] == ["The", "", "", "", "", "", "", " cat", " sits", "."]
