"""A small run of the gate ``long-posts``: the grammars on real vocabularies and posts of up to 5,000 words."""

from __future__ import annotations

import pytest

from eval.gates import lengths
from eval.gates.common import SkippedGateError, seeded
from eval.gates.vocabularies import tekken
from eval.gates.walks import Vocabulary


@pytest.fixture(scope="module")
def vocabularies() -> dict[str, Vocabulary]:
    """Only the larger of the gate's two: it uses up more of the lexer's budgets, and is ready in a second."""
    try:
        return {"tekken": Vocabulary.of(tekken())}
    except SkippedGateError as error:
        pytest.skip(str(error))


def test_no_answer_on_posts_of_20_to_5000_words_is_cut_empty_or_illegal(vocabularies: dict[str, Vocabulary]) -> None:
    result = lengths.measure(100, 8, num_a_post=10, vocabularies=vocabularies)
    assert result.passed, result.value["first wrong"]
    assert result.value["completions"] >= 100
    assert result.value["entities"] > 0


@pytest.mark.parametrize("num_words", lengths.WORDS)
def test_long_texts_have_the_words_asked_for(num_words: int) -> None:
    assert len(lengths.long_text(seeded(1), num_words).split()) >= num_words
