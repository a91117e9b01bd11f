"""Plain text never becomes a special token; every text survives the way there and back."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from vl2.processing.tokenizer import SPECIAL_STRINGS, StreamDecoder, Tokenizer, TokenizerError

ADDED_BY_OTHERS = [
    "<think>", "</think>", "<｜User｜>", "<｜Assistant｜>", "<|EOT|>", "<｜fim▁hole｜>", "<｜place▁holder▁no▁0｜>",
    "<｜place▁holder▁no▁797｜>", "<｜tool▁calls▁begin｜>", "<｜tool▁sep｜>",
]  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def added_ids(tokenizer: Tokenizer) -> set[int]:
    return set(tokenizer._backend.get_added_tokens_decoder())


def test_special_ids_are_the_published_ones(tokenizer):
    assert tokenizer.special.__dict__ == {
        "bos": 0, "eos": 1, "pad": 2, "image": 128815, "ref": 128816, "ref_end": 128817, "det": 128818,
        "det_end": 128819, "grounding": 128820, "user": 128821, "assistant": 128822,
    }  # fmt: skip
    assert tokenizer.vocab_size == 128823


@pytest.mark.parametrize("spelled", [*SPECIAL_STRINGS.values(), *ADDED_BY_OTHERS])
@settings(max_examples=15, deadline=None)
@given(before=TEXT, after=TEXT)
def test_no_text_becomes_an_added_token(tokenizer, spelled, before, after):
    text = before + spelled + after
    ids = tokenizer.encode(text)
    assert not added_ids(tokenizer) & set(ids)
    assert tokenizer.decode(ids) == text


def test_every_added_token_is_ordinary_text_when_spelled(tokenizer):
    added = tokenizer._backend.get_added_tokens_decoder()
    assert len(added) > 800
    spelled = "".join(token.content for token in added.values())
    ids = tokenizer.encode(spelled)
    assert not added.keys() & set(ids)
    assert tokenizer.decode(ids) == spelled


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["<", "|", "｜", ">", "image", "/ref", "User", "▁", " ", "\n"]), max_size=12))
def test_pieces_of_tags_do_not_join_to_special_tokens(tokenizer, pieces):
    text = "".join(pieces)
    ids = tokenizer.encode(text)
    assert not added_ids(tokenizer) & set(ids)
    assert tokenizer.decode(ids) == text


def test_lone_surrogates_do_not_crash(tokenizer):
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a?b"


def test_answers_keep_the_tags_of_phrases_and_boxes_only(tokenizer):
    special = tokenizer.special
    ids = [special.bos, special.ref, *tokenizer.encode("cat"), special.ref_end, special.image, special.eos, 129000]
    assert tokenizer.decode(ids) == "<|ref|>cat<|/ref|>"
    everything = "<｜begin▁of▁sentence｜><|ref|>cat<|/ref|><image><｜end▁of▁sentence｜>"
    assert tokenizer.decode(ids, skip_special=False) == everything


@settings(max_examples=50, deadline=None)
@given(TEXT)
def test_stream_gives_whole_characters_and_all_of_them(tokenizer, text):
    text += "é漢🦓"
    decoder = StreamDecoder(tokenizer)
    pieces = [decoder.push(i) for i in tokenizer.encode(text)]
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces) or "\N{REPLACEMENT CHARACTER}" in text
    assert "".join(pieces) + decoder.flush() == text


def test_stream_recovers_after_bytes_that_are_no_text(small_backend):
    tokenizer = Tokenizer(Backend.from_str(small_backend.to_str()))
    e_acute = tokenizer.encode("é")
    assert len(e_acute) == 2
    decoder = StreamDecoder(tokenizer)
    pieces = [decoder.push(i) for i in [e_acute[1], e_acute[0], e_acute[1], e_acute[0]]]
    assert pieces == ["\N{REPLACEMENT CHARACTER}", "", "é", ""]
    assert decoder.flush() == "\N{REPLACEMENT CHARACTER}"


def test_missing_special_tokens_are_added_in_the_published_order(small_backend):
    tokenizer = Tokenizer(Backend.from_str(small_backend.to_str()))
    first = small_backend.get_vocab_size()
    assert list(tokenizer.special.__dict__.values()) == list(range(first, first + len(SPECIAL_STRINGS)))
    text = "the fox <image> 42 漢字🦓"
    assert max(tokenizer.encode(text)) < first
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_present_special_tokens_keep_their_ids(small_backend):
    backend = Backend.from_str(small_backend.to_str())
    backend.add_special_tokens([AddedToken("<|det|>", special=True)])
    first = small_backend.get_vocab_size()
    special = Tokenizer(backend).special
    assert (special.det, special.bos) == (first, first + 1)


def test_special_string_in_the_vocabulary_of_whole_words(small_backend):
    """A vocabulary that takes whole words without merges must not take "<image>" from text."""
    definition = json.loads(small_backend.to_str())
    definition["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                                   "use_regex": False}  # fmt: skip
    definition["model"]["ignore_merges"] = True
    definition["model"]["vocab"]["<image>"] = len(definition["model"]["vocab"])
    tokenizer = Tokenizer(Backend.from_str(json.dumps(definition)))
    assert tokenizer.special.image == definition["model"]["vocab"]["<image>"]
    assert tokenizer.special.image not in tokenizer.encode("<image>")
    assert tokenizer.decode(tokenizer.encode("<image>")) == "<image>"


def test_truncation_settings_of_the_file_do_not_cut_text(small_backend):
    backend = Backend.from_str(small_backend.to_str())
    backend.enable_truncation(3)
    backend.enable_padding(length=50)
    tokenizer = Tokenizer(backend)
    assert tokenizer.decode(tokenizer.encode("the quick brown fox")) == "the quick brown fox"


def test_saved_tokenizer_reads_back_identical(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tokenizer.json", "tokenizer_config.json"]
    again = Tokenizer.from_file(tmp_path / "tokenizer.json")
    text = "What is 1234567 + 89? <image> 请识别图片"
    assert again.special == tokenizer.special
    assert again.encode(text) == tokenizer.encode(text)


def test_saved_tokenizer_config_is_in_published_form(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["tokenizer_class"] == "LlamaTokenizer"
    assert (config["bos_token"], config["add_bos_token"], config["unk_token"]) == (
        "<｜begin▁of▁sentence｜>",
        True,
        None,
    )
    assert config["added_tokens_decoder"]["128815"] == {
        "content": "<image>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
        "special": True,
    }  # fmt: skip


def test_unreadable_files_are_named(tmp_path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(TokenizerError, match=r"tokenizer\.json"):
        Tokenizer.from_file(path)
    path.write_text('{"model": 3}')
    with pytest.raises(TokenizerError, match=r"tokenizer\.json: not a readable"):
        Tokenizer.from_file(path)


def test_other_kinds_of_tokenizers_are_refused(small_backend, tmp_path):
    definition = json.loads(small_backend.to_str())
    definition["pre_tokenizer"] = {"type": "Whitespace"}
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(definition))
    with pytest.raises(TokenizerError, match=r"tokenizer\.json: not a byte-level BPE"):
        Tokenizer.from_file(path)
    definition = json.loads(small_backend.to_str())
    definition["model"]["vocab"]["漢"] = len(definition["model"]["vocab"])
    path.write_text(json.dumps(definition))
    with pytest.raises(TokenizerError, match="漢"):
        Tokenizer.from_file(path)
