"""Settings of tagging: the model, adapter or server that answers, and how it is prompted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from instruct_mner.errors import ConfigError, ModelError, suggest
from instruct_mner.models.tuned import tuned_folder
from instruct_mner.prompting.few_shot import load_examples
from instruct_mner.prompting.retrieval import Pool
from instruct_mner.schema.choices import Constraint, ExampleChoice, Segmentation
from instruct_mner.schema.records import Example

EngineName = Literal["transformers", "vllm", "endpoint"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
"""Engines of one process; :mod:`instruct_mner.tagging.engine_choice` makes each, in this process and on Ray."""


def check_threshold(threshold: float) -> None:
    """Refuse a threshold that is no confidence.

    Raises:
        ConfigError: It is not in 0..1, so that every entity or none would be left out.
    """
    if not 0 <= threshold <= 1:
        hint = f": write {threshold / 100:g} for {threshold:g} %" if 1 < threshold <= 100 else ""
        raise ConfigError(f"threshold {threshold!r} is no confidence from 0 to 1{hint}")


@dataclass(frozen=True, kw_only=True)
class TaggingSettings:
    """Model, adapter or server that tags posts, and how it is prompted; the fields are flags of ``tag``.

    Attributes:
        model: Hub name or folder of a model; beside an adapter, that of its base; at an endpoint, its name there.
        adapter: Folder of an adapter, or its run folder.
        endpoint: Address of a server with OpenAI's API.
        constraint: Kind of constraint that the server is asked for.
        concurrency: Number of requests to the server at once.
        scores: Whether the server is asked for log-probabilities.
        examples: DATA of the few-shot examples.
        num_examples: Number of few-shot examples of each post.
        choose: Rule that selects the few-shot examples of a post.
        context: Whether captions, tags and OCR of the pictures are in the prompt; ``None`` is the setting of the
            tuning.
        batch_size: Number of posts tagged at once.
        constrained: Whether only answers that are legal on the post are allowed.
        threshold: Confidence below which entities are left out.
        engine: Name of the engine, with ``ray:`` before it for workers of Ray.
        vllm: Flags of vLLM.
        segmentation: Places where a mention may begin and end; ``None`` is the setting of the tuning.
        generated: Whether posts are tagged with pictures that are generated from their texts.
    """

    model: str | None = None
    adapter: Path | None = None
    endpoint: str | None = None
    constraint: Constraint = "grammar"
    concurrency: int = 8
    scores: bool = True
    examples: str | None = None
    num_examples: int = 4
    choose: ExampleChoice = "first"
    context: bool | None = None
    batch_size: int = 64
    constrained: bool = True
    threshold: float = 0.0
    engine: str = "transformers"
    vllm: tuple[str, ...] = ()
    segmentation: Segmentation | None = None
    generated: bool = False

    @property
    def distributed(self) -> bool:
        """True where workers of Ray share the posts."""
        return self.engine.partition(":")[0] == "ray"

    def of_one_process(self) -> TaggingSettings:
        """Return the settings of a single process: the engine ``ray:vllm`` becomes ``vllm``.

        Raises:
            ConfigError: There is no such engine.
        """
        engine = (self.engine.partition(":")[2] or ENGINES[0]) if self.distributed else self.engine
        if engine not in ENGINES:
            raise ConfigError(
                f"--engine {self.engine}: there is no engine {engine!r}{suggest(engine, ENGINES)}; known: "
                f"{', '.join(ENGINES)}, and ray or ray:ENGINE, which shares the work out"
            )
        if self.endpoint is not None and engine == "vllm":
            raise ConfigError("--endpoint asks a server, --engine vllm runs vLLM here: leave one of them out")
        if self.endpoint is not None or engine == "endpoint":
            if self.endpoint is None:
                raise ConfigError("--engine endpoint needs --endpoint, the address of the server")
            engine = "endpoint"
        return replace(self, engine=engine)

    @property
    def local_name(self) -> str | Path:
        """Name of the model or folder of the adapter that is loaded in this process.

        Raises:
            ConfigError: Neither is given.
        """
        name = self.adapter if self.adapter is not None else self.model
        if name is None:
            raise ConfigError(
                "give --model (hub name or folder) or --adapter (folder), or both for a base that has moved"
            )
        return name

    @property
    def base_model(self) -> str | None:
        """Name or folder of the adapter's base, where it is given beside the adapter."""
        return self.model if self.adapter is not None else None

    def load_examples(self) -> tuple[Example, ...] | Pool:
        """Read the few-shot examples: those of all posts, or the pool from which each post takes its own.

        Raises:
            DataError: The posts cannot be read, or too few of them are annotated.
        """
        if self.examples is None:
            return ()
        if self.choose == "nearest":
            return Pool.load(self.examples, self.num_examples, with_pictures=self.endpoint is None)
        return load_examples(self.examples, self.num_examples)

    def check(self) -> None:
        """Refuse settings that contradict each other, before anything is loaded.

        Raises:
            ConfigError: Two settings exclude each other, or one is missing.
            ModelError: The folder is no adapter.
        """
        if self.threshold > 0 and self.endpoint is not None and not self.scores:
            raise ConfigError("--threshold needs confidences, and with --no-scores each is 1; leave one of them out")
        if self.adapter is not None and tuned_folder(self.adapter) is None:
            why = "holds no adapter" if self.adapter.is_dir() else "there is no such folder"
            raise ModelError(
                f"--adapter {self.adapter}: {why}; name the run folder that 'finetune' made (a base: --model)"
            )
        if self.engine != "vllm" and self.vllm:
            raise ConfigError("--vllm is for --engine vllm")
        if self.endpoint is not None and self.generated:
            raise ConfigError(
                "--image-source generated: no server can be given pictures that were never seen; leave --endpoint "
                "out, and name the run folder of the model (--adapter)"
            )
        if self.endpoint is not None and self.model is None:
            raise ConfigError("--endpoint needs --model, the name under which the server serves the model")
        if self.endpoint is None:
            self.local_name  # noqa: B018 (raises where there is none)
