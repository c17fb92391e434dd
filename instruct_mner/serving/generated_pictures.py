"""Answers to posts without a picture from one that is generated from their text: what ``serve`` needs for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instruct_mner.engines.endpoint import Endpoint
from instruct_mner.engines.generated import GeneratedPictureEngine, PictureGenerator
from instruct_mner.engines.generated_endpoint import GeneratedPictureEndpoint
from instruct_mner.errors import ConfigError
from instruct_mner.models.families import FAMILIES
from instruct_mner.tagging.tagger import Tagger

if TYPE_CHECKING:
    from instruct_mner.models.loading import Dtype
    from instruct_mner.serving.application import Taggers
    from instruct_mner.vllm_runtime.plan import Plan


def load_generator(plan: Plan) -> PictureGenerator:
    """Load what generates pictures of posts without one: the model that is served, a second time, on the CPU.

    Raises:
        ConfigError: Several models that were tuned are served, or vLLM takes no features for this family.
        ModelError: The model was not tuned with ``alignment.generative``, or cannot be loaded.
    """
    flag = "--missing-image generate"
    model, family = plan.models[0], plan.whole.description.family
    if len(plan.adapters) > 1:
        raise ConfigError(f"{flag}: the model is loaded a second time; name one adapter, and start a server for each")
    if not family.takes_features:
        names = ", ".join(each.name for each in FAMILIES.values() if each.takes_features)
        raise ConfigError(f"{flag}: pictures are not generated for models of type {family.name}; for {names}")
    place = plan.base if model.folder is None else model.folder
    # One that was tuned in full lies where vLLM takes it from.
    base = None if model.folder is None else plan.base
    dtype: Dtype = "float32" if plan.dtype == "float32" else "bfloat16"
    tagger = Tagger.from_pretrained(place, base_model=base, dtype=dtype, generated=True, device="cpu")
    assert isinstance(tagger.engine, GeneratedPictureEngine)
    return tagger.engine.generator


def make_generating(plan: Plan, generator: PictureGenerator, url: str, private_key: str, window: int) -> Taggers:
    """Return the tagger of posts without a picture, which is generated from their texts, by the model's name."""
    model = plan.models[0]
    endpoint = Endpoint(url, model.name, max_retries=0, window=window)
    engine = GeneratedPictureEndpoint(endpoint, model.description, private_key, generator)
    return {model.name: (Tagger(engine, model.manifest, model.prompt, generated=True), engine)}
