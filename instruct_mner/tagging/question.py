"""How a model is asked: as its manifest says where it was tuned, else for JSON, with or without examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.engine import Engine, FromText, Request
from instruct_mner.errors import ConfigError
from instruct_mner.models.manifest import Manifest
from instruct_mner.prompting.conversation import Message, PromptWriter
from instruct_mner.prompting.templates import Prompt, Shot
from instruct_mner.schema.records import Example

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Question:
    """What an engine is asked on one post, with all that is needed to read the answer.

    Attributes:
        example: The post.
        images: The pictures that the model is shown.
        text: The text as the model is shown it.
        spec: What it is asked for on this post.
        request: The question itself.
    """

    example: Example
    images: tuple[Image, ...]
    text: str
    spec: AnswerSpec
    request: Request


def max_answer_tokens(spec: AnswerSpec, text: str, count_tokens: Callable[[str], int]) -> int:
    """Where an answer is cut: the cap of entities, each with label, separators and box, and the text twice.

    Mentions do not overlap, so that all of them together are hardly longer than the text; a model that repeats
    itself is cut, and the cut is counted as malformed.
    """
    written = codec.in_format(spec)
    frame = max(count_tokens(written.frame(name)) for name in spec.labels.names)
    return spec.capacity(text) * frame + 2 * count_tokens(written.spelled(text)) + 8


def checked_labels(spec: AnswerSpec, special_tokens: Sequence[str]) -> AnswerSpec:
    """The spec, unless a label or definition holds a special token of the model.

    Raises:
        ConfigError: One does; it would end the turn or count as a picture.
    """
    for label in spec.labels.each():
        for token in special_tokens:
            if token in label.name or token in (label.definition or ""):
                raise ConfigError(f"label '{label.name}' holds {token!r}, a special token of this model; rename it")
    return spec


@dataclass(frozen=True)
class Asker:
    """Makes the questions of a tagger.

    Attributes:
        engine: What is asked; its special tokens are neutralised, and its tokens counted.
        manifest: How to ask.
        prompt: The template that the manifest speaks of.
        constrained: Whether only legal answers may be given.
        generated: Whether posts are shown without their pictures, to an engine that generates others.
    """

    engine: Engine
    manifest: Manifest
    prompt: Prompt
    constrained: bool = True
    generated: bool = False

    def question(
        self, example: Example, images: tuple[Image, ...], spec: AnswerSpec, examples: Sequence[Shot] = ()
    ) -> Question:
        """What the engine is asked on one post.

        Args:
            example: The post.
            images: Its pictures, at most ``manifest.max_images``.
            spec: Of :meth:`answer_spec`.
            examples: Posts with their answers, before this one.
        """
        text = self._writer.text(example)
        own = spec.for_pictures([self.engine.resized(each.size) for each in images])
        request = self._request(self._writer.messages(example, len(images), spec, examples), text, images, own)
        if self.generated:
            request = replace(request, from_text=self._from_text(example, text, spec, examples))
        return Question(example, images, text, own, request)

    def conversation(
        self, example: Example, num_images: int, spec: AnswerSpec, examples: Sequence[Shot] = ()
    ) -> tuple[list[Message], int | None]:
        """What is asked about a post, and where in its last part the text begins."""
        writer = self._writer
        return writer.messages(example, num_images, spec, examples), writer.text_begins(example, num_images)

    @property
    def _writer(self) -> PromptWriter:
        return PromptWriter(
            prompt=self.prompt,
            special_tokens=self.engine.special_tokens(),
            several_pictures=self.manifest.max_images > 1,
            # To a picture that is generated from the text, no context is added.
            context=self.manifest.context and not self.generated,
        )

    def _from_text(self, example: Example, text: str, spec: AnswerSpec, examples: Sequence[Shot]) -> FromText:
        """The same question with a place for a picture."""
        begin = self._writer.text_begins(example, 0)
        if begin is None:
            raise ConfigError(f"the prompt template does not show the text of post {example.id!r}")
        return FromText(self._writer.messages(example, 1, spec, examples), begin, begin + len(text))

    def _request(self, messages: list[Message], text: str, images: tuple[Image, ...], spec: AnswerSpec) -> Request:
        return Request(
            messages=messages,
            images=images,
            grammar=codec.grammar(spec, text, len(images)) if self.constrained else None,
            max_tokens=max_answer_tokens(spec, text, self.engine.count_tokens),
            schema=codec.json_schema(spec, len(images)) if self.constrained and spec.format == "json" else None,
        )
