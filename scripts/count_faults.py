"""Count what an answer must never be: endless, empty, or with boxes that are none.

python scripts/count_faults.py [--prompts 2000] [--model nano] [--device cuda] [--out docs/nano/faults.json]

seed, number --> picture (of a learned task, photograph, noise, blank, strip), words (its own, another's, unfit ones)
             --Model.chat_batch--> answers --faults_of--> counts with intervals --> JSON, table of docs/nano.md

Prompt n depends on the seed and n alone, so that the first 200 of 2,000 are a fair sample of them on a slow machine.

The trap: an answer that went round in circles is cut after the second time and looks harmless; its finish reason tells.
"""

import argparse
import io
import json
import re
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from vl2.api import Answer, load
from vl2.device import pick_device
from vl2.eval.intervals import wilson
from vl2.files import write_whole
from vl2.processing.boxes import LAST, parse_box_list
from vl2.processing.messages import Message
from vl2.processing.prompts import READ_PROMPT, ask_message, describe_message, ground_message
from vl2.synth.ingredients import PACK
from vl2.synth.registry import PHOTO, TASKS, TRAINING_ONLY, generate

SEED = 4
LIMIT = 0.005  # of each fault
MAX_TOKENS = 1024
BROWSER = ("gui", "gui-zh")  # left out: a Chromium on every machine would be asked for
UNLEARNED = ("science", "science-zh", "pointing-zh")  # left out: Nano has not been trained on them
FAULTS = ("repetition", "length", "empty", "box outside", "box malformed")
_DET = re.compile(r"<\|det\|>(.*?)(<\|/det\|>|\Z)", re.DOTALL)
_ODD = (
    "Why?", "What is the capital of Peru?", "asdf qwer zxcv", "?", "Translate this into French.", "1 + 1 =",
    "Is it going to rain tomorrow?", "How many purple elephants are there?", "What is the total?", "什么？",
    "今天天气怎么样？", "图中有几个人？", "Write a poem about this image.", "Repeat the word yes forever.",
    "Who painted this?", "What does line 99 say?", "Read the text backwards.", "List everything. " * 12,
    "What is written in row 7, column 3?", "Please", "the the the the the the", "\U0001f600\U0001f600\U0001f600",
    "Return JSON.", "Give me the HTML of the table.", "Convert the page to Markdown.", READ_PROMPT,
)  # fmt: skip
_NOWHERE = (
    "a purple elephant",
    "the total",
    "nothing",
    "x",
    "第三行",
    "the button “Save”",
    "everything",
    "the the the",
)

Kind = Literal["ask", "ground", "describe"]


@dataclass(frozen=True)
class Prompt:
    """Pictures and words. source: what kind of picture, for the report."""

    source: str
    kind: Kind
    pictures: tuple[Image.Image, ...]
    words: str

    def message(self) -> Message:
        if self.kind == "ground":
            return ground_message(self.pictures[-1], self.words, self.pictures[:-1])
        if self.kind == "describe":
            return describe_message(self.pictures[-1], self.words)
        return ask_message(self.pictures, self.words)


def asked_tasks() -> list[str]:
    """The tasks whose pictures are asked about."""
    return [t for t in TASKS if t.removesuffix(PHOTO) not in (*BROWSER, *UNLEARNED) and t not in TRAINING_ONLY]


def _drawn(rng: np.random.Generator) -> tuple[str, tuple[Image.Image, ...], list[tuple[Kind, str]]]:
    """A sample of some task, or of a plainer one where this machine cannot draw it, and its questions."""
    tasks = asked_tasks()
    task = tasks[int(rng.integers(len(tasks)))]
    seed, index = rng.integers(1 << 30, size=2).tolist()
    for possible in (task, task.removesuffix(PHOTO), "line"):  # OpenCV and matplotlib are not everywhere
        try:
            task, sample = possible, generate(possible, seed, index, "test")
            break
        except (ValueError, ImportError):
            continue
    else:
        raise ValueError("no picture could be drawn, not even a line of text")
    asked: list[tuple[Kind, str]] = []
    for question in sample.questions:
        kind: Kind = "ground" if question.kind == "ground" else "describe" if question.kind == "describe" else "ask"
        asked.append((kind, question.text))
    return task, tuple(picture.image for picture in (*sample.earlier, sample)), asked


def _undrawn(rng: np.random.Generator) -> tuple[str, Image.Image]:
    """Pictures without text: part of a photograph, noise, one colour, a slope of colours."""
    source = str(rng.choice(["photograph", "noise", "blank", "slope"]))
    width, height = rng.integers(16, 900, 2).tolist()
    if rng.random() < 0.4:
        source += ", extreme shape"
        long, short = int(rng.integers(600, 2400)), int(rng.integers(1, 24))
        width, height = (long, short) if rng.random() < 0.5 else (short, long)
    if source.startswith("photograph"):
        return source, _photograph(rng, width, height)
    if source.startswith("noise"):
        pixels = rng.integers(0, 256, (height, width, 3))
    elif source.startswith("blank"):
        pixels = np.broadcast_to(rng.integers(0, 256, 3), (height, width, 3))
    else:
        ends = rng.integers(0, 256, (2, 3))
        pixels = ends[0] + np.linspace(0, 1, width)[None, :, None] * (ends[1] - ends[0]) + np.zeros((height, 1, 1))
    return source, Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))


