"""Choice of the engine: the only module that imports engines inside functions.

An engine brings the libraries that it needs with it: torch and transformers for a model in this process, vLLM, or the
client of a server. Only those of the chosen one are loaded, so that posts are tagged by a server without torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from instruct_mner.answers import codec
from instruct_mner.engines.engine import Engine
from instruct_mner.errors import ConfigError, ModelError
from instruct_mner.models.locations import check_revision
from instruct_mner.models.manifest import Manifest
from instruct_mner.models.tuned import UNKNOWN_FAMILY, heads_folder, tuned, tuned_folder, untuned, zero_shot
from instruct_mner.prompting.few_shot import has_examples
from instruct_mner.prompting.retrieval import Embedder, Pool
from instruct_mner.prompting.templates import Prompt
from instruct_mner.schema.records import Example
from instruct_mner.tagging.settings import TaggingSettings
from instruct_mner.tagging.word_embedder import WordEmbedder

if TYPE_CHECKING:
    from instruct_mner.engines.endpoint import Endpoint
    from instruct_mner.models.devices import DeviceMap
    from instruct_mner.models.loading import Dtype
    from instruct_mner.schema.labels import LabelSet
    from instruct_mner.tagging.attention_maps import AttentionMapDrawer
    from instruct_mner.tagging.tagger import Tagger

Examples = Sequence[Example] | Pool


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Engine, with all that a tagger must know of the model that it runs.

    Attributes:
        engine: Engine that answers.
        manifest: Settings of the tuning, or those of zero-shot tagging.
        prompt: Template that the manifest names.
        embedder: Embedder that finds the nearest few-shot examples of a post.
        constrained: Whether only legal answers are allowed.
        generated: Whether the engine generates the pictures of posts from their texts.
    """

    engine: Engine
    manifest: Manifest
    prompt: Prompt
    embedder: Embedder
    constrained: bool = True
    generated: bool = False


def choose_backend(settings: TaggingSettings, examples: Examples) -> Backend:
    """Load the model, or connect to the server, that the settings name.

    Args:
        settings: Settings of one process.
        examples: Few-shot examples.

    Raises:
        MnerError: The settings contradict each other, or the model or server cannot be used.
    """
    settings.check()
    if settings.endpoint is not None:
        from instruct_mner.engines.endpoint import Endpoint

        assert settings.model is not None
        endpoint = Endpoint(
            url=settings.endpoint,
            model=settings.model,
            constraint=settings.constraint if settings.constrained else "none",
            concurrency=settings.concurrency,
            scores=settings.scores,
        )
        return endpoint_backend(endpoint, adapter=settings.adapter, examples=examples)
    if settings.engine == "vllm":
        return vllm_backend(
            settings.local_name,
            base_model=settings.base_model,
            flags=settings.vllm,
            constrained=settings.constrained,
            examples=examples,
        )
    return transformers_backend(
        settings.local_name,
        base_model=settings.base_model,
        batch_size=settings.batch_size,
        constrained=settings.constrained,
        examples=examples,
        generated=settings.generated,
    )


def manifest_of(settings: TaggingSettings, examples: Examples) -> Manifest:
    """Return the manifest of :func:`choose_backend`, without loading weights.

    Raises:
        MnerError: The settings contradict each other, or the model cannot be used.
    """
    settings.check()
    if settings.endpoint is not None:
        return choose_backend(settings, examples).manifest
    name = settings.local_name
    folder = tuned_folder(name)
    if folder is not None:
        return tuned(folder, examples)[0]
    from instruct_mner.models.description import describe_model

    return untuned(describe_model(str(name)), with_examples=has_examples(examples))[0]


def reads_text_only(manifest: Manifest) -> bool:
    """Return whether a model takes no pictures; of a server's model without an adapter this is not known."""
    if manifest.family == UNKNOWN_FAMILY:
        return False
    from instruct_mner.models.families import FAMILIES

    return manifest.family in FAMILIES and not FAMILIES[manifest.family].sees


def base_engine(name: str, batch_size: int) -> Engine:
    """Load a base model into this process, for questions that are not about entities.

    Args:
        name: Hub name or folder.
        batch_size: Number of requests answered at once.

    Raises:
        ModelError: The model cannot be loaded.
    """
    from instruct_mner.engines.transformers import TransformersEngine
    from instruct_mner.models.loading import load_model

    return TransformersEngine(load_model(name), batch_size)


