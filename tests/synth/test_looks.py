"""Looks of training drawings: each changes what it says and nothing else; the test split has none; other draws stay."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from vl2.synth import dressing, scenery
from vl2.synth.dressing import dress, own_generator
from vl2.synth.icons import Drawing, concepts, drawings, drawings_of
from vl2.synth.looks import SHADOW, Look, draw_look, recoloured, restyle
from vl2.synth.registry import generate
from vl2.synth.scenery import INK, Plan, build_scenery, render_thing

WHITE = [np.full(3, 255.0)]


def emoji() -> Image.Image:
    return next(d for d in drawings("train") if d.kind == "emoji" and d.style == "openmoji").paint()


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def test_no_look_is_the_drawing():
    assert restyle(emoji(), Look()).tobytes() == emoji().crop(emoji().getbbox()).tobytes()


def test_mirror_turns_round():
    left = emoji()
    mirrored = restyle(left, Look(mirror=True))
    assert mirrored.tobytes() == left.transpose(Image.Transpose.FLIP_LEFT_RIGHT).crop(mirrored.getbbox()).tobytes()


def test_aspect_widens_what_is_drawn():
    drawing = drawings_of("train", "interface")[0][0]
    plain, wide = (
        render_thing(np.random.default_rng(0), d, (0, 0, 0), 100)[1]
        for d in (drawing, replace(drawing, look=Look(aspect=1.15)))
    )
    assert (wide[2] - wide[0]) / (plain[2] - plain[0]) == pytest.approx(1.15, abs=0.03)
    assert wide[3] - wide[1] == plain[3] - plain[1]


def test_bending_loses_nothing_at_the_sides():
    square = Image.new("RGBA", (100, 100), (200, 0, 0, 255))
    bent = restyle(square, Look(bend=tuple(np.random.default_rng(0).uniform(-0.05, 0.05, 18).tolist())))
    assert max(abs(side - 100) for side in bent.size) <= 12
    assert (pixels(bent)[..., 3] > 127).sum() == pytest.approx(10_000, rel=0.12)
    assert bent.tobytes() != square.tobytes()


def test_colour_map_turns_red_away_and_leaves_grey():
    turned = recoloured((220.0, 30.0, 30.0), Look(hue=120.0))
    assert turned[1] > turned[0]
    assert recoloured((90.0, 90.0, 90.0), Look(hue=120.0, saturation=0.5)) == pytest.approx((90, 90, 90), abs=0.5)
    drawn = restyle(Image.new("RGBA", (9, 9), (220, 30, 30, 255)), Look(hue=120.0, brightness=0.9))
    expected = recoloured((220.0, 30.0, 30.0), Look(hue=120.0, brightness=0.9))
    assert pixels(drawn)[4, 4, :3].tolist() == pytest.approx(expected, abs=1.5)


def test_few_colours_remain():
    flat = restyle(emoji(), Look(colors=5))
    assert len(np.unique(pixels(flat)[..., :3].reshape(-1, 3), axis=0)) <= 5
    assert flat.getchannel("A").tobytes() == emoji().getchannel("A").tobytes()


def test_outline_is_ink_all_around():
    square = Image.new("RGBA", (60, 60), (200, 0, 0, 255))
    edged = restyle(square, Look(outline=((255, 255, 255), 3)))
    assert 64 <= edged.width <= 66
    assert (pixels(edged)[edged.height // 2, 1, :3] > 200).all()


def test_shadow_is_fainter_than_ink():
    assert SHADOW < INK
    square = Image.new("RGBA", (60, 60), (200, 0, 0, 255))
    shaded = pixels(restyle(square, Look(shadow=(4, 4))))
    assert shaded.shape[0] > 60
    rows, columns = np.nonzero(shaded[..., 3] >= INK)
    assert (columns.max() - columns.min(), rows.max() - rows.min()) == (59, 59)


def test_weight_and_blur_change_a_mask():
    mask = Image.new("L", (60, 60))
    mask.paste(255, (10, 10, 50, 50))
    area = {w: (np.asarray(restyle(mask, Look(weight=w))) > 127).sum() for w in (-1, 0, 2)}
    assert area[-1] < area[0] < area[2]
    assert len(np.unique(np.asarray(restyle(mask, Look(blur=1.0))))) > 5


def test_what_has_a_colour_word_keeps_its_hue_and_masks_keep_their_paint():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        told = draw_look(rng, mask=False, mirror=False, hue=150.0, told=True, outline=None)
        assert (told.hue, told.colors, told.outline) == (0.0, 0, None)
        assert 0.9 < told.saturation < 1.1
        mask = draw_look(rng, mask=True, mirror=False, hue=150.0, told=False, outline=(0, 0, 0))
        assert not mask.mirror
        assert replace(mask, aspect=1.0, bend=(), blur=0.0, weight=0) == Look()


def dressed(drawing: Drawing, bases: list[np.ndarray] = WHITE) -> list[Look]:
    made = [dress(np.random.default_rng(seed), drawing, bases) for seed in range(120)]
    return [d.look for d in made if d.look is not None]


def test_outlines_stand_out_and_shapes_stay():
    plain = next(d for d in drawings("train") if d.kind == "emoji" and not d.color)
    edges = {look.outline[0] for look in dressed(plain) if look.outline}
    assert edges == {dressing._EDGES[1]}  # white would be lost on white
    assert not dressed(drawings("train")[-1])


def test_letters_and_clocks_are_not_mirrored():
    names = {concept.name: concept.index for concept in concepts()}
    assert names.keys() >= dressing._HANDED | dressing._ANY_COLOUR_TOO | dressing._OWN_COLOUR
    pools = drawings_of("train", "interface")
    assert not any(look.mirror for look in dressed(pools[names["question mark"]][0]))
    assert any(look.mirror for look in dressed(pools[names["croissant"]][0]))


def test_pumpkins_stay_orange_and_backpacks_do_not():
    hues = {}
    for name in ("pumpkin", "backpack"):
        drawing = next(d for d in drawings("train") if concepts()[d.concept].name == name and d.kind == "emoji")
        hues[name] = max(abs(look.hue) for look in dressed(replace(drawing, color="")))
    assert hues["pumpkin"] <= 14 < 60 < hues["backpack"]


def test_own_generator_leaves_the_other_where_it_was():
    rng, twin = np.random.default_rng(5), np.random.default_rng(5)
    first, again = own_generator(rng).random(), own_generator(rng).random()
    assert first == again
    assert rng.random() == twin.random() != first


def test_only_training_pictures_have_looks(monkeypatch: pytest.MonkeyPatch):
    plan = Plan([2, 2, 2])
    made = {
        split: [
            thing.drawing.look
            for seed in range(25)
            for thing in build_scenery(np.random.default_rng(seed), split, plan).things
        ]
        for split in ("train", "test")
    }
    assert not any(made["test"])
    assert 0.15 < np.mean([look is not None for look in made["train"]]) < 0.7
    # one kind in one drawing wears one look
    for seed in range(25):
        for members in build_scenery(np.random.default_rng(seed), "train", plan).groups.values():
            assert len({thing.drawing for thing in members}) == 1
    # what the looks need does not come from the generator of the picture
    kinds = [[t.concept.index for t in build_scenery(np.random.default_rng(s), "train", plan).things] for s in range(8)]
    monkeypatch.setattr(scenery, "dress", lambda rng, drawing, bases: drawing)
    bare = [[t.concept.index for t in build_scenery(np.random.default_rng(s), "train", plan).things] for s in range(8)]
    assert [sorted(set(k)) for k in kinds] == [sorted(set(k)) for k in bare]


@pytest.mark.parametrize("task", ["compare", "in-context"])
def test_pairs_are_the_same_twice(task: str):
    first, second = generate(task, 1, 5), generate(task, 1, 5)
    assert first.image.tobytes() == second.image.tobytes()
    assert first.earlier[0].image.tobytes() == second.earlier[0].image.tobytes()