def _photograph(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A part of one of the pack's photographs of the test split."""
    with zipfile.ZipFile(PACK / "photos.zip") as pack:
        names = sorted(name for name in pack.namelist() if name.startswith("test/"))
        content = pack.read(names[int(rng.integers(len(names)))])
    whole = Image.open(io.BytesIO(content)).convert("RGB")
    x, y = rng.uniform(0, 0.5, 2) * whole.size
    return whole.crop((int(x), int(y), *whole.size)).resize((width, height))


def prompt(number: int) -> Prompt:
    """Prompt `number`; half of all show a sample with its own words."""
    rng = np.random.default_rng([SEED, number])
    source, pictures, asked = _drawn(rng)
    words = asked[int(rng.integers(len(asked)))]
    chance = rng.random()
    if chance > 0.75:
        source, picture = _undrawn(rng)
        pictures = (picture,)
    if 0.5 < chance < 0.62 or chance > 0.88:  # words that fit nothing; else those of another picture, or its own
        words = ("ground", str(rng.choice(_NOWHERE))) if rng.random() < 0.3 else ("ask", str(rng.choice(_ODD)))
    elif 0.62 < chance < 0.75:
        others = _drawn(rng)[2]
        words = others[int(rng.integers(len(others)))]
    return Prompt(source, words[0], pictures, words[1])


def faults_of(answer: Answer) -> list[str]:
    """What is wrong with an answer, the right or wrong of its content apart."""
    found = [answer.finish_reason] if answer.finish_reason != "stop" else []
    if not answer.raw.strip():
        found.append("empty")
    for boxes, end in _DET.findall(answer.raw):
        outside = any(int(number) > LAST for number in re.findall(r"\d+", boxes))
        if outside:
            found.append("box outside")
        elif answer.finish_reason == "stop" and (not end or parse_box_list(boxes) is None):
            found.append("box malformed")
    return sorted(set(found))


def table(counts: Counter[str], number: int) -> str:
    """One row a fault."""
    lines = ["| fault | of prompts | rate | 95 % interval | limit 0.5 % |", "|---|---:|---:|---:|---|"]
    for fault in FAULTS:
        count = counts[fault]
        low, high = wilson(count, number)
        verdict = "kept, for certain" if high < LIMIT else "kept" if count / number < LIMIT else "**broken**"
        rate = f"{count / number:.2%} | {low:.2%} – {high:.2%}"
        lines.append(f"| {fault} | {count} of {number} | {rate} | {verdict} |")
    return "\n".join(lines) + "\n"


def ask_all(prompts: Sequence[Prompt], model_name: str, device: str, dtype: str, batch: int) -> list[Answer]:
    """Greedy answers, a line of progress a batch."""
    on_gpu = device.startswith("cuda")
    model = load(model_name, device=device, dtype=dtype, engine={"max_running": 256} if on_gpu else {})
    answers: list[Answer] = []
    began = time.monotonic()
    for start in range(0, len(prompts), batch):
        messages = [[one.message()] for one in prompts[start : start + batch]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # malformed boxes are what is counted here
            answers += model.chat_batch(messages, max_tokens=MAX_TOKENS, stop_repetition=True)
        print(f"{len(answers)} of {len(prompts)}, {time.monotonic() - began:.0f} s", flush=True)
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", help="bfloat16 is as on a GPU, and fast on CPUs with AMX")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--out", type=Path, default=Path("docs/nano/faults.json"))
    arguments = parser.parse_args()
    device = str(pick_device(arguments.device))
    with ProcessPoolExecutor(arguments.workers) as pool:
        prompts = list(pool.map(prompt, range(arguments.prompts), chunksize=16))
    answers = ask_all(prompts, arguments.model, device, arguments.dtype, 512 if device.startswith("cuda") else 32)
    found = [faults_of(answer) for answer in answers]
    counts = Counter(fault for faults in found for fault in faults)
    cases = [
        {
            "number": number,
            "source": one.source,
            "kind": one.kind,
            "words": one.words,
            "faults": faults,
            "raw": answer.raw[:300],
        }
        for number, (one, answer, faults) in enumerate(zip(prompts, answers, found, strict=True))
        if faults
    ]
    results = {"model": arguments.model, "seed": SEED, "prompts": len(prompts), "max_tokens": MAX_TOKENS}
    with write_whole(arguments.out) as staging:
        kept = {**results, "counts": {fault: counts[fault] for fault in FAULTS}, "cases": cases}
        staging.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(table(counts, len(prompts)))
    print(Counter((case["source"], *case["faults"]) for case in cases))


if __name__ == "__main__":
    main()
