"""Who is asked, and how: what the command line says of a model, an adapter or a server, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from instruct_mner.engines.endpoint import Endpoint
from instruct_mner.engines.openai_format import Constraint
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.errors import ConfigError, ModelError, suggest
from instruct_mner.models.description import describe_model
from instruct_mner.models.manifest import Manifest
from instruct_mner.models.tuned import heads_folder, tuned, tuned_folder, untuned, with_context
from instruct_mner.prompting.few_shot import has_examples, load_examples
from instruct_mner.prompting.retrieval import Choose, Pool
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example
from instruct_mner.tagging.attention_maps import Looker
from instruct_mner.tagging.tagger import Tagger

ENGINES = ("transformers", "vllm", "endpoint")
"""What one process can be asked by; :meth:`Asked.tagger` makes each, in this process and in workers of Ray."""


@dataclass(frozen=True)
class Asked:
    """Who is asked, and how; fields are those of the command line."""

    model: str | None
    adapter: Path | None
    endpoint: str | None = None
    constraint: Constraint = "grammar"
    concurrency: int = 8
    scores: bool = True
    examples: str | None = None
    num_examples: int = 4
    context: bool | None = None
    batch_size: int = 8
    constrained: bool = True
    threshold: float = 0.0
    choose: Choose = "first"
    engine: str = "transformers"
    vllm: tuple[str, ...] = ()
    generated: bool = False

    @property
    def distributed(self) -> bool:
        """Whether the work is shared out by Ray."""
        return self.engine.partition(":")[0] == "ray"

    def of_one_process(self) -> Asked:
        """The same, with the engine by which each process is asked: ``ray:vllm`` is ``vllm`` on many.

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

    def manifest(self, examples: Sequence[Example] | Pool) -> Manifest:
        """That of :meth:`tagger`, without loading the weights.

        Raises:
            MnerError: The model cannot be used.
        """
        self._check()
        name = self.adapter if self.adapter is not None else self.model
        if self.endpoint is not None or name is None:
            # Of a server nothing is loaded, and what it calls its model is no name of ours; without a name it says so.
            found = self.tagger(examples).manifest
        elif (folder := tuned_folder(name)) is not None:
            found, _ = tuned(folder, examples)
        else:
            found, _ = untuned(describe_model(str(name)), with_examples=has_examples(examples))
        return with_context(found, self.context)

    def shown(self) -> tuple[Example, ...] | Pool:
        """The posts that the prompt shows as examples, or those among which each post finds its own."""
        if self.examples is None:
            return ()
        if self.choose == "nearest":
            return Pool.load(self.examples, self.num_examples)
        return load_examples(self.examples, self.num_examples)

    def _check(self) -> None:
        """What is said before anything is loaded."""
        if self.threshold > 0 and self.endpoint is not None and not self.scores:
            raise ConfigError("--threshold needs confidences, and with --no-scores each is 1; leave one of them out")
        if self.adapter is not None and tuned_folder(self.adapter) is None:
            why = "holds no adapter" if self.adapter.is_dir() else "there is no such folder"
            raise ModelError(
                f"--adapter {self.adapter}: {why}; name the run folder that 'finetune' made (a base: --model)"
            )
        if self.engine != "vllm" and self.vllm:
            raise ConfigError("--vllm is for --engine vllm")

    def tagger(self, examples: Sequence[Example] | Pool) -> Tagger:
        """Loads the model, or connects to the server.

        Raises:
            MnerError: It cannot be used.
        """
        self._check()
        if self.endpoint is not None:
            if self.generated:
                raise ConfigError(
                    "--image-source generated: no server can be given pictures that were never seen; leave --endpoint "
                    "out, and name the run folder of the model (--adapter)"
                )
            if self.model is None:
                raise ConfigError("--endpoint needs --model, the name under which the server serves the model")
            endpoint = Endpoint(
                self.endpoint,
                self.model,
                constraint=self.constraint if self.constrained else "none",
                concurrency=self.concurrency,
                scores=self.scores,
            )
            return Tagger.connect(endpoint, adapter=self.adapter, examples=examples, context=self.context)
        name = self.adapter if self.adapter is not None else self.model
        if name is None:
            raise ConfigError(
                "give --model (hub name or folder) or --adapter (folder), or both for a base that has moved"
            )
        if self.engine == "vllm":
            return Tagger.with_vllm(
                name,
                base_model=self.model if self.adapter is not None else None,
                flags=self.vllm,
                constrained=self.constrained,
                examples=examples,
                context=self.context,
            )
        return Tagger.from_pretrained(
            name,
            base_model=self.model if self.adapter is not None else None,
            batch_size=self.batch_size,
            constrained=self.constrained,
            examples=examples,
            context=self.context,
            generated=self.generated,
        )

    def looker(self, tagger: Tagger, folder: Path, labels: LabelSet | None) -> Looker:
        """Draws what mentions look at."""
        assert isinstance(tagger.engine, TransformersEngine)
        name = self.adapter if self.adapter is not None else self.model
        heads = None if name is None else heads_folder(name)
        return Looker(tagger, tagger.engine, heads, folder, labels)
