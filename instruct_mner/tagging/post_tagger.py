"""Tagger of posts on any engine: questions as a manifest prescribes them, and the predictions that answers make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.data.dataset import own_pictures
from instruct_mner.engines.engine import Engine
from instruct_mner.engines.fallback import generate_with_fallback
from instruct_mner.errors import ConfigError
from instruct_mner.images import as_image
from instruct_mner.models.manifest import Manifest
from instruct_mner.models.tuned import with_segmentation
from instruct_mner.prompting.templates import Prompt
from instruct_mner.schema.choices import Segmentation
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example, Prediction, UnnamedExample
from instruct_mner.tagging.argument_values import items, shown
from instruct_mner.tagging.arguments import checked
from instruct_mner.tagging.examples import ExampleSelector, Post, SameExamples
from instruct_mner.tagging.hidden_pictures import warn_of_hidden
from instruct_mner.tagging.post_questions import post_questions
from instruct_mner.tagging.question import Labels, Question, QuestionBuilder
from instruct_mner.tagging.texts import WINDOW, TextTagger

if TYPE_CHECKING:
    from PIL.Image import Image

PicturePaths = Callable[[Example], Sequence[str | Path]]


class PostTagger(TextTagger):
    """Finder of entities: questions as a manifest prescribes them, and an engine that answers them.

    Args:
        engine: Engine that answers.
        manifest: Settings of the tuning: answer format, labels, number of pictures, calibration.
        prompt: Template that the manifest names.
        constrained: Whether only answers that are legal on the post are allowed.
        generated: Whether posts are asked about without their pictures, of an engine that generates others.
        selector: Selector of the few-shot examples; without it, prompts show none.
    """

    @checked
    def __init__(
        self,
        engine: Engine,
        manifest: Manifest,
        prompt: Prompt,
        *,
        constrained: bool = True,
        generated: bool = False,
        selector: ExampleSelector | None = None,
    ) -> None:
        self.engine = engine
        self.questions = QuestionBuilder(
            engine=engine, manifest=manifest, prompt=prompt, constrained=constrained, generated=generated
        )
        self._selector = selector or SameExamples((), ())

    @property
    def manifest(self) -> Manifest:
        """Settings of the tuning, or those of zero-shot tagging."""
        return self.questions.manifest

    @property
    def labels(self) -> LabelSet | None:
        """Label set that the model was tuned for; ``None`` for a base model."""
        return self.questions.labels

    def without_calibration(self) -> Self:
        """Return the same tagger with the confidences of the model itself, as they are before ``calibrate``."""
        return self._with_manifest(self.manifest.model_copy(update={"calibration": None}))

    @checked
    def with_segmentation(self, segmentation: Segmentation | None) -> Self:
        """Return the same tagger with another ``AnswerSpec.segmentation``; ``None`` leaves it."""
        return self._with_manifest(with_segmentation(self.manifest, segmentation))

    def _with_manifest(self, manifest: Manifest) -> Self:
        tagger = copy(self)
        tagger.questions = replace(self.questions, manifest=manifest)
        return tagger

    @checked
    def predict_entities(
        self,
        text: str,
        labels: Labels | None = None,
        image: str | Path | bytes | Image | None = None,
        *,
        threshold: float = 0.0,
    ) -> list[dict[str, Any]]:
        """Return the entities of one post in text order: start, end, text, label, score, and boxes if tuned for them.

        Args:
            text: Text of the post.
            labels: Names of labels, or names with definitions; needed for a model that was not tuned.
            image: Picture of the post: a file, its bytes, or an open picture.
            threshold: Confidence below which entities are left out.

        Raises:
            MnerError: There are no labels, or one of them or the picture cannot be used.
        """
        images = () if image is None else (as_image(image),)
        [prediction] = self.predict_opened([(UnnamedExample(id="post", text=text), images)], labels)
        return [entity.model_dump(exclude_none=True) for entity in prediction.above(threshold).entities]

    @checked
    def predict(
        self,
        examples: Iterable[Example],
        picture_paths: PicturePaths = own_pictures,
        labels: Labels | None = None,
        *,
        threshold: float = 0.0,
    ) -> Iterator[Prediction]:
        """Tag posts in their order, a window of them at a time; of pictures that are not shown, a warning tells.

        Args:
            examples: Posts; their gold entities, if any, are not used.
            picture_paths: Function that gives the files of a post's pictures; by default ``images`` names them.
            labels: Labels in place of those of the tuning.
            threshold: Confidence below which entities are left out.

        Raises:
            MnerError: There are no labels, one of them or a picture cannot be used, or ``picture_paths`` returns none.
        """
        spec = self.answer_spec(labels)
        remaining = iter(examples)
        while window := list(islice(remaining, WINDOW)):
            posts = [(example, self._pictures(picture_paths, example)) for example in window]
            yield from (prediction.above(threshold) for prediction in self._predict(posts, spec))

    @checked
    def predict_opened(self, posts: Sequence[Post], labels: Labels | None = None) -> list[Prediction]:
        """Tag posts whose pictures are open already, all at once; errors are those of :meth:`predict`."""
        most = self.manifest.max_images
        warn_of_hidden(self.manifest, max((len(images) for _, images in posts), default=0))
        return self._predict([(example, images[:most]) for example, images in posts], self.answer_spec(labels))

    @checked
    def answer_spec(self, labels: Labels | None = None) -> AnswerSpec:
        """Return the form of answers with these labels, or with those of the tuning.

        Raises:
            ConfigError: There are no labels, one cannot be used, or the few-shot examples have others.
        """
        spec = self.questions.answer_spec(labels)
        self._selector.check(spec)
        return spec

    @checked
    def questions_about(self, posts: Sequence[Post], spec: AnswerSpec) -> tuple[list[Question], list[int]]:
        """Return the question about each post, and the order in which they are best sent to the engine."""
        examples, order = self._selector.select(posts, spec)
        pairs = zip(posts, examples, strict=True)
        return [self.questions.question(*post, spec, shots) for post, shots in pairs], order

    def _pictures(self, paths: PicturePaths, example: Example) -> tuple[Image, ...]:
        warn_of_hidden(self.manifest, 0 if self.questions.generated else len(example.images))
        # Where none is shown, nobody is asked for pictures that may not be there.
        if self.questions.generated or not self.manifest.max_images:
            return ()
        return tuple(map(as_image, _files(paths, example)[: self.manifest.max_images]))

    def _predict(self, posts: Sequence[Post], spec: AnswerSpec) -> list[Prediction]:
        examples, order = self._selector.select(posts, spec)
        posted = [post_questions(self.questions, *post, spec, few) for post, few in zip(posts, examples, strict=True)]
        requests = [question.request for number in order for question in posted[number].questions]
        answers = iter(generate_with_fallback(self.engine, requests))
        completions = {number: [next(answers) for _ in posted[number].questions] for number in order}
        return [each.read(self.questions, completions[number]) for number, each in enumerate(posted)]


def _files(paths: PicturePaths, example: Example) -> list[str | Path]:
    """Return the files of the pictures of a post.

    Raises:
        ConfigError: The function that finds them returns something else.
    """
    try:
        returned: object = paths(example)
    except Exception as error:
        error.add_note(f"picture_paths was called with post {example.id!r}")
        raise
    listed = items(returned)
    files = [each for each in listed or () if isinstance(each, str | Path)]
    if listed is None or len(files) != len(listed):
        wrong = shown(returned) if listed is None else f"one of {', '.join(type(each).__name__ for each in listed[:3])}"
        raise ConfigError(f"post {example.id!r}: picture_paths must return a list of paths, not {wrong}")
    return files
