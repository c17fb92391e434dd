"""Tagging: a post goes in, its entities come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.engine import Completion, Engine
from instruct_mner.errors import ConfigError, ModelError
from instruct_mner.images import as_image, open_image
from instruct_mner.models.manifest import Manifest
from instruct_mner.models.tuned import heads_folder, tuned, tuned_folder, untuned, with_context, zero_shot
from instruct_mner.prompting.conversation import Message
from instruct_mner.prompting.few_shot import check_examples, find_neighbours, has_examples, shots
from instruct_mner.prompting.retrieval import Embedder, Neighbours, Pool
from instruct_mner.prompting.templates import Prompt, Shot
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.tagging.decoding import Reading, read_prediction
from instruct_mner.tagging.embedders import ModelEmbedder, WordEmbedder
from instruct_mner.tagging.question import Asker, Question, checked_labels

if TYPE_CHECKING:
    from PIL.Image import Image

    from instruct_mner.engines.endpoint import Endpoint
    from instruct_mner.models.loading import Dtype

Labels = LabelSet | Sequence[str] | Mapping[str, str | None]
PicturePaths = Callable[[Example], Sequence[Path]]

# Posts that are batched together; a run that was killed goes on at the beginning of one.
WINDOW = 64


class Tagger:
    """Finds entities with an engine, as a manifest says.

    Args:
        engine: What answers.
        manifest: How to ask and how to read.
        prompt: The template that the manifest speaks of.
        constrained: Whether only legal answers may be given.
        examples: Annotated posts that the prompt shows, the same for all posts.
        neighbours: Chooses the examples of each post instead.
        generated: Whether posts are shown without their pictures, to an engine that generates others.
    """

    def __init__(
        self,
        engine: Engine,
        manifest: Manifest,
        prompt: Prompt,
        *,
        constrained: bool = True,
        examples: Sequence[Example] = (),
        neighbours: Neighbours | None = None,
        generated: bool = False,
    ) -> None:
        self._asker = Asker(engine, manifest, prompt, constrained, generated)
        self._examples = tuple(examples)
        self._neighbours = neighbours

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
        examples: Sequence[Example] | Pool = (),
        context: bool | None = None,
        generated: bool = False,
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
            examples: Annotated posts that a base model is shown: these, or of a pool the nearest of each post.
            context: Whether captions, tags and OCR of the pictures are shown; by default as in the tuning.
            generated: Answer from pictures that are generated from the texts, whatever pictures posts have; the model
                was tuned with ``alignment.generative``, and lies in its run folder.

        Raises:
            ModelError: The model or the adapter cannot be loaded, or has no generator.
            ConfigError: Examples for a model that was tuned.
        """
        from instruct_mner.engines.transformers import TransformersEngine
        from instruct_mner.models.loading import load_adapter, load_model

        folder = tuned_folder(name)
        if folder is None:
            if base_model is not None:
                raise ModelError(f"{name} is no adapter, so a base model beside it has no meaning")
            loaded = load_model(str(name), revision=revision, dtype=dtype)
            manifest, prompt = untuned(loaded, with_examples=has_examples(examples))
        else:
            manifest, prompt = tuned(folder, examples)
            tuned_fully = manifest.tuning == "full"
            loaded = load_model(
                str(folder) if tuned_fully else base_model or manifest.base_model,
                revision=None if tuned_fully or base_model else manifest.base_revision,
                dtype=dtype,
                pixels=manifest.pixels,
            )
            if not tuned_fully:
                manifest.check_base(loaded.family.name, loaded.name)
                loaded = load_adapter(loaded, folder)
        engine = TransformersEngine(loaded, batch_size)
        if generated:
            from instruct_mner.engines.generated import GeneratedPictureEngine

            engine = GeneratedPictureEngine(loaded, heads_folder(name), batch_size)
        embedder, manifest = ModelEmbedder(loaded, engine, batch_size), with_context(manifest, context)
        return cls._showing(examples, embedder, engine, manifest, prompt, constrained, generated=generated)

    @classmethod
    def with_vllm(
        cls,
        name: str | Path,
        *,
        base_model: str | None = None,
        flags: Sequence[str] = (),
        constrained: bool = True,
        examples: Sequence[Example] | Pool = (),
        context: bool | None = None,
    ) -> Tagger:
        """A tagger on vLLM in this process.

        Args:
            name: As for :meth:`from_pretrained`.
            base_model: Where the adapter's base lies now, if not where ``mner.json`` says.
            flags: Flags of vLLM itself, as ``--max-model-len=4096``.
            constrained: Whether only legal answers may be given; leave it on.
            examples: Annotated posts that a base model is shown: these, or of a pool those nearest in their words.
            context: Whether captions, tags and OCR of the pictures are shown; by default as in the tuning.

        Raises:
            MnerError: The model or the adapter cannot be loaded by vLLM, or vLLM does not start.
        """
        from instruct_mner.engines.vllm import VllmEngine

        plan = VllmEngine.plan(name, base_model)
        model = plan.models[0]
        manifest, prompt = model.manifest, model.prompt
        if manifest.tuning == "none":
            manifest, prompt = untuned(model.description, with_examples=has_examples(examples))
        elif has_examples(examples):
            manifest, prompt = tuned(Path(plan.base), examples)
        engine = VllmEngine(plan, flags)
        return cls._showing(examples, WordEmbedder(), engine, with_context(manifest, context), prompt, constrained)

    @classmethod
    def connect(
        cls,
        endpoint: Endpoint | str,
        *,
        model: str | None = None,
        adapter: str | Path | None = None,
        examples: Sequence[Example] | Pool = (),
        context: bool | None = None,
    ) -> Tagger:
        """A tagger on a server that speaks OpenAI's chat completions; nothing is loaded here.

        The API key is read from ``OPENAI_API_KEY``. The server must have the pixel limits of the adapter's
        ``mner.json``.

        Args:
            endpoint: Its address, or all that is to be said of it.
            model: The name under which it serves the model or the adapter, beside an address.
            adapter: The folder of the adapter that it serves: prompt, labels and answers are those of the tuning.
            examples: Annotated posts that a model that was not tuned is shown: these, or of a pool those that are
                nearest in their words, since a server gives no embeddings.
            context: Whether captions, tags and OCR of the pictures are shown; by default as in the tuning.

        Raises:
            ModelError: The folder is no adapter.
            ConfigError: The address is none, or the answers cannot be constrained as asked.
        """
        from instruct_mner.engines.endpoint import Endpoint, EndpointEngine
        from instruct_mner.models.description import describe_adapter

        if isinstance(endpoint, str):
            if model is None:
                raise ConfigError("give the name under which the server serves the model, model=…")
            endpoint = Endpoint(endpoint, model)
        description = None
        if adapter is None:
            manifest, prompt = zero_shot(endpoint.model, with_examples=has_examples(examples))
        else:
            folder = tuned_folder(Path(adapter)) or Path(adapter)
            manifest, prompt = tuned(folder, examples)
            description = describe_adapter(folder, manifest)
        if endpoint.constraint == "schema":
            codec.json_schema(manifest.answer)
        engine, constrained = EndpointEngine(endpoint, description), endpoint.constraint != "none"
        return cls._showing(examples, WordEmbedder(), engine, with_context(manifest, context), prompt, constrained)

    @classmethod
    def _showing(
        cls,
        examples: Sequence[Example] | Pool,
        embedder: Embedder,
        engine: Engine,
        manifest: Manifest,
        prompt: Prompt,
        constrained: bool,
        *,
        generated: bool = False,
    ) -> Tagger:
        """A tagger that shows these examples, or of a pool those that are nearest by an embedder."""
        if not isinstance(examples, Pool):
            return cls(engine, manifest, prompt, constrained=constrained, examples=examples, generated=generated)
        neighbours = find_neighbours(examples, embedder, manifest.max_images, engine.special_tokens())
        return cls(engine, manifest, prompt, constrained=constrained, neighbours=neighbours, generated=generated)

    @property
    def engine(self) -> Engine:
        """What answers."""
        return self._asker.engine

    @property
    def manifest(self) -> Manifest:
        """How to ask and how to read."""
        return self._asker.manifest

    def forget_calibration(self) -> None:
        """From now on scores are those of the model, not what ``calibrate`` made of them."""
        self._asker = replace(self._asker, manifest=self.manifest.model_copy(update={"calibration": None}))

    @property
    def labels(self) -> LabelSet | None:
        """The label set that the model was tuned for; ``None`` for a base model."""
        return None if self.manifest.tuning == "none" else self.manifest.answer.labels

    def predict_entities(
        self,
        text: str,
        labels: Labels | None = None,
        image: str | Path | bytes | Image | None = None,
        *,
        threshold: float = 0.0,
    ) -> list[dict[str, Any]]:
        """The entities of one post, as dictionaries.

        Args:
            text: The post.
            labels: Names, or names with definitions; needed for a model that was not tuned.
            image: A file, its bytes, or an open picture.
            threshold: Entities of lower confidence are left out.

        Returns:
            ``{"start", "end", "text", "label", "score"}`` each, in text order, and ``"boxes"`` where asked for.
        """
        images = () if image is None else (as_image(image),)
        [prediction] = self.predict_opened([(Example(id="post", text=text), images)], labels)
        return [entity.model_dump(exclude_none=True) for entity in prediction.above(threshold).entities]

    def predict(
        self,
        examples: Iterable[Example],
        picture_paths: PicturePaths = lambda example: (),
        labels: Labels | None = None,
        *,
        threshold: float = 0.0,
    ) -> Iterator[Prediction]:
        """Tags posts one after the other, in their order, a window of them at a time.

        Args:
            examples: The posts; their gold, if any, is not looked at.
            picture_paths: Where a post's pictures lie, as ``Dataset.picture_paths``.
            labels: Other labels than those of the tuning.
            threshold: Entities of lower confidence are left out.
        """
        spec = self.answer_spec(labels)
        remaining = iter(examples)
        while window := list(islice(remaining, WINDOW)):
            posts = [
                (example, () if self._asker.generated else self._opened(picture_paths(example))) for example in window
            ]
            yield from (prediction.above(threshold) for prediction in self._predict_batch(posts, spec))

    def conversation(
        self, example: Example, num_images: int, labels: Labels | None = None
    ) -> tuple[list[Message], int | None]:
        """What is asked about a post, and where in its last part the text begins."""
        spec = self.answer_spec(labels)
        return self._asker.conversation(
            example, num_images, spec, shots(self._examples, spec, self.engine.special_tokens())
        )

    def question(
        self, example: Example, images: tuple[Image, ...], spec: AnswerSpec, examples: Sequence[Shot] = ()
    ) -> Question:
        """What the engine is asked on one post: see :meth:`Asker.question`."""
        return self._asker.question(example, images, spec, examples)

    def _opened(self, paths: Sequence[Path]) -> tuple[Image, ...]:
        return tuple(map(open_image, paths[: self.manifest.max_images]))

    def predict_opened(
        self, posts: Sequence[tuple[Example, tuple[Image, ...]]], labels: Labels | None = None
    ) -> list[Prediction]:
        """Tags posts whose pictures are open already, all at once."""
        return self._predict_batch(posts, self.answer_spec(labels))

    def answer_spec(self, labels: Labels | None = None) -> AnswerSpec:
        """What is asked for, with these labels or with those of the tuning.

        Raises:
            ConfigError: There are none, or one cannot be asked for.
        """
        if labels is None and self.labels is None:
            raise ConfigError(
                "this model was not tuned, so it does not know which types to look for: give labels "
                "(--labels PER,LOC, or a YAML file of NAME: definition)"
            )
        chosen = labels if isinstance(labels, LabelSet) or labels is None else LabelSet.of(labels)
        spec = self.manifest.answer.with_labels(chosen)
        if self._neighbours is not None:
            check_examples(self._neighbours.pool.dataset.examples, spec)
        return checked_labels(spec, self.engine.special_tokens())

    def _predict_batch(self, posts: Sequence[tuple[Example, tuple[Image, ...]]], spec: AnswerSpec) -> list[Prediction]:
        examples, order = self._shown_examples(posts, spec)
        questions = [
            self.question(example, images, spec, shown)
            for (example, images), shown in zip(posts, examples, strict=True)
        ]
        answers = self.engine.generate([questions[number].request for number in order])
        completions = dict(zip(order, answers, strict=True))
        return [self.read(question, completions[number]) for number, question in enumerate(questions)]

    def read(self, question: Question, completion: Completion) -> Prediction:
        """The prediction that an answer to a question makes."""
        reading = Reading(question.text, completion, question.spec, self.manifest, self.engine.resized)
        return read_prediction(question.example, question.images, reading)

    def _shown_examples(
        self, posts: Sequence[tuple[Example, tuple[Image, ...]]], spec: AnswerSpec
    ) -> tuple[list[tuple[Shot, ...]], list[int]]:
        """The examples of each post, and the order in which posts are asked: those of like examples together."""
        special_tokens = self.engine.special_tokens()
        if self._neighbours is None:
            return [shots(self._examples, spec, special_tokens)] * len(posts), list(range(len(posts)))
        pool = self._neighbours.pool.dataset.examples
        chosen = self._neighbours.choose(posts)
        shown = [shots([pool[place] for place in each], spec, special_tokens) for each in chosen]
        return shown, self._neighbours.order(chosen)
