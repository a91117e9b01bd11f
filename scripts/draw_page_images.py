"""Draws docs/images/page-*.png: the page of `vl2 serve` with Nano, in the Chromium of this machine.

Run: python scripts/draw_page_images.py
"""

import io
import shutil
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

import vl2
from vl2.files import write_whole
from vl2.serve.app import create_app
from vl2.serve.background import in_background

OUT = Path(__file__).resolve().parent.parent / "docs" / "images"
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740}, "color_scheme": "dark", "device_scale_factor": 2, "is_mobile": True,
}  # fmt: skip


def ask(page: Any, mode: str, text: str) -> None:
    count = page.locator("article").count()
    page.locator(".modes label", has_text=mode).click()
    page.locator("#question").fill(text)
    page.locator("#send").click()
    page.locator("article").nth(count).locator(".foot small").wait_for()


def save(page: Any, name: str) -> None:
    """In 256 colours, which is a third of the bytes."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    with write_whole(OUT / name) as staging:
        picture.save(staging, format="PNG", optimize=True)
    print(f"docs/images/{name}: {(OUT / name).stat().st_size:,} bytes")


def main() -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with in_background(create_app(vl2.load)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(**DESKTOP)
        page.goto(server.url)
        page.get_by_role("button", name="Locate the pine trees").click()
        page.locator("article .foot small").wait_for()
        ask(page, "Ask", "Is there a dog in the picture?")
        ask(page, "Locate", "the dog")
        page.locator("article").first.locator(".regions button").first.focus()
        save(page, "page-light.png")
        page = browser.new_page(**PHONE)
        page.goto(server.url)
        page.get_by_role("button", name="What is the total?").click()
        page.locator("article .foot small").wait_for()
        ask(page, "Locate", "the total")
        save(page, "page-dark-phone.png")
        browser.close()


if __name__ == "__main__":
    main()
