"""Wear: the integer arithmetic does what the names say, within a grey level or two."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from vl2.synth.damage import Damage, apply_damage, noise_field


def picture(width: int = 170, height: int = 130) -> Image.Image:
    """Smooth random shades with a few hard edges."""
    rng = np.random.default_rng(5)
    small = Image.fromarray(rng.integers(0, 256, (9, 11, 3)).astype(np.uint8))
    image = small.resize((width, height), Image.Resampling.BICUBIC)
    image.paste((250, 20, 40), (60, 50, 90, 70))
    return image


def worn(**effects) -> np.ndarray:
    return np.asarray(apply_damage(picture(), Damage(**effects), np.random.default_rng(2))).astype(int)


@pytest.mark.parametrize("angle", [-3.5, -0.4, 0.02, 1.0, 3.5])
def test_turning_is_what_pillow_does(angle: float):
    expected = np.asarray(picture().rotate(angle, Image.Resampling.BILINEAR)).astype(int)
    inner = (slice(12, -12), slice(12, -12))
    assert abs(worn(angle=angle) - expected)[inner].mean() < 2
    assert worn(angle=angle).shape == expected.shape


def test_what_turning_uncovers_has_the_colour_of_the_corners():
    image = Image.new("RGB", (90, 60), (10, 200, 30))
    turned = np.asarray(apply_damage(image, Damage(angle=3.5), np.random.default_rng(0)))
    assert (turned == (10, 200, 30)).all()


@pytest.mark.parametrize("radius", [0.25, 0.5, 1.0, 1.4])
def test_blur_is_as_strong_as_two_boxes(radius: float):
    box = ImageFilter.BoxBlur(0.7 * radius)
    expected = np.asarray(picture().filter(box).filter(box)).astype(int)
    assert abs(worn(blur=radius) - expected).mean() < 2
    assert abs(worn(blur=radius) - expected).max() < 32


def test_contrast_shadow_and_noise_stay_in_range_and_keep_the_picture():
    for seed in range(20):
        damage = Damage(contrast=0.6, shadow=0.45, noise=18, coloured_noise=bool(seed % 2))
        black = Image.new("RGB", (80, 50))
        assert np.asarray(apply_damage(black, damage, np.random.default_rng(seed))).max() < 200
        white = np.asarray(apply_damage(Image.new("RGB", (80, 50), "white"), damage, np.random.default_rng(seed)))
        assert white.mean() > 80
    assert np.corrcoef(worn(contrast=0.6).ravel(), np.asarray(picture()).ravel())[0, 1] > 0.999


def test_shadow_darkens_only_and_by_its_depth():
    for seed in range(10):
        white = Image.new("RGB", (100, 100), "white")
        shaded = np.asarray(apply_damage(white, Damage(shadow=0.4), np.random.default_rng(seed)))
        assert shaded.min() >= 255 * 0.6 - 3
        assert shaded.min() < 230


@pytest.mark.parametrize("sigma", [2, 8, 30])
def test_noise_field_has_the_asked_strength(sigma: float):
    field = noise_field(np.random.default_rng(0), 1500, 300, sigma)
    assert field.shape == (1500, 300)
    assert abs(field.std() - sigma) < 0.12 * sigma
    assert abs(field.mean()) < 0.6
