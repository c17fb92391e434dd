"""Gate of long posts: grammars hold on posts of 20 to 5,000 words with the vocabularies of real models."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from llguidance import LLMatcher

from eval.gates.common import Result, seeded
from eval.gates.posts import ADVERSARIAL, SPECIAL_TOKENS, random_spec, real_texts
from eval.gates.vocabularies import REAL
from eval.gates.walks import Vocabulary, examine, walk
from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.constraint import constrained, guide_of
from instruct_mner.engines.engine import Request
from instruct_mner.engines.grammar_check import grammar_state
from instruct_mner.engines.partial_answers import PartialAnswer
from instruct_mner.prompting.templates import shown_text
from instruct_mner.quickstart.example_posts import dozen
from instruct_mner.tagging.windows import most_characters

WORDS = (20, 250, 1000, 5000)
_COMPLETIONS = 10_000
_BY_PROCESSOR = 400
_A_POST = 25
# Longer texts are cut into windows for inline answers.
_MOST_INLINE_WORDS = 250
_BATCH = 4
_LONGEST, _ENDING = 300, 0.12


@dataclass
class _Times:
    """Times of compiling and of masks in seconds, by vocabulary, format and number of words."""

    compiling: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    masks: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def report(self) -> dict[str, dict[str, float]]:
        """Return medians and maxima in milliseconds."""
        return {
            key: {
                "compile, median": _ms(np.median(self.compiling[key])),
                "mask, median": _ms(np.median(masks)),
                "mask, mean": _ms(np.mean(masks)),
                "mask, most": _ms(max(masks)),
            }
            for key, masks in sorted(self.masks.items())
        }


@dataclass
class _TimedMatcher:
    """Matcher that measures its masks."""

    matcher: Any
    masks: list[float]

    def compute_bitmask(self) -> bytes:
        begin = time.perf_counter()
        bits = self.matcher.compute_bitmask()
        self.masks.append(time.perf_counter() - begin)
        return bits

    def __getattr__(self, name: str) -> Any:
        return getattr(self.matcher, name)


def long_posts() -> Result:
    """10,000 answers on posts of 20 to 5,000 words, two real vocabularies: none is cut, empty or illegal."""
    return measure(_COMPLETIONS, _BY_PROCESSOR)


def measure(
    num_completions: int,
    num_by_processor: int,
    *,
    num_a_post: int = _A_POST,
    vocabularies: Mapping[str, Vocabulary] | None = None,
) -> Result:
    """Draw completions at random, and count those that are cut, empty or illegal.

    Most are drawn from matchers of llguidance, which is what vLLM does; the others from the logits processor of the
    engine ``transformers``, in batches of posts of different lengths.

    Args:
        num_completions: Number of completions.
        num_by_processor: Number of them from the logits processor.
        num_a_post: Number of completions of each post from a matcher.
        vocabularies: Vocabularies by name; without them, all of ``REAL``.
    """
    vocabularies = vocabularies or {name: Vocabulary.of(make()) for name, make in REAL.items()}
    generator, numbers = seeded(47), np.random.default_rng(47)
    counts: Counter[str] = Counter(cut=0, empty=0, illegal=0)
    times, wrong = _Times(), []
    rounds = _rounds(vocabularies, generator)
    while counts["completions"] < num_completions - num_by_processor:
        wrong += _walks(next(rounds), num_a_post, numbers, counts, times)
    while counts["completions"] < num_completions:
        batch = [next(rounds)]
        while len(batch) < _BATCH:
            following = next(rounds)
            batch += [following] if following.vocabulary is batch[0].vocabulary else []
        wrong += _batch(batch, numbers, counts)
    value = {**counts, "first wrong": wrong[:5], "milliseconds": times.report()}
    passed = not wrong and not counts["cut"] + counts["empty"] + counts["illegal"]
    return Result(value=value, bound="cut 0, empty 0, illegal 0", passed=passed)


@dataclass(frozen=True)
class _Post:
    """Post, the form of its answer, and the vocabulary that it is written in."""

    name: str
    vocabulary: Vocabulary
    num_words: int
    text: str
    spec: AnswerSpec
    num_images: int

    @property
    def key(self) -> str:
        kind = self.spec.format + (", grounded" if self.spec.grounded else "")
        return f"{self.name}: {kind}, {self.num_words} words"


def _rounds(vocabularies: Mapping[str, Vocabulary], generator: random.Random) -> Iterator[_Post]:
    """Yield posts of all lengths in turn, in both vocabularies."""
    while True:
        for num_words in WORDS:
            for name, vocabulary in vocabularies.items():
                text, spec = long_question(generator, num_words)
                yield _Post(name, vocabulary, num_words, text, spec, generator.randint(0, 3))


def long_question(generator: random.Random, num_words: int) -> tuple[str, AnswerSpec]:
    """Return a text of so many words, cut as a model is asked about it, and the form of the answer."""
    text = long_text(generator, num_words)
    spec = random_spec(generator).model_copy(update={"segmentation": "words"})
    if spec.format == "inline" and num_words > _MOST_INLINE_WORDS:
        spec = spec.model_copy(update={"format": generator.choice(["lines", "json"])})
    # Further words are in another window.
    return text[: most_characters(spec, text)].rstrip(), spec


def long_text(generator: random.Random, num_words: int) -> str:
    """Return a text of so many words: posts, one after the other, some of which try to break an answer."""
    posts = (*(example.text for example in dozen()), *real_texts())
    hard = [text for text in ADVERSARIAL if 0 < len(text) < 400]
    words: list[str] = []
    while len(words) < num_words:
        words += (generator.choice(hard) if generator.random() < 0.1 else generator.choice(posts)).split()
    return shown_text(" ".join(words[:num_words]), SPECIAL_TOKENS)


def _walks(
    post: _Post, num_completions: int, numbers: np.random.Generator, counts: Counter[str], times: _Times
) -> list[str]:
    grammar = codec.grammar(post.spec, post.text, post.num_images)
    begin = time.perf_counter()
    matcher = LLMatcher(post.vocabulary.tokenizer, grammar, log_level=0)
    times.compiling[post.key].append(time.perf_counter() - begin)
    wrong = []
    if post.spec.format == "inline" and post.num_words > WORDS[0]:
        num_completions = max(1, num_completions // 5)  # Each of them is as long as the post.
    for _ in range(num_completions):
        matcher.reset()
        timed = _TimedMatcher(matcher, times.masks[post.key])
        completion, problem = walk(timed, post.vocabulary, numbers)
        wrong += _judge(post, completion, problem, counts)
    return wrong


def _judge(post: _Post, completion: str, problem: str | None, counts: Counter[str]) -> list[str]:
    """Count a completion, and return its defect, if any."""
    counts["completions"] += 1
    if problem is None and not completion.strip():
        counts["empty"] += 1
        problem = "empty"
    elif problem is not None:
        counts["cut"] += 1
    else:
        problem = examine(post.spec, post.text, completion, post.num_images, counts)
        counts["illegal"] += problem is not None
    return [] if problem is None else [f"{problem}: {completion[:200]!r} with {post.key}"]


def _batch(posts: Sequence[_Post], numbers: np.random.Generator, counts: Counter[str]) -> list[str]:
    """Draw an answer on each post as the engine ``transformers`` does: from masked scores, in one batch."""
    vocabulary = posts[0].vocabulary
    end = int(vocabulary.tokenizer.eos_token)
    grammars = [codec.grammar(post.spec, post.text, post.num_images) for post in posts]
    requests = [Request([], grammar=grammar, max_tokens=4000) for grammar in grammars]
    answers = [PartialAnswer(request=each, guide=guide_of(vocabulary.tokenizer, each)) for each in requests]
    closing = torch.from_numpy(vocabulary.closing)
    num_steps = 0
    while going_on := [answer for answer in answers if not answer.finished]:
        num_steps += 1
        scores = torch.from_numpy(numbers.random((len(going_on), len(closing)), dtype=np.float32))
        hurried = num_steps > _LONGEST or numbers.random() < _ENDING
        masked = constrained(scores + (closing if hurried else 0), [answer.guide for answer in going_on], [end])
        for answer, token in zip(going_on, masked.argmax(dim=-1).tolist(), strict=True):
            answer.write(token, 0.0, [end])
    wrong = []
    for post, grammar, answer in zip(posts, grammars, answers, strict=True):
        completion = vocabulary.tokenizer.decode_bytes(answer.tokens).decode("utf-8", errors="replace")
        problem = "the grammar failed" if answer.failed else None if answer.ended else "no end"
        if problem is None and grammar_state(grammar, completion) != "whole":
            problem = "ended before its end"
        wrong += _judge(post, completion, problem, counts)
    return wrong


def _ms(seconds: Any) -> float:
    return round(1000 * float(seconds), 2)