def transformers_backend(
    name: str | Path,
    *,
    base_model: str | None = None,
    revision: str | None = None,
    dtype: Dtype = "auto",
    batch_size: int = 64,
    constrained: bool = True,
    examples: Examples = (),
    generated: bool = False,
    device: str | None = None,
    device_map: DeviceMap | None = None,
) -> Backend:
    """Load a model into this process; arguments and errors are those of ``Tagger.from_pretrained``."""
    from instruct_mner.engines.transformers import TransformersEngine
    from instruct_mner.models.devices import check_parts, checked_device, checked_device_map, device_map_errors
    from instruct_mner.models.loading import load_adapter, load_model
    from instruct_mner.tagging.model_embedder import ModelEmbedder

    wanted = checked_device(device)
    device_map = checked_device_map(device_map, device)
    check_revision(name, revision)
    folder = tuned_folder(name, revision)
    with device_map_errors(device_map):
        if folder is None:
            if base_model is not None:
                raise ModelError(f"{name} is no adapter, so a base model beside it has no meaning")
            loaded = load_model(str(name), revision=revision, dtype=dtype, device_map=device_map, moves=wanted is None)
            manifest, prompt = untuned(loaded, with_examples=has_examples(examples))
        else:
            manifest, prompt = tuned(folder, examples)
            whole = manifest.tuning == "full"
            base, revision = (str(folder), None) if whole else manifest.base_at(base_model)
            loaded = load_model(
                base,
                revision=revision,
                dtype=dtype,
                pixels=manifest.pixels,
                device_map=device_map,
                moves=wanted is None,
            )
            if not whole:
                manifest.check_base(loaded.family.name, loaded.name)
                loaded = load_adapter(loaded, folder)
    check_parts(device_map, (part for part, _ in loaded.base.named_modules()))
    if wanted is not None:
        loaded.base.to(wanted)
    if generated:
        from instruct_mner.engines.generated import GeneratedPictureEngine

        engine: TransformersEngine = GeneratedPictureEngine(loaded, heads_folder(name), batch_size)
    else:
        engine = TransformersEngine(loaded, batch_size)
    return Backend(
        engine=engine,
        manifest=manifest,
        prompt=prompt,
        embedder=ModelEmbedder(loaded, engine, batch_size),
        constrained=constrained,
        generated=generated,
    )


def vllm_backend(
    name: str | Path,
    *,
    base_model: str | None = None,
    flags: Sequence[str] = (),
    constrained: bool = True,
    examples: Examples = (),
) -> Backend:
    """Start vLLM in this process; arguments and errors are those of ``Tagger.with_vllm``."""
    from instruct_mner.engines.vllm import VllmEngine

    plan = VllmEngine.plan(name, base_model)
    model = plan.models[0]
    manifest, prompt = model.manifest, model.prompt
    if manifest.tuning == "none":
        manifest, prompt = untuned(model.description, with_examples=has_examples(examples))
    elif has_examples(examples):
        manifest, prompt = tuned(Path(plan.base), examples)
    engine = VllmEngine(plan, flags)
    return Backend(engine=engine, manifest=manifest, prompt=prompt, embedder=WordEmbedder(), constrained=constrained)


def endpoint_backend(
    endpoint: Endpoint | str,
    *,
    model: str | None = None,
    adapter: str | Path | None = None,
    examples: Examples = (),
) -> Backend:
    """Connect to a server; arguments and errors are those of ``Tagger.connect``."""
    from instruct_mner.engines.endpoint import Endpoint, EndpointEngine

    if isinstance(endpoint, str):
        if model is None:
            raise ConfigError("give the name under which the server serves the model, model=…")
        endpoint = Endpoint(endpoint, model)
    description = None
    if adapter is None:
        _refuse_tuned(EndpointEngine(endpoint).listed, endpoint)
        manifest, prompt = zero_shot(endpoint.model, with_examples=has_examples(examples))
    else:
        from instruct_mner.models.description import describe_adapter

        folder = tuned_folder(Path(adapter)) or Path(adapter)
        manifest, prompt = tuned(folder, examples)
        description = describe_adapter(folder, manifest)
    if endpoint.constraint == "schema":
        codec.json_schema(manifest.answer)
    return Backend(
        engine=EndpointEngine(endpoint, description),
        manifest=manifest,
        prompt=prompt,
        embedder=WordEmbedder(),
        constrained=endpoint.constraint != "none",
    )


def _refuse_tuned(listed: Mapping[str, object], endpoint: Endpoint) -> None:
    """Refuse a model that a server of ours lists as tuned: asked as one that was not, it answers, and wrongly."""
    if listed.get("owned_by") == "instruct-mner" and listed.get("labels"):
        raise ConfigError(
            f"'{endpoint.model}' at {endpoint.url} was tuned, so it must be asked as in its tuning: give its adapter "
            "or run folder too (--adapter DIR; Python: adapter=…), or ask the server for entities (Client; POST "
            "/v1/entities)"
        )


def attention_map_drawer(
    settings: TaggingSettings, tagger: Tagger, folder: Path, labels: LabelSet | None
) -> AttentionMapDrawer:
    """Return what draws the attention of each mention over the pictures of its post.

    Args:
        settings: Settings of one process, with the engine ``transformers``.
        tagger: Tagger made of them.
        folder: Folder of the drawings.
        labels: Labels in place of those of the tuning.
    """
    from instruct_mner.tagging.attention_maps import AttentionMapDrawer

    return AttentionMapDrawer(tagger, heads_folder(settings.local_name), folder, labels)
