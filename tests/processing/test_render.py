"""Rendering: what the model sees and what it learns from. The published cases are in tests/parity."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PILImage

from vl2.config import BASE
from vl2.processing.boxes import Box
from vl2.processing.images import ImageError
from vl2.processing.messages import Det, Grounding, Image, Message, MessageError, Ref, Text, parse_tagged
from vl2.processing.prompts import ask_message
from vl2.processing.render import IGNORE_INDEX, ContextError, Prompt, Renderer
from vl2.processing.tokenizer import SPECIAL_STRINGS, Tokenizer

SMALL_PICTURE = PILImage.new("RGB", (100, 50), "red")
WIDE_PICTURE = PILImage.new("RGB", (700, 300), "red")


def user(text: str) -> Message:
    return Message("user", (Text(text),))


def assistant(text: str) -> Message:
    return Message("assistant", (Text(text),))


def spelled(tokenizer: Tokenizer, prompt: Prompt) -> str:
    """The prompt as text, each image as one <image>."""
    ids = list(prompt.input_ids)
    for start, length in reversed(prompt.spans):
        del ids[start + 1 : start + length]
    return tokenizer.decode(ids, skip_special=False)


def learned(tokenizer: Tokenizer, prompt: Prompt) -> str:
    ids = [label for label in prompt.labels[1:] if label != IGNORE_INDEX]
    return tokenizer.decode(ids, skip_special=False)


@pytest.fixture(scope="module")
def renderer(tokenizer) -> Renderer:
    return Renderer(tokenizer, BASE)


@pytest.mark.parametrize("word", SPECIAL_STRINGS.values())
def test_special_tokens_in_text_stay_text(renderer, tokenizer, word):
    """Wherever a person's words end up, the only special tokens are those of the parts."""
    parts = (Image(SMALL_PICTURE), Text(f"\nWhat is {word}? "), Ref(word), Grounding(), Text(word))
    conversation = [Message("system", (Text(word),)), Message("user", parts), assistant(f"It is {word}."), user(word)]
    prompt = renderer.render(conversation, for_generation=True)
    special = dataclasses.asdict(tokenizer.special)
    counts = {name: prompt.input_ids.count(i) for name, i in special.items()}
    assert counts == {
        "bos": 1, "eos": 1, "pad": 0, "image": 421, "ref": 1, "ref_end": 1, "det": 0, "det_end": 0, "grounding": 1,
        "user": 2, "assistant": 2,
    }  # fmt: skip
    assert prompt.input_ids.count(tokenizer.special.image) == sum(length for _, length in prompt.spans)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=5), st.sampled_from([*SPECIAL_STRINGS.values()])), max_size=6).map("".join))
def test_any_text_of_a_user_is_between_the_same_special_tokens(renderer, tokenizer, text):
    prompt = renderer.render([user(text)], for_generation=True)
    bos, user_id, *words, assistant_id, _ = prompt.input_ids
    special = tokenizer.special
    assert (bos, user_id, assistant_id) == (special.bos, special.user, special.assistant)
    assert not set(dataclasses.astuple(special)) & set(words)
    written = text.encode("utf-8", "replace").decode().strip()
    assert tokenizer.decode(words) == f": {written}\n\n"


def test_whole_conversation_as_text(renderer, tokenizer):
    conversation = [
        Message("system", (Text("You read."),)),
        ask_message([SMALL_PICTURE], "  What is it?  "),
        assistant(" A box. "),
        user("\nWhere? "),
    ]
    prompt = renderer.render(conversation, for_generation=True)
    assert spelled(tokenizer, prompt) == (
        "<｜begin▁of▁sentence｜>You read.<|User|>: <image>\n  What is it?\n\n<|Assistant|>:A box."
        "<｜end▁of▁sentence｜><|User|>: Where?\n\n<|Assistant|>:"
    )


def test_system_message_reaches_the_ids(renderer, tokenizer):
    ids = tokenizer.encode("Answer in French.")
    prompt = renderer.render([Message("system", (Text("Answer in French."),)), user("Hi")], for_generation=True)
    assert prompt.input_ids[1 : 1 + len(ids)] == ids


def test_loss_on_answers_and_their_ends_only(renderer, tokenizer):
    parts = (Ref("box"), Det((Box(0, 0, 50, 50),)))
    question = ask_message([SMALL_PICTURE], "Where?")
    conversation = [question, Message("assistant", parts), user("Sure?"), assistant("Yes.")]
    prompt = renderer.render(conversation, for_generation=False)
    end = "<｜end▁of▁sentence｜>"
    answer = "<|ref|>box<|/ref|><|det|>[[0, 0, 500, 999]]<|/det|>"
    assert learned(tokenizer, prompt) == f"{answer}{end}Yes.{end}"
    for given_id, label in zip(prompt.input_ids, prompt.labels, strict=True):
        assert label in (given_id, IGNORE_INDEX)


def test_loss_on_all_text_but_never_on_images(renderer, tokenizer):
    conversation = [ask_message([SMALL_PICTURE], "Where?"), assistant("There.")]
    prompt = renderer.render(conversation, for_generation=False, mask_prompt=False)
    assert learned(tokenizer, prompt) == "<|User|>: \nWhere?\n\n<|Assistant|>:There.<｜end▁of▁sentence｜>"
    masked = [at for at, label in enumerate(prompt.labels) if label == IGNORE_INDEX]
    [(start, length)] = prompt.spans
    assert masked == list(range(start, start + length))


