"""The tagger: a post goes in, its entities come out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from instruct_mner.errors import ModelError
from instruct_mner.models.locations import adapter_place
from instruct_mner.models.tuned import tuned_folder, with_context
from instruct_mner.tagging import engine_choice
from instruct_mner.tagging.arguments import checked
from instruct_mner.tagging.engine_choice import Backend, Examples
from instruct_mner.tagging.examples import example_selector
from instruct_mner.tagging.post_tagger import PostTagger
from instruct_mner.tagging.settings import TaggingSettings

if TYPE_CHECKING:
    from instruct_mner.engines.endpoint import Endpoint
    from instruct_mner.models.devices import DeviceMap
    from instruct_mner.models.loading import Dtype


class Tagger(PostTagger):
    """Finder of entities that is made from the name of a model, an adapter or a server; else a :class:`PostTagger`."""

    @classmethod
    @checked
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        base_model: str | None = None,
        revision: str | None = None,
        dtype: Dtype = "auto",
        batch_size: int = 64,
        constrained: bool = True,
        examples: Examples = (),
        context: bool | None = None,
        generated: bool = False,
        device: str | None = None,
        device_map: DeviceMap | None = None,
    ) -> Tagger:
        """Load a model into this process.

        Args:
            name: Adapter, fully tuned model, the run folder of either, or a base model, which then tags zero-shot;
                hub name or folder.
            base_model: Hub name or folder of the adapter's base, if it is not where ``mner.json`` says.
            revision: Commit, branch or tag of that on the hub.
            dtype: Data type of the weights; ``auto`` keeps the model's own.
            batch_size: Number of posts tagged at once.
            constrained: Whether only answers that are legal on the post are allowed; leave it on.
            examples: Few-shot examples for a base model: annotated posts, or a pool whose nearest each post takes.
            context: Whether captions, tags and OCR of the pictures are in the prompt; by default as in the tuning.
            generated: Whether pictures are generated from the texts; needs a run with ``alignment.generative``.
            device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``, which spreads the layers over all GPUs; by
                default the GPU where PyTorch finds one of NVIDIA or AMD, else the CPU.
            device_map: Distribution over several devices in place of one, as accelerate takes it: ``auto``,
                ``balanced``, ``sequential``, or a device for each part of the model, such as ``{"": "cuda:1"}``.

        Raises:
            ModelError: The model or the adapter cannot be loaded, or has no generator.
            ConfigError: Examples are given for a model that was tuned, or there is no such device.
        """
        backend = engine_choice.transformers_backend(
            name,
            base_model=base_model,
            revision=revision,
            dtype=dtype,
            batch_size=batch_size,
            constrained=constrained,
            examples=examples,
            generated=generated,
            device=device,
            device_map=device_map,
        )
        return cls._of(backend, examples, context)

    @classmethod
    @checked
    def from_adapter(
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        base_model: str | None = None,
        dtype: Dtype = "auto",
        batch_size: int = 64,
        constrained: bool = True,
        context: bool | None = None,
        device: str | None = None,
    ) -> Tagger:
        """Load an adapter of the hub, or of a folder, on its base; of the hub, only JSON, templates and safetensors.

        Args:
            name: Hub name of the adapter such as ``user/tweets``, with ``@revision`` behind it if wanted, or a folder.
            revision: Commit, branch or tag of the adapter on the hub.
            base_model: Hub name or folder of the base, if it is not where ``mner.json`` says.
            dtype: Data type of the weights; ``auto`` keeps the model's own.
            batch_size: Number of posts tagged at once.
            constrained: Whether only answers that are legal on the post are allowed; leave it on.
            context: Whether captions, tags and OCR of the pictures are in the prompt; by default as in the tuning.
            device: Device as of :meth:`from_pretrained`.

        Raises:
            ModelError: The adapter or its base cannot be loaded.
        """
        folder = tuned_folder(adapter_place(name, revision))
        if folder is None:
            raise ModelError(f"{name} holds no adapter; name one, or a base model in Tagger.from_pretrained")
        return cls.from_pretrained(
            folder,
            base_model=base_model,
            dtype=dtype,
            batch_size=batch_size,
            constrained=constrained,
            context=context,
            device=device,
        )

    @classmethod
    @checked
    def with_vllm(
        cls,
        name: str | Path,
        *,
        base_model: str | None = None,
        flags: Sequence[str] = (),
        constrained: bool = True,
        examples: Examples = (),
        context: bool | None = None,
    ) -> Tagger:
        """Start vLLM in this process.

        Args:
            name: Name as of :meth:`from_pretrained`.
            base_model: Hub name or folder of the adapter's base, if it is not where ``mner.json`` says.
            flags: Flags of vLLM itself, such as ``--max-model-len=4096``.
            constrained: Whether only answers that are legal on the post are allowed; leave it on.
            examples: Few-shot examples; the nearest of a pool are found by words.
            context: Whether captions, tags and OCR of the pictures are in the prompt; by default as in the tuning.

        Raises:
            MnerError: The model or the adapter cannot be loaded by vLLM, or vLLM does not start.
        """
        backend = engine_choice.vllm_backend(
            name, base_model=base_model, flags=flags, constrained=constrained, examples=examples
        )
        return cls._of(backend, examples, context)

    @classmethod
    @checked
    def connect(
        cls,
        endpoint: Endpoint | str,
        *,
        model: str | None = None,
        adapter: str | Path | None = None,
        examples: Examples = (),
        context: bool | None = None,
    ) -> Tagger:
        """Connect to a server that speaks OpenAI's chat completions, with the pixel limits of ``mner.json``.

        No model is loaded here. The API key is read from ``OPENAI_API_KEY``.

        Args:
            endpoint: Address of the server, or all its settings.
            model: Name under which it serves the model or the adapter, beside an address.
            adapter: Folder of the adapter that it serves: prompt, labels and answers are those of the tuning.
            examples: Few-shot examples; the nearest of a pool are found by words, as a server gives no embeddings.
            context: Whether captions, tags and OCR of the pictures are in the prompt; by default as in the tuning.

        Raises:
            ModelError: The folder is no adapter.
            ConfigError: The address is none, the answers cannot be constrained as the endpoint says, or a server of
                ``instruct-mner serve`` has a tuned model under this name, and no adapter is given.
        """
        backend = engine_choice.endpoint_backend(endpoint, model=model, adapter=adapter, examples=examples)
        return cls._of(backend, examples, context)

    @classmethod
    @checked
    def of_settings(cls, settings: TaggingSettings, examples: Examples) -> Tagger:
        """Load the model, or connect to the server, that the flags of ``tag`` name, in a single process.

        Raises:
            MnerError: The settings contradict each other, or the model or server cannot be used.
        """
        tagger = cls._of(engine_choice.choose_backend(settings, examples), examples, settings.context)
        return tagger.with_segmentation(settings.segmentation)

    @classmethod
    def _of(cls, backend: Backend, examples: Examples, context: bool | None) -> Tagger:
        manifest = with_context(backend.manifest, context)
        selector = example_selector(examples, backend.embedder, manifest.max_images, backend.engine.special_tokens())
        return cls(
            backend.engine,
            manifest,
            backend.prompt,
            constrained=backend.constrained,
            generated=backend.generated,
            selector=selector,
        )
