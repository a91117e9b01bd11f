"""Tasks "screen" and "screen-zh": screenshots drawn without a browser, asked about as those of "gui" are.

    language, size --PageDrawer--> canvas, elements --wear of a picture that was sent--> Sample

A model trained on these is measured on "gui", whose pages Chromium draws. The trap: boxes have to be those that a
browser would give: the whole button with its padding, the line box of a text.
"""

import numpy as np

from vl2.synth import gui_wordings as said
from vl2.synth.damage import Damage
from vl2.synth.gui_labels import ICON_NAMES, MENU, MENU_ZH, SWITCHES, SWITCHES_ZH
from vl2.synth.gui_pages import draw_size
from vl2.synth.gui_questions import screen_questions
from vl2.synth.langs import Language, language
from vl2.synth.sample import Question, Sample
from vl2.synth.screen_pages import PageDrawer
from vl2.synth.values import chance, pick

_MOST = 20


def generate(rng: np.random.Generator, split: str) -> Sample:
    return _draw(language(rng, split, "en"), "screen")


def generate_zh(rng: np.random.Generator, split: str) -> Sample:
    return _draw(language(rng, split, "zh"), "screen-zh")


def _draw(lang: Language, task: str) -> Sample:
    rng = lang.rng
    page = PageDrawer(lang, *draw_size(rng))
    page.draw()
    wear = Damage.draw(rng, 0.35, 12)
    finished = page.canvas.finish(rng, Damage(jpeg=wear.jpeg, blur=wear.blur / 2, noise=wear.noise / 3))
    questions = screen_questions(lang, page.elements, (8, 17), _MOST - 3)
    if chance(rng, 0.4):
        questions.append(_absent(lang, page))
    asked = {question.text: question for question in questions}
    return Sample(task, finished.image, tuple(asked.values()), *finished.marks)


def _absent(lang: Language, page: PageDrawer) -> Question:
    """Something that programs have but this page does not."""
    rng = lang.rng
    names = " ".join(name for _, name, *_ in page.elements).lower()
    while True:
        kind = pick(rng, ("icon", "menu", "switch", "checkbox"))
        if kind == "icon":
            drawn = pick(rng, ICON_NAMES)
            name = lang.choose((drawn,), (said.ICONS_ZH.get(drawn, ""),)).removesuffix(" icon")
            missing = bool(name) and not page.labels.has_icon(drawn) and drawn not in names
        else:
            name = lang.choose(*((MENU, MENU_ZH) if kind == "menu" else (SWITCHES, SWITCHES_ZH)))
            missing = name.lower() not in names
        if missing:
            phrase = lang.choose(said.FIND[kind], said.FIND_ZH[kind]).format(name=name)
            return Question("ground", phrase, (), "iou")
