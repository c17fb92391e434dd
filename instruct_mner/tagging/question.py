"""Questions to an engine about posts, and the predictions that its answers make, as a manifest prescribes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from instruct_mner.answers import codec
from instruct_mner.answers.occurrences import rest_of_answer
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.engine import Completion, Engine, FromText, Request
from instruct_mner.errors import ConfigError
from instruct_mner.models.manifest import Manifest
from instruct_mner.models.tuned import UNKNOWN_FAMILY
from instruct_mner.prompting.conversation import Message, PromptWriter
from instruct_mner.prompting.templates import Prompt, Shot
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.tagging.decoding import DecodingInput, read_prediction

if TYPE_CHECKING:
    from PIL.Image import Image

Labels = LabelSet | Sequence[str] | Mapping[str, str | None]

NO_LABELS = (
    "this model was not tuned, so it does not know which types to look for: give labels (--labels PER,LOC, or a YAML "
    "file of NAME: definition)"
)
NO_LABELS_AT_ENDPOINT = (
    "which types the model behind the endpoint looks for is not known: give labels (--labels PER,LOC, or a YAML file "
    "of NAME: definition) if it was not tuned, or --adapter DIR (Python: adapter=…) if the endpoint serves an adapter"
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """Question about one post, with all that is needed to read the answer.

    Attributes:
        example: Post, with a name for each picture that the model sees.
        images: Pictures of the post that the model sees.
        text: Text of the post as the model reads it.
        spec: Form of the answer on this post.
        request: Request to the engine.
    """

    example: Example
    images: tuple[Image, ...]
    text: str
    spec: AnswerSpec
    request: Request


def max_answer_tokens(spec: AnswerSpec, text: str, count_tokens: Callable[[str], int]) -> int:
    """Return the number of tokens at which an answer is cut.

    It is the cap of entities, each with label, separators and box, and the text twice. Mentions do not overlap, so
    that all of them together are hardly longer than the text; a model that repeats itself is cut, and the cut is
    counted as malformed.

    Args:
        spec: Form of the answer.
        text: Text of the post as the model reads it.
        count_tokens: Function that gives the number of tokens of a text.
    """
    written = codec.in_format(spec)
    frame = max(count_tokens(written.frame(name)) for name in spec.labels.names)
    return spec.capacity(text) * frame + 2 * count_tokens(written.spelled(text)) + 8


def checked_labels(spec: AnswerSpec, special_tokens: Sequence[str]) -> AnswerSpec:
    """Return the form of the answer, unless a label or definition holds a special token of the model.

    Raises:
        ConfigError: One does; it would end the turn or count as a picture.
    """
    for label in spec.labels.each():
        for token in special_tokens:
            if token in label.name:
                raise ConfigError(f"label '{label.name}' holds {token!r}, a special token of this model; rename it")
            if token in (label.definition or ""):
                raise ConfigError(
                    f"the definition of label '{label.name}' holds {token!r}, a special token of this model; write it "
                    "in other words"
                )
    return spec


@dataclass(frozen=True, kw_only=True)
class QuestionBuilder:
    """Builder of the questions about posts, and reader of the answers.

    Attributes:
        engine: Engine whose special tokens are neutralised, and whose tokens are counted; it is not run here.
        manifest: Settings of the tuning: answer format, labels, number of pictures, calibration.
        prompt: Template that the manifest names.
        constrained: Whether only answers that are legal on the post are allowed.
        generated: Whether posts are asked about without their pictures, of an engine that generates others.
    """

    engine: Engine
    manifest: Manifest
    prompt: Prompt
    constrained: bool = True
    generated: bool = False

    @property
    def labels(self) -> LabelSet | None:
        """Label set that the model was tuned for; ``None`` for a base model."""
        return None if self.manifest.tuning == "none" else self.manifest.answer.labels

    def answer_spec(self, labels: Labels | None = None) -> AnswerSpec:
        """Return the form of answers with these labels, or with those of the tuning.

        A label of the tuning that is given without a definition keeps the one that the model was tuned with.

        Raises:
            ConfigError: There are no labels, or one cannot be used.
        """
        if labels is None and self.labels is None:
            raise ConfigError(NO_LABELS_AT_ENDPOINT if self.manifest.family == UNKNOWN_FAMILY else NO_LABELS)
        chosen = labels if isinstance(labels, LabelSet) or labels is None else LabelSet.of(labels)
        if chosen is not None and self.labels is not None:
            chosen = chosen.defined_as_in(self.labels)
        return checked_labels(self.manifest.answer.with_labels(chosen), self.engine.special_tokens())

    def question(
        self, example: Example, images: tuple[Image, ...], spec: AnswerSpec, examples: Sequence[Shot] = ()
    ) -> Question:
        """Return the question about one post.

        Args:
            example: Post.
            images: Pictures of the post, at most ``manifest.max_images``.
            spec: Form of answers, of :meth:`answer_spec`.
            examples: Few-shot examples.
        """
        example = example.naming(len(images))
        text = self._writer.text(example)
        own = spec.for_pictures([self.engine.resized(each.size) for each in images])
        request = self._request(self._writer.messages(example, len(images), spec, examples), text, images, own)
        if self.generated:
            request = replace(request, from_text=self._from_text(example, text, spec, examples))
        return Question(example=example, images=images, text=text, spec=own, request=request)

    def text_begins(self, question: Question) -> int | None:
        """Return the first character of the post's text in the last part of the request's chat, if it is there."""
        return self._writer.text_begins(question.example, len(question.images))

    def read(self, question: Question, completion: Completion) -> Prediction:
        """Return the prediction that the answer to a question makes."""
        decoding = DecodingInput(
            text=question.text,
            completion=completion,
            spec=question.spec,
            manifest=self.manifest,
            resized=self.engine.resized,
        )
        return read_prediction(question.example, question.images, decoding)

    @cached_property
    def _writer(self) -> PromptWriter:
        return PromptWriter(
            prompt=self.prompt,
            special_tokens=self.engine.special_tokens(),
            several_pictures=self.manifest.max_images > 1,
            # To a picture that is generated from the text, no context is added.
            context=self.manifest.context and not self.generated,
        )

    def _from_text(self, example: Example, text: str, spec: AnswerSpec, examples: Sequence[Shot]) -> FromText:
        """Return the same question with a place for a picture."""
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
            rest=rest_of_answer(spec, text, len(images)) if self.constrained else None,
        )