def test_typed_and_tagged_forms_give_the_same_prompt(renderer):
    tagged = [
        Message("user", parse_tagged("<image>\nLocate <|ref|>the box<|/ref|> in the image.", [SMALL_PICTURE])),
        Message("assistant", parse_tagged("<|ref|>the box<|/ref|><|det|>[[0, 0, 500, 999]]<|/det|>")),
    ]
    typed = [
        Message("user", (Image(SMALL_PICTURE), Text("\nLocate "), Ref("the box"), Text(" in the image."))),
        Message("assistant", (Ref("the box"), Det((Box(0, 0, 50, 50),)))),
    ]
    prompts = [renderer.render(conversation, for_generation=False) for conversation in (tagged, typed)]
    assert prompts[0].input_ids == prompts[1].input_ids
    assert prompts[0].labels == prompts[1].labels


def test_boxes_refer_to_the_last_image_before_them(renderer, tokenizer):
    conversation = [
        ask_message([SMALL_PICTURE, WIDE_PICTURE], "Where?"),
        Message("assistant", (Det((Box(0, 0, 350, 300),)),)),
        ask_message([SMALL_PICTURE], "And here?"),
        Message("assistant", (Det((Box(0, 0, 50, 50),)),)),
    ]
    text = learned(tokenizer, renderer.render(conversation, for_generation=False))
    assert text.count("[[0, 0, 500, 999]]") == 2


def test_boxes_need_an_image(renderer):
    with pytest.raises(MessageError, match="image"):
        renderer.render([user("Where?"), Message("assistant", (Det(()),))], for_generation=False)


@pytest.mark.parametrize(("count", "grid"), [(1, (1, 2)), (2, (1, 2)), (3, (1, 1)), (4, (1, 1))])
def test_more_than_two_images_are_not_tiled(renderer, count, grid):
    conversation = [ask_message([WIDE_PICTURE] * (count - 1), "a"), assistant("b"), ask_message([WIDE_PICTURE], "c")]
    prompt = renderer.render(conversation, for_generation=True)
    assert [(image.grid.rows, image.grid.cols) for image in prompt.images] == [grid] * count
    assert len({length for _, length in prompt.spans}) == 1
    mask = np.zeros(len(prompt.input_ids), bool)
    for start, length in prompt.spans:
        mask[start : start + length] = True
    assert mask.tolist() == [i == renderer.tokenizer.special.image for i in prompt.input_ids]


def test_context_limit_is_exact_and_named(tokenizer):
    conversation = [user("How long is this?")]
    length = len(Renderer(tokenizer, BASE).render(conversation, for_generation=True).input_ids)

    def limited(limit: int) -> Renderer:
        language = dataclasses.replace(BASE.language_config, max_position_embeddings=limit)
        return Renderer(tokenizer, dataclasses.replace(BASE, language_config=language))

    assert limited(length + 1).render(conversation, for_generation=True)  # room for one token of the answer
    with pytest.raises(ContextError, match=rf"{length} tokens .* holds {length}, the answer included"):
        limited(length).render(conversation, for_generation=True)
    answered = [*conversation, assistant("x")]
    total = len(Renderer(tokenizer, BASE).render(answered, for_generation=False).input_ids)
    assert limited(total).render(answered, for_generation=False)
    with pytest.raises(ContextError, match=rf"{total} tokens .* holds {total - 1};"):
        limited(total - 1).render(answered, for_generation=False)


def test_too_many_images_name_both_numbers(renderer):
    with pytest.raises(ContextError, match=r"42\d\d tokens \(4210 of them from 10 images\) .* 4096"):
        renderer.render([ask_message([SMALL_PICTURE] * 10, "What?")], for_generation=True)


@pytest.mark.parametrize(
    ("roles", "for_generation", "said"),
    [("", True, "empty"), ("s", True, "end with a message of the user"), ("a", True, "'user' must stand"),
     ("uu", True, "'assistant' must stand"), ("us", True, "'assistant' must stand"), ("ua", True, "end with a message"),
     ("u", False, "end with an answer"), ("uaa", False, "'user' must stand")],
)  # fmt: skip
def test_turns_out_of_order_are_refused(renderer, roles, for_generation, said):
    names = {"s": "system", "u": "user", "a": "assistant"}
    conversation = [Message(names[role], (Text("x"),)) for role in roles]  # type: ignore[arg-type]
    with pytest.raises(MessageError, match=said):
        renderer.render(conversation, for_generation=for_generation)


def test_size_limit_of_images_is_honoured(tokenizer):
    with pytest.raises(ImageError, match="limit of 10"):
        Renderer(tokenizer, BASE, max_pixels=10).render([ask_message([SMALL_PICTURE], "?")], for_generation=True)


def test_any_byte_level_tokenizer_will_do(small_backend):
    tokenizer = Tokenizer(type(small_backend).from_str(small_backend.to_str()))
    conversation = [ask_message([SMALL_PICTURE], "the total? <image>"), assistant("42")]
    prompt = Renderer(tokenizer, BASE).render(conversation, for_generation=False)
    assert spelled(tokenizer, prompt) == (
        "<｜begin▁of▁sentence｜><|User|>: <image>\nthe total? <image>\n\n<|Assistant|>:42<｜end▁of▁sentence｜>"
    )
    assert prompt.input_ids.count(tokenizer.special.image) == 421
