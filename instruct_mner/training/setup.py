"""The parts of a fine-tuning run, put together but not yet started."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from instruct_mner.alignment.build import Shape, build_objectives, together
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.pictures import picture_source
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.errors import DataError
from instruct_mner.models.generated_pictures import num_features
from instruct_mner.models.loading import LoadedModel, load_model
from instruct_mner.models.manifest import Manifest, PromptStamp, library_versions
from instruct_mner.prompting.templates import Prompt, find_prompt
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.scoring import score_spans, score_triples
from instruct_mner.scoring.triples import why_not_grounded
from instruct_mner.tagging.question import checked_labels
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.training.augmentation import all_names
from instruct_mner.training.checks import check_trainable
from instruct_mner.training.collator import Collator
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.conversation import Conversations
from instruct_mner.training.datasets import Sources, load_sources
from instruct_mner.training.span_alignment import Annotator
from instruct_mner.training.trainer import prompt_completion_collator
from instruct_mner.training.views import ViewCollator


@dataclass(frozen=True)
class Run:
    """Everything that a run is made of.

    Attributes:
        config: Its settings.
        sources: Its data as they were read and guarded.
        train: What is trained on.
        dev: What chooses the checkpoint, cut to the subset that does.
        loaded: The base model.
        prompt: The template.
        manifest: What will stand beside the weights.
        collator: Makes the batches.
        conversations: Makes question and answer of a post.
        objectives: Losses beside that of the answer.
    """

    config: FinetuneConfig
    sources: Sources
    train: Dataset
    dev: Dataset | None
    loaded: LoadedModel
    prompt: Prompt
    manifest: Manifest
    collator: Collator
    conversations: Conversations
    objectives: tuple[Any, ...] = ()

    @property
    def spec(self) -> AnswerSpec:
        """How the model answers."""
        return self.manifest.answer

    def score_dev(self, model: Any) -> dict[str, float]:
        """Tags the dev subset with a model as it stands, as ``tag`` would.

        Returns:
            ``f1`` (typed, offset), ``span_f1`` (types ignored), ``rejected`` per predicted item and, where boxes
            are asked for and annotated, ``gmner_f1``, each in 0..1.
        """
        assert self.dev is not None
        loaded = replace(self.loaded, model=model)
        engine = TransformersEngine(loaded, self.config.evaluation.batch_size)
        tagger = Tagger(engine, self.manifest, self.prompt)
        dev = self.dev
        predictions = _shared_out(dev.examples, lambda posts: tagger.predict(posts, dev.picture_paths))
        scores = score_spans(dev.examples, predictions)
        found = {
            "f1": scores.micro.score.f1,
            "span_f1": scores.span_only.score.f1,
            "rejected": scores.rejected.rate(scores.rejected.total),
        }
        if self.chooses_by == "gmner_f1":
            found["gmner_f1"] = score_triples(dev.examples, predictions).gmner.score.f1
        return found

    @property
    def chooses_by(self) -> str:
        """The dev score that chooses the checkpoint: boxes are learned after spans, so they must count."""
        if self.dev is None or not self.spec.grounded or why_not_grounded(self.dev.examples, ()):
            return "f1"
        return "gmner_f1"


def _shared_out(
    examples: Sequence[Example], predict: Callable[[Sequence[Example]], Iterable[Prediction]]
) -> list[Prediction]:
    """Predicts in all processes of a launch, each its share, and gives every process all of them."""
    from accelerate import PartialState
    from accelerate.utils import gather_object

    state = PartialState()
    found = list(predict(examples[state.process_index :: state.num_processes]))
    return list(gather_object(found)) if state.num_processes > 1 else found


def prepare(config: FinetuneConfig) -> Run:
    """Reads the data, loads the model, and checks that they fit.

    Raises:
        MnerError: Something does not, and what.
    """
    sources = load_sources(config.data)
    train, dev = sources.train, sources.dev
    prompt = find_prompt(config.prompt_name)
    loaded = load_model(
        config.model,
        revision=config.revision,
        dtype=_dtype(config),
        pixels=config.pixels,
        quantized=config.tuning == "qlora",
    )
    spec = AnswerSpec(
        labels=config.labels or _labels(train),
        grounded=config.answer.grounded,
        format=config.answer.format,
        segmentation=config.answer.segmentation or train.segmentation,
        max_entities=config.answer.max_entities,
        box_range=loaded.family.box_convention.answer_range,
        prefix=loaded.answer_prefix,
    )
    checked_labels(spec.with_labels(all_names(spec.labels, config.augmentation)), loaded.special_tokens)
    try:
        check_trainable(train.examples, spec)
    except DataError as error:
        raise DataError(f"{train.path}: {error}") from None
    conversations = Conversations(prompt, spec, loaded, config.max_images, config.context)
    # A mistake in the template is told here, before a run folder is made.
    conversations.row(train.examples[0], ())
    collate = prompt_completion_collator(loaded.processor)
    objectives, views = _objectives(config, loaded, conversations, collate)
    collator = Collator(
        train.examples,
        picture_source(train, config.data.image_source, config.seed),
        conversations,
        collate,
        loaded.image_token_id,
        config.augmentation,
        config.seed,
        views,
    )
    return Run(
        config=config,
        sources=sources,
        train=train,
        dev=dev and _first_posts(dev, config.evaluation.posts),
        loaded=loaded,
        prompt=prompt,
        manifest=_manifest(config, loaded, prompt, spec, sources),
        collator=collator,
        conversations=conversations,
        objectives=tuple(objectives),
    )


def _objectives(
    config: FinetuneConfig, loaded: LoadedModel, conversations: Conversations, collate: Callable[[list[Any]], Any]
) -> tuple[list[Any], ViewCollator | None]:
    """The objectives that are on, and what makes their views; nothing is made where none is."""
    if not config.alignment.is_on:
        return [], None
    objectives = build_objectives(config.alignment, heads_shape(loaded, conversations.spec), config.seed)
    annotator = Annotator(loaded, conversations, config.augmentation)
    generative = config.alignment.generative
    grid = 1 if generative is None else generative.grid
    views = ViewCollator(together(objectives), loaded, conversations, annotator, collate, grid)
    return objectives, views


def heads_shape(loaded: LoadedModel, spec: AnswerSpec) -> Shape:
    """What the heads of objectives must know of a model and a label set."""
    text = loaded.model.config.get_text_config()
    return Shape(
        width=text.hidden_size,
        num_layers=text.num_hidden_layers,
        num_heads=text.num_attention_heads,
        num_types=len(spec.labels),
        features=num_features(loaded),
        image_token_id=loaded.image_token_id,
    )


def _dtype(config: FinetuneConfig) -> Any:
    """All weights move in float32: a bfloat16 weight forgets steps smaller than a 256th of itself."""
    return "float32" if config.tuning == "full" and config.dtype == "auto" else config.dtype


def _labels(train: Dataset) -> LabelSet:
    names = sorted({entity.label for example in train.examples for entity in example.entities or ()})
    if not names:
        raise DataError(f"{train.path}: no post has an entity, so there is nothing to learn; check its 'entities'")
    return LabelSet.of(names)


def _first_posts(dataset: Dataset, count: int) -> Dataset:
    return replace(dataset, examples=dataset.examples[:count])


def _manifest(
    config: FinetuneConfig,
    loaded: LoadedModel,
    prompt: Prompt,
    spec: AnswerSpec,
    sources: Sources,
) -> Manifest:
    folder = Path(loaded.name)
    return Manifest(
        base_model=str(folder.resolve()) if folder.is_dir() else loaded.name,
        base_revision=loaded.revision,
        family=loaded.family.name,
        tuning=config.tuning,
        prompt=PromptStamp(name=prompt.name, sha256=prompt.sha256),
        answer=spec,
        pixels=config.pixels,
        max_images=config.max_images,
        context=config.context,
        box_convention=loaded.family.box_convention.name,
        versions=library_versions(),
        seed=config.seed,
        datasets=sources.stamps,
        leaked=sources.leaked,
    )
