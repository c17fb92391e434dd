"""The grammars admit what the plainest form of them admits: a whole line in one terminal, conditions as intersections.

That form is easy to check by eye, but uses up the budget of llguidance's lexer on long posts.
"""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.schema.labels import LabelSet

BYTES = LLTokenizer("byte")
TEXTS = st.one_of(
    st.text(alphabet="abA1#:,.[]'\"\\é日😀٣½\u0301 \u00a0\n-", min_size=1, max_size=25),
    st.lists(st.sampled_from(["Bob", "[1,", "[1, 2, 3, 4]", "[]", "[", "A:", ": b", ":", "none", "PER:"]), min_size=1)
    .map(" ".join),
)  # fmt: skip
LABELS = (LabelSet.of(["PER", "LOC"]), LabelSet.of(["none", "A:", "x::", "A", "[1, 2]", 'a "b"']))
INTERSECTED = r"MENTION: SUBSTRING & /\S([^\n]*\S)?/ & /[^\n]*[\p{L}\p{N}][^\n]*/"


def plain_grammar(spec: AnswerSpec, text: str, num_images: int) -> str:
    """The grammar with intersections, and for lines with one terminal a line."""
    grammar = re.sub(r"^MENTION: .*$", lambda _: INTERSECTED, codec.grammar(spec, text, num_images), flags=re.M)
    if spec.format == "json":
        return grammar
    return grammar.replace("entity: LABEL", "ENTITY: LABEL").replace("entity", "ENTITY")


def same_walks(spec: AnswerSpec, text: str, num_images: int, generator: random.Random) -> None:
    plain = LLMatcher(BYTES, plain_grammar(spec, text, num_images), log_level=0)
    ours = LLMatcher(BYTES, codec.grammar(spec, text, num_images), log_level=0)
    written: list[int] = []
    for _ in range(120):
        bits = plain.compute_bitmask()
        assert ours.compute_bitmask() == bits, bytes(written)
        assert ours.is_accepting() == plain.is_accepting(), bytes(written)
        assert not plain.is_error()
        allowed = np.flatnonzero(np.unpackbits(np.frombuffer(bits, dtype=np.uint8), bitorder="little"))
        further = [int(byte) for byte in allowed if byte < 256]
        if plain.is_stopped() or not further:
            return
        written.append(generator.choice(further))
        assert plain.consume_token(written[-1])
        assert ours.consume_token(written[-1])


@pytest.mark.parametrize("form", ["lines", "json"])
@settings(deadline=None, max_examples=150)
@given(
    text=TEXTS,
    labels=st.sampled_from(LABELS),
    grounded=st.booleans(),
    num_images=st.integers(0, 2),
    seed=st.integers(0, 1000),
)
def test_same_next_bytes_as_the_plain_grammar(
    form: str, text: str, labels: LabelSet, grounded: bool, num_images: int, seed: int
) -> None:
    spec = AnswerSpec(labels=labels, format=form, grounded=grounded, box_range=12)
    generator = random.Random(seed)
    for _ in range(2):
        same_walks(spec, text, num_images, generator)
