"""Task "unanswerable": pictures that do not say what is asked, so that a model learns to say so instead of inventing.

    photograph, noise, one colour, slope, strip   words of any other task                      read: "No text."
    drawn things                                  words about documents, tables and charts     ask: "It is not in ..."
    a document, a table or a line                 words that fit nothing, about drawn things   ground: no boxes

The trap: a question must be beyond the picture for certain. Counts, whose answer is 0, and yes or no are left out.
"""

import re

import numpy as np
from PIL import Image

from vl2.synth import registry
from vl2.synth.ingredients import photographs
from vl2.synth.sample import Question, Sample
from vl2.synth.values import chance, pick

_SAID = ("receipt", "form", "table", "chart", "card", "invoice", "line", "receipt-zh", "form-zh", "card-zh", "chart-zh")
_DRAWN = ("ground", "count", "scene")
_WRITTEN = ("line", "table", "receipt", "form", "page", "chart", "line-zh", "form-zh", "receipt-zh")
_NO_TEXT = {False: ("No text.", "no text", "none", "nothing"), True: ("没有文字。", "没有", "无")}
_NOT_THERE = {False: ("It is not in the image.", "not in the image", "none"), True: ("图中没有。", "没有", "无")}
_MOST = 8  # questions of a picture
_FAIR = re.compile(r"\d{1,2}|yes|no|是|否|有|没有")  # answers of questions that such a picture does answer
_BEYOND = (
    "Who took this picture?", "What is the weather tomorrow?", "Sing me a song.", "What is seven times eight?",
    "hello", "??", "qwe rty uio", "ok", "no no no no no no", "What is the meaning of life?", "Who is the king?",
    "How old is the photographer?", "Say it in German.", "Translate it to Japanese.", "What did I ask before?",
    "What does line 87 say?", "Read row 31 of column 14.", "What is on page 12?", "Tell me a joke", "zzzz", "and?",
    "Which song is playing?", "What happens next?", "Where was this taken?", "What is the password?", "Thanks!",
    "Write an essay about it.", "Count to a thousand.", "Repeat this for ever: la la la", "Print it a hundred times.",
    "Who won the match in 1974?", "What is my name?", "test test test test", "Summarise the second chapter.",
    "讲个笑话。", "这是谁拍的？", "明天会下雨吗？", "第九十九行写的是什么？", "你好", "翻译成英文。", "密码是什么？",
    "现在几点？", "后来怎么样了？", "唱首歌", "七乘八等于几？", "谁是总统？",
)  # fmt: skip
_NOWHERE = (
    "a flying whale", "the second sun", "qwxz", "the king", "the letter from home", "a green horse with wings",
    "it all again", "the hidden door", "the last chapter", "zzz", "an invisible man", "no such thing", "月亮上的兔子",
    "看不见的门", "第七章", "国王",
)  # fmt: skip


def generate(rng: np.random.Generator, split: str) -> Sample:
    """A picture and up to eight questions that it does not answer."""
    kind = rng.random()
    if kind < 0.5:
        empty = np.zeros((0, 4), np.float32)
        image, questions = _plain(rng, split), _questions(rng, split, (*_SAID, *_DRAWN, "page", "page-zh"))
        return Sample("unanswerable", image, tuple(map(_refused, questions)), np.zeros(0, np.int16), empty, empty)
    written = kind < 0.75
    base = _sample(rng, split, _WRITTEN if written else _DRAWN)
    asked = [question for question in _questions(rng, split, _DRAWN if written else _SAID) if question.kind != "read"]
    asked = [question for question in asked if question.kind == "ground" or not written]
    asked += [Question("ask", text) for text in _some(rng, _BEYOND, 4)]
    asked += [Question("ground", text, (), "iou") for text in _some(rng, _NOWHERE, 2)]
    questions = [_refused(asked[place]) for place in rng.permutation(len(asked))[:_MOST].tolist()]
    return Sample("unanswerable", base.image, tuple(questions), base.mark_ids, base.mark_boxes, base.mark_extents)


def _some(rng: np.random.Generator, texts: tuple[str, ...], number: int) -> list[str]:
    return [texts[place] for place in rng.permutation(len(texts))[:number].tolist()]


def _sample(rng: np.random.Generator, split: str, tasks: tuple[str, ...]) -> Sample:
    return registry.generator(pick(rng, tasks))(rng, split)


def _questions(rng: np.random.Generator, split: str, tasks: tuple[str, ...]) -> list[Question]:
    """Some of another picture's questions that nobody could answer from a picture without it."""
    found = _sample(rng, split, tasks).questions
    beyond = [q for q in found if q.kind != "describe" and not any(_FAIR.fullmatch(a.lower()) for a in q.answers)]
    return [beyond[place] for place in rng.permutation(len(beyond))[:_MOST].tolist()]


def _refused(question: Question) -> Question:
    """The same words, and that there is nothing."""
    if question.kind == "ground":
        return Question("ground", question.text, (), "iou")
    answers = _NO_TEXT if question.kind == "read" else _NOT_THERE
    is_chinese = any(character >= "\u4e00" for character in question.text)
    return Question("ask", question.text, answers[is_chinese])


def _plain(rng: np.random.Generator, split: str) -> Image.Image:
    """A picture without text or things."""
    width, height = (int(side) for side in np.exp(rng.uniform(np.log(16), np.log(900), 2)))
    if chance(rng, 0.3):  # a strip
        width, height = int(rng.integers(400, 2400)), int(rng.integers(1, 30))
        if chance(rng, 0.5):
            width, height = height, width
    kind = rng.random()
    if kind < 0.35:
        bank = photographs(split)
        whole = Image.fromarray(bank[int(rng.integers(len(bank)))])
        x, y = rng.uniform(0, 0.6, 2) * whole.size
        return whole.crop((int(x), int(y), *whole.size)).resize((width, height))
    if kind < 0.55:
        spread = rng.uniform(4, 255)
        pixels = rng.uniform(0, 255, 3) + rng.uniform(-spread, spread, (height, width, 3 if chance(rng, 0.5) else 1))
    elif kind < 0.75:
        pixels = rng.uniform(0, 255, 3) + np.zeros((height, width, 1))
    else:
        begin, end = rng.uniform(0, 255, (2, 3))
        along = (
            np.linspace(0, 1, height)[:, None, None] if chance(rng, 0.5) else np.linspace(0, 1, width)[None, :, None]
        )
        pixels = begin + (end - begin) * along + np.zeros((height, width, 1))
    pixels = np.broadcast_to(np.clip(pixels, 0, 255), (height, width, 3))
    return Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
