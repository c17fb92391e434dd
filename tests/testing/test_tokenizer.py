"""The tokenizer of tiny models: no text is unknown, and special tokens are whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from instruct_mner.testing.tokenizer import Vocabulary, train_tokenizer

WORDS = Vocabulary(
    special_tokens=("<pad>", "<end>", "<image>"),
    end_of_turn="<end>",
    chat_template="",
    named={"image_token": "<image>"},
    added=("<think>",),
)
TEXTS = ["Jordan dunks in Chicago 2024", "Jordan in 2024"] * 4


def trained(size: int = 300, *, digits: bool = False) -> PreTrainedTokenizerFast:
    return train_tokenizer(WORDS, TEXTS, size, digits=digits)


TOKENIZER = trained()


@given(st.text())
def test_every_text_comes_back(text: str) -> None:
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert TOKENIZER.decode(ids) == text


def test_words_of_the_texts_are_merged_and_the_size_is_kept() -> None:
    # Three special tokens and 256 bytes leave no room for a merge at 259.
    assert len(trained(259)) == 259 + len(WORDS.added)
    assert len(trained(259).tokenize("Jordan")) == 6
    assert len(TOKENIZER) <= 300 + len(WORDS.added)
    assert TOKENIZER.tokenize("Jordan") == ["Jordan"]


def test_special_tokens_are_whole_and_have_their_names() -> None:
    assert TOKENIZER.tokenize("a<image>b<end>") == ["a", "<image>", "b", "<end>"]
    assert (TOKENIZER.pad_token, TOKENIZER.eos_token, TOKENIZER.image_token) == ("<pad>", "<end>", "<image>")
    assert set(WORDS.special_tokens) <= set(TOKENIZER.all_special_tokens)


def test_added_tokens_are_whole_but_not_special() -> None:
    assert TOKENIZER.tokenize("a<think>b") == ["a", "<think>", "b"]
    assert "<think>" not in TOKENIZER.all_special_tokens
    ids = TOKENIZER("a<think><end>", add_special_tokens=False)["input_ids"]
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == "a<think>"


def test_digits_are_tokens_of_their_own_where_it_is_wanted() -> None:
    assert trained(digits=True).tokenize("2024") == ["2", "0", "2", "4"]
    assert len(trained().tokenize("2024")) < 4
