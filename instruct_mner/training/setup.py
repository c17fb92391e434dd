"""The parts of a fine-tuning run, put together but not yet started."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from instruct_mner.alignment.build import together
from instruct_mner.alignment.objective import Objective
from instruct_mner.alignment.settings import AlignmentSettings
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.console import working
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.pictures import picture_source
from instruct_mner.errors import ConfigError, DataError, listing
from instruct_mner.models.attention_check import check_attention
from instruct_mner.models.description import family_of, tuned_before
from instruct_mner.models.loading import LoadedModel, Model, load_model
from instruct_mner.models.manifest import Manifest, PromptStamp, library_versions
from instruct_mner.prompting.templates import Prompt, find_prompt
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example
from instruct_mner.scoring.triples import why_not_grounded
from instruct_mner.tagging.question import checked_labels
from instruct_mner.training.augmentation import all_names
from instruct_mner.training.checks import check_end_of_answers, check_lengths
from instruct_mner.training.collator import Collator
from instruct_mner.training.config import AnswerSettings, FinetuneConfig
from instruct_mner.training.conversation import Conversations
from instruct_mner.training.datasets import Sources, load_sources
from instruct_mner.training.dev_scores import score_dev
from instruct_mner.training.earlier_trainings import continued
from instruct_mner.training.grounding_heads import with_chosen_heads
from instruct_mner.training.lengths import token_lengths
from instruct_mner.training.machine_checks import check_machine
from instruct_mner.training.objectives import make_objectives, make_views
from instruct_mner.training.precheck import check_sources
from instruct_mner.training.sharding import is_sharded, reads_weights
from instruct_mner.training.span_alignment import SpanAnnotator
from instruct_mner.training.trainable import labels_of
from instruct_mner.training.trl_arguments import dtype_of_weights, prompt_completion_collator


@dataclass(frozen=True, kw_only=True)
class Run:
    """All parts of a run.

    Attributes:
        config: Config of the run.
        sources: Data as they were read and checked for leaks.
        train: Posts to train on.
        dev: Posts that choose the checkpoint, cut to ``evaluation.posts``; ``None`` without a dev set.
        loaded: Base model.
        prompt: Prompt template.
        manifest: Manifest that is written beside the weights.
        collator: Maker of the batches.
        conversations: Writer of the prompts and gold answers.
        picture_paths: Function that gives the files of a post's pictures.
        objectives: Losses beside the answer loss.
        alignment: Settings of these losses, with the heads that were chosen for ``heads: auto``.
        notes: Lines on how they were chosen.
        lengths: Numbers of tokens of the posts to train on, without what is the same for all.
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
    picture_paths: Callable[[Example], Sequence[Path]]
    objectives: tuple[Objective, ...] = ()
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)
    notes: tuple[str, ...] = ()
    lengths: Sequence[int] = ()

    @property
    def spec(self) -> AnswerSpec:
        """Form of the answers."""
        return self.manifest.answer

    def pictures(self) -> Iterator[Path]:
        """Iterate over the files of all pictures that are shown, of train and dev."""
        most = self.config.max_images
        yield from (path for each in self.train.examples for path in self.picture_paths(each)[:most])
        if self.dev is not None:
            yield from (path for each in self.dev.examples for path in self.dev.picture_paths(each)[:most])

    def score_dev(self, model: Model) -> dict[str, float]:
        """Tag the dev subset with a model as it stands, as ``tag`` would, and return its scores.

        Args:
            model: Model that is trained.

        Returns:
            ``f1`` (typed, offset), ``span_f1`` (types ignored), ``rejected`` per predicted item and, where boxes
            are asked for and annotated, ``gmner_f1``, each in 0..1.
        """
        assert self.dev is not None
        return score_dev(
            self.dev,
            replace(self.loaded, model=model),
            self.manifest,
            self.prompt,
            batch_size=self.config.evaluation.batch_size,
            with_boxes=self.chooses_by == "gmner_f1",
        )

    @property
    def chooses_by(self) -> str:
        """Name of the dev score that chooses the checkpoint: boxes are learned after spans, so they must count."""
        if self.dev is None or not self.spec.grounded or why_not_grounded(self.dev.examples, ()):
            return "f1"
        return "gmner_f1"


