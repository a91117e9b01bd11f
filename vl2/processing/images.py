"""Opening image files: anything a person may throw at us becomes an upright RGB image, or a clear error.

path, bytes or PIL image --header checked--> decoded --EXIF rotation, 16-bit to 8, transparency over white--> RGB
"""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

DEFAULT_MAX_PIXELS = 178_956_970  # a quarter gibibyte of 24-bit pixels


class ImageError(ValueError):
    """A file that is no image, is damaged, or is larger than allowed."""


def open_image(source: Image.Image | Path | str | bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image.Image:
    """An upright RGB image; of an animation its first frame.

    Args:
        source: path, encoded bytes, or an image that is already open.
        max_pixels: limit on width * height, checked from the header before anything is decoded.

    Raises: ImageError.
    """
    if isinstance(source, Image.Image):
        return _to_rgb(source)
    name = "image" if isinstance(source, bytes) else str(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit follows
            stream = io.BytesIO(source if isinstance(source, bytes) else Path(source).read_bytes())
            with Image.open(stream) as image:
                if image.width * image.height > max_pixels:
                    raise ImageError(
                        f"{name}: {image.width} x {image.height} pixels exceed the limit of {max_pixels}; "
                        "scale it down or raise max_pixels"
                    )
                image.load()
                return _to_rgb(image)
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{name}: no such file") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: not an image in a format Pillow reads") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: {error}; scale it down") from error
    except Exception as error:  # decoders raise a dozen types on damaged data
        raise ImageError(f"{name}: damaged image ({error})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_eight_bits(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Greys of 16 bits (0..65535) to 8; 32-bit and float images are stretched from their own range."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ImageError("image: pixels that are not finite numbers")
    low, high = (0.0, 65535.0) if image.mode.startswith("I;16") or values.max(initial=0) > 255 else (0.0, 255.0)
    if values.min(initial=0) < low or values.max(initial=0) > high:
        low, high = values.min(), values.max()
    return Image.fromarray(((values - low) / max(high - low, 1e-9) * 255).round().astype(np.uint8))
