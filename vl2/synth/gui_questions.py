"""Questions about the elements of a screenshot: where they are, whether they are on, what stands in them.

    [kind, name, state, box] of each element --screen_questions--> questions

The trap: a phrase must mean one element, so names that several share are not asked about.
"""

from collections import Counter

from vl2.processing.boxes import Box, Region
from vl2.synth import gui_wordings as said
from vl2.synth.langs import Language
from vl2.synth.sample import Question
from vl2.synth.values import chance, pick


def screen_questions(
    lang: Language, elements: list[list], finds: tuple[int, int] = (5, 13), most: int = 17
) -> list[Question]:
    """Things to find and states to tell; names that several elements of a page share are left out.

    elements: [kind, name, state, x0, y0, x1, y1] in pixels. finds: how many are looked for, at least and one past the
    most. most: questions after which no more states are asked for.
    """
    rng = lang.rng
    names = Counter((kind, name) for kind, name, *_ in elements)
    texts = Counter(name for _, name, *_ in elements)
    single = [e for e in elements if names[e[0], e[1]] == 1 and (texts[e[1]] == 1 or e[0] in ("price", "icon"))]
    asked: dict[str, Question] = {}
    for index in rng.permutation(len(single))[: int(rng.integers(*finds))].tolist():
        kind, name, state, *box = single[index]
        made = _find(lang, kind, name, Box(*map(float, box)))
        asked[made.text] = made
    for index in rng.permutation(len(single)).tolist():
        kind, name, state, *_ = single[index]
        if len(asked) >= most:
            break
        made = _tell(lang, kind, name, state)
        if made is not None:
            asked.setdefault(made.text, made)
    chosen = [e for e in elements if e[0] == "tab" and e[2] == "on"]
    if chosen:
        asked["tab"] = Question("ask", lang.choose(said.TAB, said.TAB_ZH), (chosen[0][1],))
    titles = [e for e in single if e[0] == "title"]
    if titles:
        asked["title"] = Question("ask", lang.choose(said.TITLE, said.TITLE_ZH), (titles[0][1],))
    if chance(rng, 0.35):
        missing = lang.choose(said.ABSENT, said.ABSENT_ZH)
        if not any(missing.lower() in name.lower() for _, name, *_ in elements):
            wording = lang.choose(said.FIND["button"], said.FIND_ZH["button"]).format(name=missing)
            asked[wording] = Question("ground", wording, (), "iou")
    if not asked:  # a window so narrow that nothing is whole in it
        asked["none"] = Question("ground", lang.choose(("the Save button",), ("“保存”按钮",)), (), "iou")
    return list(asked.values())


def _find(lang: Language, kind: str, name: str, box: Box) -> Question:
    """An element to locate."""
    key = kind if kind in said.FIND else "other"
    first, _, second = name.partition("|")
    wording = lang.choose(said.FIND[key], said.FIND_ZH.get(key) or said.FIND[key])
    shown = lang.choose((first,), (said.ICONS_ZH.get(first, first),)) if kind in ("icon", "picture") else first
    if kind in ("icon", "picture") and lang.zh and shown == first:
        wording = pick(lang.rng, said.FIND[key])
    phrase = wording.format(name=shown.removesuffix(" icon"), row=second)
    return Question("ground", phrase, (), "iou", (Region(phrase, box),))


def _tell(lang: Language, kind: str, name: str, state: str) -> Question | None:
    """The state of a control, or what stands in it."""
    if kind in ("checkbox", "switch"):
        wording = lang.choose(said.IS_ON, said.IS_ON_ZH).format(name=name)
        return Question(
            "ask",
            wording,
            (lang.choose(("Yes",), ("是",)) if state == "on" else lang.choose(("No",), ("否",)),),
            "exact",
        )
    if kind in ("input", "figure", "price") and state:
        english, chinese = (said.ENTRY, said.ENTRY_ZH) if kind == "input" else (said.FIGURE, said.FIGURE_ZH)
        return Question("ask", lang.choose(english, chinese).format(name=name), (state,))
    return None
