"""Gate of the grammar: every completion that it allows parses without rejections."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer

from eval.gates.common import Result, seeded
from eval.gates.posts import ADVERSARIAL, random_spec, real_texts, shown_texts, what_is_wrong
from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.tagging.windows import most_characters

_WALKS = 40_000
"""Number of walks; about half of them name an entity."""
_WALKS_A_POST = 10
_LONGEST = 300
"""Number of tokens after which a walk ends as soon as it can."""
_ENDING = 0.12
"""Probability of ending a line or the answer before."""
_END = "<|endoftext|>"


@dataclass(frozen=True)
class Vocabulary:
    """Tokenizer with a mask of the tokens that bring an answer nearer to its end."""

    tokenizer: Any
    closing: np.ndarray

    @classmethod
    def of(cls, tokenizer: Any) -> Vocabulary:
        """Return the vocabulary of a tokenizer of llguidance."""
        pieces = [tokenizer.decode_bytes([token]) for token in range(tokenizer.vocab_size)]
        closing = np.array([piece.startswith((b"\n", b" [", b"[", b"]", b'"', b"}")) for piece in pieces])
        closing[tokenizer.eos_token] = True
        return cls(tokenizer, closing)


def grammar_walks() -> Result:
    """Take 40,000 random walks on adversarial and real posts: all end and parse; malformed, hallucinated 0."""
    vocabularies = [Vocabulary.of(LLTokenizer("byte")), Vocabulary.of(_subword_tokenizer())]
    generator, numbers = seeded(43), np.random.default_rng(43)
    texts = shown_texts()
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for round_ in range(_WALKS // _WALKS_A_POST):
        # Every other round an adversarial post, which stand first.
        text = generator.choice(texts[: len(ADVERSARIAL)] if round_ % 2 else texts)
        spec, num_images = random_spec(generator), generator.randint(0, 3)
        # Longer texts are asked about in windows.
        text = text[: most_characters(spec, text)].rstrip()
        vocabulary = vocabularies[round_ // 2 % 2]
        matcher = LLMatcher(vocabulary.tokenizer, codec.grammar(spec, text, num_images), log_level=0)
        for _ in range(_WALKS_A_POST):
            matcher.reset()
            completion, problem = walk(matcher, vocabulary, numbers)
            reason = problem or examine(spec, text, completion, num_images, counts)
            counts["walks"] += 1
            if reason:
                wrong.append(f"{reason}: {completion[:200]!r} on {text[:100]!r} with {spec}")
    value = {
        "real posts among the texts": len(real_texts()),
        **counts,
        "wrong": len(wrong),
        "first wrong": wrong[:3],
    }
    passed = not wrong and counts["walks"] == _WALKS and not counts["malformed"] and not counts["hallucinated"]
    return Result(
        value=value,
        bound="all parse; malformed 0, hallucinated 0; at least 20,000 walks that name something",
        passed=passed,
    )


def walk(matcher: Any, vocabulary: Vocabulary, numbers: np.random.Generator) -> tuple[str, str | None]:
    """Return one completion, each token drawn evenly from those allowed, and any problem with it."""
    tokens: list[int] = []
    while not matcher.is_stopped():
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.flatnonzero(np.unpackbits(bits, bitorder="little", count=len(vocabulary.closing)))
        if not len(allowed):
            return "", f"a dead end ({matcher.get_error()})"
        closing = allowed[vocabulary.closing[allowed]]
        if len(closing) and (len(tokens) > _LONGEST or numbers.random() < _ENDING):
            allowed = closing
        token = int(allowed[numbers.integers(len(allowed))])
        if token == vocabulary.tokenizer.eos_token:
            break
        tokens.append(token)
        if not matcher.consume_token(token):
            break
    if matcher.is_error():
        return "", f"the grammar failed: {matcher.get_error()}"
    try:
        return vocabulary.tokenizer.decode_bytes(tokens).decode("utf-8"), None
    except UnicodeDecodeError:
        return "", "a character was cut"


def examine(spec: AnswerSpec, text: str, completion: str, num_images: int, counts: Counter[str]) -> str | None:
    """Parse a completion, add to the counts, and return its defect, if any."""
    answer = codec.parse(spec, text, completion, num_images)
    rejected = answer.rejected
    counts.update(rejected.model_dump())
    counts["entities"] += len(answer.entities)
    counts["none"] += not answer.entities and not rejected.total
    counts["boxes"] += sum(entity.box is not None for entity in answer.entities)
    if rejected.malformed or rejected.hallucinated:
        return f"rejected {rejected}"
    # Answers that copy the post end with it, whatever they hold.
    if spec.format != "inline" and len(answer.entities) + rejected.unplaceable > spec.capacity(text):
        return "more entities than the cap"
    if not completion.startswith(spec.prefix):
        return "without its prefix"
    return what_is_wrong(spec, text, completion, num_images, answer)


def _subword_tokenizer() -> Any:
    """Return a tokenizer whose tokens cross the borders of words and lines, which real ones seldom do."""
    from llguidance.hf import from_tokenizer
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=3000, special_tokens=[_END], initial_alphabet=alphabet, show_progress=False
    )
    # Cut, because without words training is quadratic in the length of a text.
    lines = [f"PER: {text[:80]} [12, 40, 500, 1000]\nLOC: {text[-40:]} []\nnone" for text in shown_texts()]
    tokenizer.train_from_iterator(lines, trainer)
    return from_tokenizer(PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=_END))
