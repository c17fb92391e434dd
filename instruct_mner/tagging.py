"""Tagging: a post goes in, its entities come out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instruct_mner.answers import AnswerEntity, AnswerSpec
from instruct_mner.engines import Completion, Engine, Request
from instruct_mner.errors import ConfigError, ModelError
from instruct_mner.images import BoxConvention, open_image, to_pixels
from instruct_mner.manifest import Manifest, PromptStamp
from instruct_mner.prompts import Prompt, find_prompt, shown_text
from instruct_mner.records import Box, Example, LabelSet, PredictedEntity, Prediction

if TYPE_CHECKING:
    from PIL.Image import Image

    from instruct_mner.models.loading import Dtype

Labels = LabelSet | Sequence[str] | Mapping[str, str | None]
PicturePaths = Callable[[Example], Sequence[Path]]

# Posts that are batched together; a run that was killed goes on at the beginning of one.
WINDOW = 64
_ZERO_SHOT_PROMPT = "zero-shot"


class Tagger:
    """Finds entities with an engine, as a manifest says.

    Args:
        engine: What answers.
        manifest: How to ask and how to read.
        prompt: The template that the manifest speaks of.
        constrained: Whether only legal answers may be given.
    """

    def __init__(self, engine: Engine, manifest: Manifest, prompt: Prompt, *, constrained: bool = True) -> None:
        self.manifest = manifest
        self._engine = engine
        self._prompt = prompt
        self._constrained = constrained

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        base_model: str | None = None,
        revision: str | None = None,
        dtype: Dtype = "auto",
        batch_size: int = 8,
        constrained: bool = True,
    ) -> Tagger:
        """Loads a tagger.

        Args:
            name: An adapter, a fully tuned model, the run folder of either, or a base model (hub name or folder),
                which then tags zero-shot.
            base_model: Where the adapter's base lies now, if not where ``mner.json`` says.
            revision: Commit of a base model on the hub.
            dtype: Of the weights; ``auto`` keeps the model's own.
            batch_size: Posts tagged at once.
            constrained: Whether only legal answers may be given; leave it on.

        Raises:
            ModelError: The model or the adapter cannot be loaded.
        """
        from instruct_mner.engines.transformers import TransformersEngine
        from instruct_mner.models.loading import load_adapter, load_model

        folder = _tuned_folder(Path(name))
        if folder is None:
            if base_model is not None:
                raise ModelError(f"{name} is no adapter, so a base model beside it has no meaning")
            loaded = load_model(str(name), revision=revision, dtype=dtype)
            manifest, prompt = _zero_shot(loaded)
        else:
            manifest, prompt = Manifest.load(folder)
            tuned_fully = manifest.tuning == "full"
            loaded = load_model(
                str(folder) if tuned_fully else base_model or manifest.base_model,
                revision=None if tuned_fully or base_model else manifest.base_revision,
                dtype=dtype,
                pixels=manifest.pixels,
            )
            if not tuned_fully:
                loaded = load_adapter(loaded, folder)
        return cls(TransformersEngine(loaded, batch_size), manifest, prompt, constrained=constrained)

    @property
    def labels(self) -> LabelSet | None:
        """The label set that the model was tuned for; ``None`` for a base model."""
        return None if self.manifest.tuning == "none" else self.manifest.answer.labels

    def predict_entities(
        self, text: str, labels: Labels | None = None, image: str | Path | bytes | Image | None = None
    ) -> list[dict[str, Any]]:
        """The entities of one post, as dictionaries.

        Args:
            text: The post.
            labels: Names, or names with definitions; needed for a model that was not tuned.
            image: A file, its bytes, or an open picture.

        Returns:
            ``{"start", "end", "text", "label", "score"}`` each, in text order, and ``"boxes"`` where asked for.
        """
        images = () if image is None else (_opened(image),)
        spec = self._spec(labels)
        [prediction] = self._predict_batch([(Example(id="post", text=text), images)], spec)
        return [entity.model_dump(exclude_none=True) for entity in prediction.entities]

    def predict(
        self,
        examples: Iterable[Example],
        picture_paths: PicturePaths = lambda example: (),
        labels: Labels | None = None,
    ) -> Iterator[Prediction]:
        """Tags posts one after the other, in their order, a window of them at a time.

        Args:
            examples: The posts; their gold, if any, is not looked at.
            picture_paths: Where a post's pictures lie, as ``Dataset.picture_paths``.
            labels: Other labels than those of the tuning.
        """
        spec = self._spec(labels)
        remaining = iter(examples)
        while window := list(islice(remaining, WINDOW)):
            posts = [(example, self._pictures(picture_paths(example))) for example in window]
            yield from self._predict_batch(posts, spec)

    def _pictures(self, paths: Sequence[Path]) -> tuple[Image, ...]:
        return tuple(open_image(path) for path in paths[: self.manifest.max_images])

    def _spec(self, labels: Labels | None) -> AnswerSpec:
        if labels is None and self.labels is None:
            raise ConfigError(
                "this model was not tuned, so it does not know which types to look for: give labels "
                "(--labels PER,LOC, or a YAML file of NAME: definition)"
            )
        chosen = labels if isinstance(labels, LabelSet) or labels is None else LabelSet.of(labels)
        spec = self.manifest.answer.with_labels(chosen)
        return checked_labels(spec, self._engine.special_tokens())

    def _predict_batch(self, posts: Sequence[tuple[Example, tuple[Image, ...]]], spec: AnswerSpec) -> list[Prediction]:
        shown = [shown_text(example.text, self._engine.special_tokens()) for example, _ in posts]
        specs = [spec.for_pictures([self._engine.resized(each.size) for each in images]) for _, images in posts]
        requests = [
            self._request(text, images, each) for text, (_, images), each in zip(shown, posts, specs, strict=True)
        ]
        completions = self._engine.generate(requests)
        return [
            self._prediction(example, images, text, completion, each)
            for (example, images), text, completion, each in zip(posts, shown, completions, specs, strict=True)
        ]

    def _request(self, text: str, images: tuple[Image, ...], spec: AnswerSpec) -> Request:
        return Request(
            messages=self._prompt.messages(spec, text, len(images), several_pictures=self.manifest.max_images > 1),
            images=images,
            grammar=spec.grammar(text, len(images)) if self._constrained else None,
            max_tokens=max_answer_tokens(spec, text, self._engine.count_tokens),
        )

    def _prediction(
        self, example: Example, images: tuple[Image, ...], text: str, completion: Completion, spec: AnswerSpec
    ) -> Prediction:
        answer = spec.parse(text, completion.text, len(images), finished=completion.finished)
        entities = tuple(
            PredictedEntity(
                start=entity.start,
                end=entity.end,
                text=example.text[entity.start : entity.end],
                label=entity.label,
                score=_confidence(entity, completion),
                boxes=self._pixel_boxes(entity, images, spec) if spec.grounded else None,
            )
            for entity in answer.entities
        )
        return Prediction(
            id=example.id,
            text=example.text,
            images=example.images,
            entities=entities,
            rejected=answer.rejected,
        )

    def _pixel_boxes(self, entity: AnswerEntity, images: Sequence[Image], spec: AnswerSpec) -> tuple[Box, ...]:
        if entity.box is None:
            return ()
        size = images[entity.box.image].size
        convention = BoxConvention(self.manifest.box_convention, spec.box_limit)
        pixels = to_pixels(entity.box.box, size, convention, resized=self._engine.resized(size))
        return (Box(image=entity.box.image, box=pixels),)


def max_answer_tokens(spec: AnswerSpec, text: str, count_tokens: Callable[[str], int]) -> int:
    """Where an answer is cut: the cap of entities, each with label, separators and box, and the text twice.

    Mentions do not overlap, so that all of them together are hardly longer than the text; a model that repeats
    itself is cut, and the cut is counted as malformed.
    """
    label = max(count_tokens(f"{name}: \n") for name in spec.labels.names)
    box = count_tokens(f" [{', '.join([str(spec.box_limit)] * 5)}]") if spec.grounded else 0
    return spec.capacity(text) * (label + box) + 2 * count_tokens(text) + 8


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


def _tuned_folder(path: Path) -> Path | None:
    """The folder of an adapter or of a fully tuned model, given itself or its run folder."""
    for folder in (path, path / "adapter", path / "model"):
        if (folder / "mner.json").is_file() or (folder / "adapter_config.json").is_file():
            return folder
    return None


def _zero_shot(loaded: Any) -> tuple[Manifest, Prompt]:
    """How a base model is asked that was never tuned."""
    from instruct_mner.models.loading import answer_prefix

    prompt = find_prompt(_ZERO_SHOT_PROMPT)
    convention = loaded.family.box_convention
    manifest = Manifest(
        base_model=loaded.name,
        base_revision=loaded.revision,
        family=loaded.family.name,
        tuning="none",
        prompt=PromptStamp(name=prompt.name, sha256=prompt.sha256),
        # The labels are a placeholder: `Tagger.labels` says that there are none, and `_spec` asks for them.
        answer=AnswerSpec(
            labels=LabelSet.of(["ENTITY"]), prefix=answer_prefix(loaded.processor), box_range=convention.answer_range
        ),
        box_convention=convention.name,
    )
    return manifest, prompt


def _opened(image: str | Path | bytes | Image) -> Image:
    if isinstance(image, str | Path):
        return open_image(Path(image))
    return open_image(image) if isinstance(image, bytes) else image.convert("RGB")


def _confidence(entity: AnswerEntity, completion: Completion) -> float:
    """``exp`` of the mean log-probability of the tokens that wrote an entity's label and mention."""
    start, end = entity.written
    logprobs = [token.logprob for token in completion.tokens if token.start < end and token.end > start]
    return min(1.0, math.exp(sum(logprobs) / len(logprobs))) if logprobs else 0.0
