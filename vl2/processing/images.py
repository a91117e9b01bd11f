"""Opening image files: anything a person may throw at us becomes an upright RGB image, or a clear error.

path, bytes or PIL image --header checked--> decoded --EXIF rotation, 16-bit to 8, transparency over white--> RGB
"""

import io
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

DEFAULT_MAX_PIXELS = 178_956_970  # half a gibibyte of RGB
# Pillow also opens formats that start other programs (EPS) or hold no pixels; these are enough.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "ICO", "TGA", "JPEG2000", "AVIF")
_ORIENTATION = 0x0112  # EXIF tag; its values say how the camera was held
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ADVICE = "scale it down, or raise max_pixels if you trust it"
_pillow_limit = threading.Lock()


class ImageError(ValueError):
    """A file that is no image, is damaged, or is larger than allowed."""


class TooManyPixels(ImageError):
    """An image that is larger than allowed."""


def open_image(
    source: Image.Image | Path | str | bytes, max_pixels: int | None = None, formats: Sequence[str] = _FORMATS
) -> Image.Image:
    """An upright RGB image; of an animation its first frame.

    Args:
        source: path, encoded bytes, or an image that is already open.
        max_pixels: limit on width * height, checked from the header before anything is decoded; None:
            DEFAULT_MAX_PIXELS.
        formats: Pillow's names of those that are opened.

    Raises: ImageError.
    """
    max_pixels = DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels
    if isinstance(source, Image.Image):
        return upright_rgb(source, "image", max_pixels)
    name = "image" if isinstance(source, bytes) else str(source)
    with opened_image(read_source(source), name, max_pixels, formats) as image:
        return upright_rgb(image, name, max_pixels)


def check_image(source: Path | str | bytes, max_pixels: int | None = None) -> None:
    """Refuse what open_image would refuse from the header alone: no file, no image, too large. Decodes nothing.

    Raises: ImageError.
    """
    max_pixels = DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels
    name = "image" if isinstance(source, bytes) else str(source)
    with _reading(name):
        file = io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")  # noqa: SIM115
    with file, opened_image(file, name, max_pixels) as image:
        _check_size(image, name, max_pixels)


def read_source(source: Path | str | bytes) -> bytes:
    """The encoded bytes of a file. Raises ImageError."""
    if isinstance(source, bytes):
        return source
    with _reading(str(source)):
        return Path(source).read_bytes()


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise ImageError(f"{name}: cannot be read ({error})") from error


@contextmanager
def opened_image(
    encoded: bytes | BinaryIO, name: str, max_pixels: int, formats: Sequence[str] = _FORMATS
) -> Iterator[Image.Image]:
    """An encoded image with its header read and nothing decoded. Raises ImageError, with the name of the file."""
    file = io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded
    with warnings.catch_warnings(), _pillow_accepts(max_pixels):
        warnings.simplefilter("ignore")  # Pillow's remarks about odd metadata, and its own smaller size limit
        try:
            image = Image.open(file, formats=_available(formats))
        except UnidentifiedImageError:
            raise ImageError(f"{name}: not an image in a format that is read here (PNG, JPEG, WebP, ...)") from None
        except Image.DecompressionBombError as error:  # "Image size (N pixels) exceeds ...", a limit of Pillow's own
            size = str(error).partition(" exceeds")[0]
            raise TooManyPixels(f"{name}: {size} exceeds the limit of {max_pixels}; {_ADVICE}") from None
        except Exception as error:  # decoders raise a dozen types on damaged data
            raise damaged_image(name, error) from error
        with image:
            yield image


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        size = f"{image.width} x {image.height} pixels"
        raise TooManyPixels(f"{name}: {size} exceed the limit of {max_pixels}; {_ADVICE}")
    if not image.width * image.height:
        raise ImageError(f"{name}: {image.width} x {image.height} pixels; an image needs at least one")


def upright_rgb(image: Image.Image, name: str, max_pixels: int) -> Image.Image:
    """Decode an opened image, after its size was found to be within the limit. Raises ImageError."""
    _check_size(image, name, max_pixels)
    try:
        image.load()
        return _to_rgb(image)
    except Exception as error:
        raise damaged_image(name, error) from error


def damaged_image(name: str, error: Exception) -> ImageError:
    """What to raise for an error of a decoder."""
    return ImageError(f"{name}: damaged image ({' '.join(str(error).split()) or type(error).__name__})")


def _available(formats: Sequence[str]) -> list[str]:
    Image.init()
    return [name for name in formats if name in Image.OPEN]


@contextmanager
def _pillow_accepts(max_pixels: int) -> Iterator[None]:
    """Lift Pillow's own size limit, a global, while a caller allows more than it."""
    if max_pixels <= DEFAULT_MAX_PIXELS:
        yield
        return
    with _pillow_limit:
        saved = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = saved


def _to_rgb(image: Image.Image) -> Image.Image:
    turn = _UPRIGHT.get(_orientation(image))
    if turn is not None:
        image = image.transpose(turn)
        # Without its metadata, so that opening the result again does not turn it a second time.
        image.info = {key: value for key, value in image.info.items() if key == "transparency"}
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_eight_bits(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 (upright) when the metadata cannot be read: the pixels are good without it."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # as many types as there are ways to damage EXIF
        return 1


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Deeper greys to 8 bits, from the first usual range that holds them: 0..1 (floats), 8, 16 bits, else their own."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("pixels that are not finite numbers")
    least, most = float(values.min()), float(values.max())
    usual = {"F": (1.0, 255.0, 65535.0), "I": (255.0, 65535.0)}.get(image.mode, (65535.0,))
    low, high = next(((0.0, top) for top in usual if least >= 0 and most <= top), (least, most))
    return Image.fromarray(((values - low) / max(high - low, 1e-9) * 255).round().astype(np.uint8))
