"""Posts without a picture, answered from one that is generated from their text, before a vLLM that answers by rule."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from conftest import LIMITS
from fake_server import FakeServer, chat, serving, token
from PIL import Image
from runs import QUIET, config_of
from safetensors.torch import load_file, save_file

from instruct_mner.engines.generated import GeneratedPictureEngine
from instruct_mner.engines.generated_endpoint import GeneratedPictureEndpoint
from instruct_mner.errors import ConfigError, ModelError
from instruct_mner.schema.records import Example
from instruct_mner.serving.application import make_taggers
from instruct_mner.serving.entities_models import EntitiesRequest
from instruct_mner.serving.entities_route import EntityService
from instruct_mner.serving.generated_pictures import load_generator, make_generating
from instruct_mner.serving.metrics import Counters
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.training.config import load_config
from instruct_mner.training.finetune import finetune
from instruct_mner.vllm_runtime.plan import make_plan

ANSWER = "PER: Ann"
TEXT = "Ann is here"


@pytest.fixture(scope="module")
def tuned(tiny_models: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that tunes a tiny model of a family with a generator."""

    def tune(family: str, more: dict[str, object] | None = None, **alignment: object) -> Path:
        folder = tmp_path_factory.mktemp(family)
        changes = {"alignment": alignment, "optimizer": {"max_steps": 2}, **(more or {})}
        return finetune(load_config(config_of(tiny_models(family), folder, **changes), ["data.dev=null"]), QUIET)

    return tune


@pytest.fixture
def vllm() -> Iterator[FakeServer]:
    with serving(lambda body, number: (200, chat(ANSWER, logprobs=[token(ANSWER)]))) as server:
        yield server


class Pictures:
    """A decoder that gives a picture for each that is sent."""

    @asynccontextmanager
    async def images(self, sources: list[str]) -> AsyncIterator[tuple[Image.Image, ...]]:
        yield tuple(Image.new("RGB", (40, 30), "navy") for _ in sources)


def decoded(text: str) -> np.ndarray:
    return np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False)


def picture_part(body: dict[str, Any]) -> dict[str, Any]:
    [part] = [each for each in body["messages"][-1]["content"] if each["type"] != "text"]
    return part


@pytest.mark.parametrize("family", ["idefics3", "qwen3_vl"])
def test_features_are_sent_where_there_is_no_picture(family: str, tuned: Callable[..., Path], vllm: FakeServer) -> None:
    run = tuned(family, generative={"width": 16, "grid": 2, "generated_share": 1.0})
    plan = make_plan((f"tuned={run}",))
    generator = load_generator(plan)
    pictureless = make_generating(plan, generator, vllm.url, "key", 4096)
    taggers = make_taggers(plan, vllm.url, "key", 4096)
    client = taggers["tuned"][1].client()
    service = EntityService(taggers, client, LIMITS, Counters(), cast(Any, Pictures()), pictureless=pictureless)

    async def ask() -> list[Any]:
        return [await service.answer(EntitiesRequest(text=TEXT, images=images)) for images in ([], ["a picture"])]

    answers = asyncio.run(ask())
    assert [[each.text for each in answer.entities] for answer in answers] == [["Ann"], ["Ann"]]
    without, with_picture = map(picture_part, vllm.bodies)
    assert with_picture["type"] == "image_url"
    sent = without["image_embeds"]
    if family == "qwen3_vl":
        assert decoded(sent["image_grid_thw"]).tolist() == [1, 4, 4]
        sent = sent["image_embeds"]
    # What the same post is answered from in this process.
    tagger = Tagger.from_pretrained(run, dtype=cast(Any, plan.dtype), generated=True, device="cpu")
    assert isinstance(tagger.engine, GeneratedPictureEngine)
    post = (Example(id="a", text=TEXT), ())
    [question], _ = tagger.questions_about([post], tagger.answer_spec())
    [expected] = tagger.engine.generator.pictures([question.request])
    assert len(expected) == 4
    np.testing.assert_allclose(decoded(sent), expected.float().numpy(), rtol=1e-5)
    # A prompt has at most as many tokens as are counted for it.
    ids = tagger.engine.inputs([question.request])["input_ids"]
    engine = pictureless["tuned"][1]
    assert isinstance(engine, GeneratedPictureEndpoint)
    assert ids.shape[1] <= engine.count_prompt(question.request) <= ids.shape[1] + 300


def test_a_model_that_was_tuned_in_full_generates(tuned: Callable[..., Path]) -> None:
    run = tuned("idefics3", {"tuning": "full"}, generative={"width": 16, "grid": 2, "generated_share": 1.0})
    assert load_generator(make_plan((f"tuned={run}",))).grid == 2


def test_who_cannot_generate_is_told(tuned: Callable[..., Path], tiny_models: Callable[[str], Path]) -> None:
    run = tuned("idefics3", generative={"width": 16, "grid": 2, "generated_share": 0.0})
    with pytest.raises(ModelError, match="no post was answered from a generated picture in training"):
        load_generator(make_plan((f"tuned={run}",)))
    blind = tuned("idefics3", generative={"width": 16, "grid": 2, "generated_share": 1.0})
    heads = blind / "alignment" / "heads.safetensors"
    save_file({name: value * (not name.endswith(".scale")) for name, value in load_file(heads).items()}, heads)
    with pytest.raises(ModelError, match="no picture was seen in training; a generated picture needs"):
        load_generator(make_plan((f"tuned={blind}",)))
    with pytest.raises(ConfigError, match="name one adapter, and start a server for each"):
        load_generator(make_plan((f"a={run}", f"b={run}")))
    with pytest.raises(ConfigError, match="not generated for models of type gemma3; for idefics3, smolvlm"):
        load_generator(make_plan((), str(tiny_models("gemma3"))))
    with pytest.raises(ModelError, match=r"needs a model tuned with alignment\.generative"):
        load_generator(make_plan((), str(tiny_models("idefics3"))))
