"""What tests of the server send it."""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image


def data_url(encoded: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(encoded).decode()}"


def png(width: int = 40, height: int = 30, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def user(text: str, *images: bytes, detail: str | None = None) -> Any:
    """A conversation of one message."""
    extra = {"detail": detail} if detail else {}
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": data_url(image), **extra}} for image in images
    ]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]