def prepare(config: FinetuneConfig, sources: Sources | None = None) -> Run:
    """Read the data, load the model, and check that they fit.

    Args:
        config: Config of the run.
        sources: Data of the run, where :func:`~.precheck.precheck` has read them.

    Raises:
        MnerError: They do not fit; the message says what and where.
    """
    check_machine(config)
    if sources is None:
        sees = family_of(config.model, config.revision).sees and config.max_images > 0
        with working(f"reading {config.data.train}"):
            sources = load_sources(config.data, shows_pictures=sees)
        check_sources(config, sources)
    train, dev = sources.train, sources.dev
    prompt = find_prompt(config.prompt_name)
    with working(f"loading {config.model}"):
        loaded = load_model(
            config.model,
            revision=config.revision,
            dtype=dtype_of_weights(config),
            pixels=config.pixels,
            quantized=config.tuning == "qlora",
            attention=config.attn_implementation,
            device_map=config.device_map,
            moves=not is_sharded(),
        )
    if not loaded.family.sees:
        config = _without_pictures(config, loaded.family.name)
    if config.adapts and reads_weights():
        check_end_of_answers(loaded)
    spec = _spec(config.answer, config.labels or labels_of(train, dev), train, loaded)
    checked_labels(spec.with_labels(all_names(spec.labels, config.augmentation)), loaded.special_tokens)
    manifest = continued(_manifest(config, loaded, prompt, spec, sources), tuned_before(loaded), config.data.leaks)
    conversations = Conversations(
        prompt=prompt, spec=spec, description=loaded, max_images=config.max_images, context=config.context
    )
    # A mistake in the template is reported here, before a run folder is made.
    conversations.row(train.examples[0], ())
    pictures = picture_source(train, config.data.image_source if loaded.family.sees else "none", config.seed)
    with working("counting tokens"):
        lengths = _checked_lengths(train, pictures, conversations, loaded)
    collate = prompt_completion_collator(loaded.processor)
    annotator = SpanAnnotator(loaded, conversations, config.augmentation)
    make_collator = partial(
        Collator,
        examples=train.examples,
        picture_paths=pictures,
        conversations=conversations,
        collate=collate,
        image_token_id=loaded.image_token_id,
        augmentation=config.augmentation,
        seed=config.seed,
    )
    alignment, notes = with_chosen_heads(config.alignment, loaded, make_collator(), annotator)
    objectives = make_objectives(alignment, loaded, spec, config.seed)
    collator = make_collator(views=make_views(objectives, alignment, loaded, conversations, annotator, collate))
    attention_layers = together(objectives).attention_layers
    if attention_layers and reads_weights():
        with_picture = next((at for at, each in enumerate(train.examples) if pictures(each)), 0)
        check_attention(loaded, collator.inputs([{"index": with_picture}]), attention_layers)
    return Run(
        config=config,
        sources=sources,
        train=train,
        dev=dev and replace(dev, examples=dev.examples[: config.evaluation.posts]),
        loaded=loaded,
        prompt=prompt,
        manifest=manifest,
        collator=collator,
        conversations=conversations,
        picture_paths=pictures,
        objectives=objectives,
        alignment=alignment,
        notes=notes,
        lengths=lengths,
    )


def _manifest(
    config: FinetuneConfig, loaded: LoadedModel, prompt: Prompt, spec: AnswerSpec, sources: Sources
) -> Manifest:
    folder = Path(loaded.name)
    stamps = (
        each.model_copy(update={"num_posts": min(each.num_posts, config.evaluation.posts)})
        if each.role == "dev"
        else each
        for each in sources.stamps
    )
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
        datasets=tuple(stamps),
        leaked=sources.leaked,
    )


def _without_pictures(config: FinetuneConfig, family: str) -> FinetuneConfig:
    """Return the config of a run whose model reads text only.

    Raises:
        ConfigError: Boxes, or objectives that learn from image tokens, are asked for.
    """
    problems = config.alignment.without_use(
        shows_pictures=False, shows_context=config.context, batch_size=config.optimizer.batch_size
    )
    problems = [f"alignment: {each}" for each in problems]
    if config.answer.grounded:
        problems.append("answer.grounded asks for boxes on pictures")
    if problems:
        raise ConfigError(
            f"model {config.model} is of the family {family}, which reads text only (captions, tags and OCR of a "
            f"picture: context: true):\n{listing(problems)}"
        )
    return config.model_copy(update={"max_images": 0})


def _spec(answer: AnswerSettings, labels: LabelSet, train: Dataset, loaded: LoadedModel) -> AnswerSpec:
    return AnswerSpec(
        labels=labels,
        grounded=answer.grounded,
        format=answer.format,
        segmentation=answer.segmentation or train.segmentation,
        max_entities=answer.max_entities,
        box_range=loaded.family.box_convention.answer_range,
        prefix=loaded.answer_prefix,
    )


def _checked_lengths(
    train: Dataset,
    picture_paths: Callable[[Example], Sequence[Path]],
    conversations: Conversations,
    loaded: LoadedModel,
) -> list[int]:
    lengths = token_lengths(train.examples, picture_paths, conversations)
    try:
        check_lengths(train.examples, lengths, picture_paths, conversations, loaded.context_size)
    except DataError as error:
        raise DataError(f"{train.path}: {error}") from None
    return lengths
