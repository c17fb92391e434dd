"""Questions about one post: a single one, or one about each window of a text that does not fit."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.engine import Completion, Engine, Request
from instruct_mner.errors import ConfigError
from instruct_mner.prompting.templates import Shot
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.tagging.question import Question, QuestionBuilder
from instruct_mner.tagging.windows import Span, WindowSize, cut, joined, most_characters, window_of

if TYPE_CHECKING:
    from PIL.Image import Image

# No tokenizer makes more than one token of a byte: shorter texts are not what fills a context, unless the prompt with
# labels, examples, context and pictures may take half of it.
_NEVER_CUT_BYTES, _PROMPT_SHARE = 1000, 2
# The answer has at least this share of the context, where it could need as much; the post has at least that one.
_ANSWER_SHARE, _LEAST_TEXT_SHARE = 4, 16
# An answer that is the text, written out with brackets and labels, has so many times its tokens.
_COPY_SHARE = 1.5
# Pieces of a text may have a few tokens less apart than together.
_SLACK_TOKENS = 16


@dataclass(frozen=True, kw_only=True)
class PostQuestions:
    """Questions about one post.

    Attributes:
        example: Post.
        spans: Windows of its text, as first and last (exclusive) characters; empty for a single question.
        questions: A question for each window, or the single one.
    """

    example: Example
    spans: tuple[Span, ...]
    questions: tuple[Question, ...]

    def read(self, builder: QuestionBuilder, completions: Sequence[Completion]) -> Prediction:
        """Return the prediction of the whole post.

        Args:
            builder: Builder of the questions.
            completions: Answer to each question.
        """
        predictions = [builder.read(*each) for each in zip(self.questions, completions, strict=True)]
        return joined(self.example, self.spans, predictions) if self.spans else predictions[0]


def post_questions(
    builder: QuestionBuilder,
    example: Example,
    images: tuple[Image, ...],
    spec: AnswerSpec,
    examples: Sequence[Shot] = (),
) -> PostQuestions:
    """Return the questions about one post.

    Args:
        builder: Builder of the questions.
        example: Post.
        images: Pictures of the post, at most ``manifest.max_images``.
        spec: Form of answers.
        examples: Few-shot examples.

    Raises:
        ConfigError: The prompt leaves no room for the text.
    """
    question = builder.question(example, images, spec, examples)
    size = _window_size(builder.engine, question)
    if size is None:
        return PostQuestions(example=question.example, spans=(), questions=(question,))
    spans = cut(example.text, size, builder.engine.count_tokens)
    windows = [builder.question(window_of(example, span), images, spec, examples) for span in spans]
    fitting = tuple(with_fitting_answer(builder.engine, window) for window in windows)
    return PostQuestions(example=question.example, spans=tuple(spans), questions=fitting)


def _window_size(engine: Engine, question: Question) -> WindowSize | None:
    """Return the size of the windows of a text; ``None`` where it fits as a whole."""
    text, most = question.text, most_characters(question.spec, question.text)
    context = engine.context_size
    long_prompt = context is not None and _PROMPT_SHARE * _most_tokens(engine, question.request) > context
    if len(text.encode()) <= _NEVER_CUT_BYTES and not long_prompt:
        return None
    if context is None:
        return None if len(text) <= most else WindowSize(num_tokens=sys.maxsize, num_characters=most)
    num_prompt, num_text = engine.count_prompt(question.request), engine.count_tokens(text)
    is_copied = question.spec.format == "inline"
    least_answer = max(context // _ANSWER_SHARE, int(_COPY_SHARE * num_text) if is_copied else 0)
    if num_prompt + min(question.request.max_tokens, least_answer) <= context and len(text) <= most:
        return None
    around = num_prompt - num_text
    room = context - around - _SLACK_TOKENS
    room = min(room - context // _ANSWER_SHARE, int(room / (1 + _COPY_SHARE)) if is_copied else room)
    if room < context // _LEAST_TEXT_SHARE:
        raise ConfigError(
            f"post {question.example.id!r}: the prompt without the text takes {around} of the {context} tokens of the "
            "model's context, which leaves no room for the text; show fewer examples, smaller pictures or fewer labels"
        )
    return WindowSize(num_tokens=room, num_characters=most)


def _most_tokens(engine: Engine, request: Request) -> int:
    """Return the tokens that a prompt has at most: as many as its texts have bytes, and those of its pictures."""
    parts = (part for message in request.messages for part in message["content"])
    num_bytes = sum(len(part["text"].encode()) for part in parts if part["type"] == "text")
    return num_bytes + sum(engine.count_image_tokens([image.size for image in request.images]))


def with_fitting_answer(engine: Engine, question: Question) -> Question:
    """Return a question whose answer ends where the context does."""
    if engine.context_size is None:
        return question
    room = max(1, engine.context_size - engine.count_prompt(question.request))
    request = replace(question.request, max_tokens=min(question.request.max_tokens, room))
    return replace(question, request=request)
