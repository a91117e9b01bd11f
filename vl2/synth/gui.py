"""Tasks "gui" and "gui-zh": screenshots of real HTML in headless Chromium, with boxes from the page.

    PageWriter --HTML--> one browser for each worker process --screenshot, boxes of elements and letters--> Sample

Needs `pip install 'vl2[gui]'` and Debian's or any other Chromium. The trap: a browser does not survive a fork, so it is
kept by the number of the process; what lies outside the window or under a dialogue is not asked about.
"""

import io
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vl2.synth.canvas import character_ids
from vl2.synth.damage import Damage, apply_damage
from vl2.synth.gui_labels import structure_of
from vl2.synth.gui_pages import PageWriter, draw_size
from vl2.synth.gui_questions import screen_questions
from vl2.synth.ingredients import PACK
from vl2.synth.langs import Language, language
from vl2.synth.sample import Sample

LARGEST = 800  # pixels of the window; a page fills a part of it
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_OPTIONS = (
    "--no-sandbox",
    "--force-device-scale-factor=1",
    "--font-render-hinting=none",
    "--disable-lcd-text",
    "--hide-scrollbars",
)
_LOOK = """() => {
  const root = document.getElementById('root').getBoundingClientRect(), elements = [], letters = [];
  const seen = (node, x, y) => {
    const top = document.elementFromPoint(x, y);
    return top && (node === top || node.contains(top));
  };
  for (const node of document.querySelectorAll('[data-k]')) {
    const r = node.getBoundingClientRect();
    if (r.width < 6 || r.height < 6 || r.left < 0 || r.top < 0) continue;
    if (r.right > root.right || r.bottom > root.bottom) continue;
    const y = (r.top + r.bottom) / 2;
    if (!seen(node, (r.left + r.right) / 2, y) || !seen(node, r.left + 2, y)) continue;
    elements.push([node.dataset.k, node.dataset.n, node.dataset.s || '', r.left, r.top, r.right, r.bottom]);
  }
  const walker = document.createTreeWalker(document.getElementById('root'), NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  while (walker.nextNode()) {
    const node = walker.currentNode, text = node.data;
    for (let i = 0; i < text.length; i++) {
      if (text[i] === '\\n' || text[i] === '\\u00a0') continue;
      range.setStart(node, i); range.setEnd(node, i + 1);
      const r = range.getBoundingClientRect();
      if (r.width === 0 || r.right > root.right || r.bottom > root.bottom) continue;
      if (text[i] !== ' ' && !seen(node.parentNode, (r.left + r.right) / 2, (r.top + r.bottom) / 2)) continue;
      letters.push([text[i], r.left, r.top, r.right, r.bottom]);
    }
  }
  return [elements, letters];
}"""


class BrowserError(ValueError):
    """Chromium or playwright is missing."""


class Window:
    """A browser's page in a thread of its own: where playwright runs, no other event loop can."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "vl2-browser")
        self._page = self._thread.submit(_start).result()

    def shoot(self, text: str, width: int, height: int) -> tuple[list[list], list[list], bytes]:
        """Elements and letters of an HTML text in a window of this size, and its picture as PNG."""
        return self._thread.submit(self._shoot, text, width, height).result()

    def _shoot(self, text: str, width: int, height: int) -> tuple[list[list], list[list], bytes]:
        page = self._page
        page.set_content(text, wait_until="load")
        page.evaluate("document.fonts.ready.then(() => 1)")
        elements, letters = page.evaluate(_LOOK)
        clip = {"x": 0, "y": 0, "width": width, "height": height}
        return elements, letters, page.screenshot(clip=clip, type="png")


_WINDOWS: dict[int, Window] = {}


def _window() -> Window:
    """This process's; started when first asked for."""
    if os.getpid() not in _WINDOWS:
        _WINDOWS[os.getpid()] = Window()
    return _WINDOWS[os.getpid()]


def _start() -> Any:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise BrowserError("task gui needs playwright; pip install 'vl2[gui]'") from error
    found = os.environ.get("VL2_CHROMIUM") or next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        raise BrowserError(
            "task gui needs Chromium: install it (Debian: apt-get install chromium) or set VL2_CHROMIUM to its program"
        )
    playwright = sync_playwright().start()
    browser = playwright.chromium.launch(executable_path=found, args=list(_OPTIONS))
    page = browser.new_page(viewport={"width": LARGEST, "height": LARGEST})
    page.set_default_timeout(20_000)
    # a document from a file may load fonts from files
    page.goto(Path(PACK / "blank.html").as_uri())
    return page


def generate(rng: np.random.Generator, split: str) -> Sample:
    return _draw(language(rng, split, "en"), "gui")


def generate_zh(rng: np.random.Generator, split: str) -> Sample:
    return _draw(language(rng, split, "zh"), "gui-zh")


def _draw(lang: Language, task: str) -> Sample:
    rng = lang.rng
    width, height = draw_size(rng)
    text = PageWriter(lang, width, height).page()
    elements, letters, shot = _window().shoot(text, width, height)
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    wear = Damage.draw(rng, 0.35, 12)
    image = apply_damage(image, Damage(jpeg=wear.jpeg, blur=wear.blur / 2, noise=wear.noise / 3), rng)
    ids, boxes, extents = _marks(elements, letters)
    return Sample(task, image, tuple(screen_questions(lang, elements)), ids, boxes, extents)


def _marks(elements: list[list], letters: list[list]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Marks of controls, then of the letters on them; a letter's extent is the smallest element that holds it."""
    controls = [element for element in elements if structure_of(element[0], element[2]) is not None]
    ids = [structure_of(kind, state) for kind, _, state, *_ in controls]
    boxes = [element[3:] for element in controls]
    ids += character_ids("".join(letter[0] for letter in letters)).tolist()
    boxes += [letter[1:] for letter in letters]
    found = np.array(boxes, np.float32).reshape(-1, 4)
    extents = found.copy()
    holders = np.array([element[3:] for element in elements], np.float32).reshape(-1, 4)
    order = np.argsort(-(holders[:, 2:] - holders[:, :2]).prod(1), kind="stable")
    middles = (found[:, :2] + found[:, 2:]) / 2
    for number in order.tolist():
        inside = ((middles >= holders[number, :2]) & (middles <= holders[number, 2:])).all(1)
        extents[inside & (np.arange(len(found)) >= len(controls))] = holders[number]
    return np.array(ids, np.int16), found, extents
