"""Looks: a training drawing as another artist might have drawn it, so that few drawings teach what many would.

    rng, what the drawing may bear --draw_look--> Look --restyle--> picture of about the same size

Looks are only for the train split. Colours, outlines and shadows are for emoji; a mask is only bent and made thicker or
thinner. The trap: ink boxes are found after this, so a shadow stays fainter than ink, and an outline, which is ink,
must stand out from the background.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageChops, ImageFilter

SHADOW = 28  # alpha of a shadow, below vl2.synth.scenery.INK
_MARGIN = 6  # pixels around the ink that bending, outlines and shadows need
_FAINT = [alpha * SHADOW // 255 for alpha in range(256)]
_LUMA = np.array([0.299, 0.587, 0.114])
# Turns of hue keep the luminance: rotation about the grey axis, in the basis of HueRotate of SVG.
_COS = np.eye(3) - _LUMA
_SIN = np.array([[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]])


@dataclass(frozen=True)
class Look:
    """How a drawing is changed.

    bend: outward moves of the 3 x 3 points of a net, as shares of the sides; aspect: factor of the width, for whoever
    scales the picture; hue in degrees; saturation, brightness, contrast: factors; colors: how many remain, 0 for all;
    outline: its colour and width, or None; weight: pixels by which a mask grows (shrinks if negative).
    """

    mirror: bool = False
    aspect: float = 1.0
    bend: tuple[float, ...] = ()
    hue: float = 0.0
    saturation: float = 1.0
    brightness: float = 1.0
    contrast: float = 1.0
    colors: int = 0
    outline: tuple[tuple[int, int, int], int] | None = None
    shadow: tuple[int, int] = (0, 0)
    blur: float = 0.0
    weight: int = 0


def draw_look(
    rng: np.random.Generator, *, mask: bool, mirror: bool, hue: float, told: bool, outline: tuple[int, int, int] | None
) -> Look:
    """A random look.

    mask: a one-colour drawing; mirror: whether its mirror image means the same; hue: most degrees of a turn; told: its
    colour has a word, so it is hardly changed; outline: a colour that stands out from the background, if any.
    """
    chance = rng.random(8)
    bent = Look(
        mirror=bool(mirror and chance[0] < 0.3),
        aspect=float(rng.uniform(0.85, 1.15)) if chance[1] < 0.6 else 1.0,
        bend=tuple(rng.uniform(-0.05, 0.05, 18).tolist()) if chance[2] < 0.25 else (),
        blur=float(rng.uniform(0.4, 1.1)) if chance[3] < 0.08 else 0.0,
    )
    if mask:
        return replace(bent, weight=int(rng.integers(-1, 3)) if chance[4] < 0.5 else 0)
    if chance[4] < 0.7:
        small = 0.06 if told else 0.3
        bent = replace(
            bent,
            hue=0.0 if told else float(rng.uniform(-hue, hue)),
            saturation=float(rng.uniform(1 - 1.3 * small, 1 + 1.3 * small)),
            brightness=float(rng.uniform(1 - 0.6 * small, 1 + 0.6 * small)),
            contrast=float(rng.uniform(1 - small, 1 + small)),
        )
    right, down = rng.integers(1, 5, 2).tolist()
    return replace(
        bent,
        colors=int(rng.integers(5, 12)) if chance[5] < 0.2 and not told else 0,
        outline=(outline, int(rng.integers(1, 4))) if outline and chance[6] < 0.2 else None,
        shadow=(right, down) if chance[7] < 0.12 else (0, 0),
    )


def restyle(picture: Image.Image, look: Look) -> Image.Image:
    """The picture, RGBA or a mask (mode L), in this look, cropped to what can be seen."""
    if look.colors:
        picture = _flatten(picture, look.colors)
    if look.hue or look.saturation != 1 or look.brightness != 1 or look.contrast != 1:
        picture = _recolour(picture, look)
    picture = _bend(picture, look)
    if look.blur:
        blur = ImageFilter.GaussianBlur(look.blur)
        picture = picture.filter(blur) if picture.mode == "L" else picture.convert("RGBa").filter(blur).convert("RGBA")
    if look.weight:
        picture = _grow(picture, look.weight) if look.weight > 0 else _thin(picture)
    if look.outline:
        picture = _under(picture, _grow(picture.getchannel("A"), look.outline[1]), look.outline[0])
    if look.shadow != (0, 0):
        moved = ImageChops.offset(picture.getchannel("A"), *look.shadow)
        picture = _under(picture, moved.filter(ImageFilter.BoxBlur(1)).point(_FAINT), (0, 0, 0))
    box = picture.getbbox()
    return picture.crop(box) if box else picture


def _flatten(picture: Image.Image, colors: int) -> Image.Image:
    """Few colours without shading."""
    flat = picture.convert("RGB").quantize(colors, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).convert("RGB")
    flat.putalpha(picture.getchannel("A"))
    return flat


def _map(look: Look) -> np.ndarray:
    """(3, 4): a linear map of red, green and blue for hue, saturation, brightness and contrast."""
    angle = np.deg2rad(look.hue)
    turn = _LUMA + np.cos(angle) * _COS + np.sin(angle) * _SIN
    matrix = look.brightness * look.contrast * ((1 - look.saturation) * _LUMA + look.saturation * turn)
    return np.concatenate([matrix, np.full((3, 1), 128 * (1 - look.contrast))], 1)


def recoloured(color: tuple[float, float, float], look: Look) -> tuple[float, ...]:
    """What the look makes of a colour."""
    return tuple(np.clip(_map(look) @ (*color, 1.0), 0, 255).tolist())


def _recolour(picture: Image.Image, look: Look) -> Image.Image:
    changed = picture.convert("RGB").convert("RGB", tuple(_map(look).reshape(-1).tolist()))
    changed.putalpha(picture.getchannel("A"))
    return changed


def _bend(picture: Image.Image, look: Look) -> Image.Image:
    """Mirrored and bent over a net of 3 x 3 points, with a transparent margin where it is needed."""
    if look.mirror:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    size = picture.width + 2 * _MARGIN, picture.height + 2 * _MARGIN
    if not look.bend:
        if not (look.blur or look.weight or look.outline or look.shadow != (0, 0)):
            return picture
        room = Image.new(picture.mode, size)
        room.paste(picture, (_MARGIN, _MARGIN))
        return room
    net = np.stack(np.meshgrid(np.linspace(0, 1, 3), np.linspace(0, 1, 3)), -1)  # (3, 3, 2) x and y
    moves = np.array(look.bend).reshape(3, 3, 2)
    moves = np.where(net == 0.5, moves, np.abs(moves) * np.sign(net - 0.5))  # so that nothing is lost at the sides
    source = (net + moves) * picture.size + (2 * net - 1) * _MARGIN
    edges = np.rint(net * size).astype(int)
    mesh = [
        (
            (*edges[y, x].tolist(), *edges[y + 1, x + 1].tolist()),
            tuple(np.concatenate([source[y, x], source[y + 1, x], source[y + 1, x + 1], source[y, x + 1]]).tolist()),
        )
        for y in (0, 1)
        for x in (0, 1)
    ]
    return picture.transform(size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


def _grow(alpha: Image.Image, width: int) -> Image.Image:
    """The opaque part `width` pixels larger on all sides, with smooth edges."""
    return alpha.filter(ImageFilter.BoxBlur(width)).point([min(255, a * 6) for a in range(256)])


def _thin(alpha: Image.Image) -> Image.Image:
    """The opaque part about half a pixel smaller."""
    return alpha.filter(ImageFilter.BoxBlur(1)).point([max(0, a * 2 - 255) for a in range(256)])


def _under(picture: Image.Image, alpha: Image.Image, color: tuple[int, int, int]) -> Image.Image:
    """The picture over a layer of one colour."""
    below = Image.new("RGBA", picture.size, color)
    below.putalpha(alpha)
    return Image.alpha_composite(below, picture)
