"""Loading from the hub, against a stand-in that speaks its HTTP: messages, downloads that are resumed, progress."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import torch
from hub_stand_in import COMMIT, HubServer, StandIn, served
from huggingface_hub import close_session, constants, hf_api
from safetensors.torch import load_file
from transformers.utils import hub as transformers_hub

from instruct_mner.cli import calibrate, merge
from instruct_mner.console import Work
from instruct_mner.errors import ConfigError, ModelError
from instruct_mner.models import hub as hub_module
from instruct_mner.models import merging
from instruct_mner.models.description import describe_model, tuned_before
from instruct_mner.models.hub import check_whole_model, fetch_tuned
from instruct_mner.models.loading import load_model
from instruct_mner.models.locations import STARTER_FOLDER, adapter_place
from instruct_mner.tagging import calibrate as calibration
from instruct_mner.tagging.engine_choice import manifest_of
from instruct_mner.tagging.precheck import check_labels_are_known
from instruct_mner.tagging.settings import TaggingSettings
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.vllm_runtime.plan import make_plan

NAME = "someone/tiny"
DEMO = Path(__file__).parents[2] / "eval" / "results" / "starter-demo"


@pytest.fixture(scope="module")
def published(tiny_models, tmp_path_factory) -> Path:
    """The tiny model as the hub has larger ones: its weights in three files with an index, and other forms beside."""
    folder = tmp_path_factory.mktemp("published") / "tiny"
    shutil.copytree(tiny_models("idefics3"), folder)
    loaded = load_model(str(folder))
    (folder / "model.safetensors").unlink()
    total = sum(weight.numel() * weight.element_size() for weight in loaded.base.state_dict().values())
    loaded.base.save_pretrained(folder, max_shard_size=total // 2)
    assert len(shards(folder)) > 1
    (folder / "consolidated.safetensors").write_bytes(b"the same weights in another form")
    (folder / "pytorch_model.bin").write_bytes(b"pickled")
    return folder


def shards(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("model-*.safetensors"))


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    with served() as server:
        yield server


@pytest.fixture
def hub(server, published, tmp_path, monkeypatch) -> Iterator[StandIn]:
    server.hub = StandIn(models={NAME: published})
    address = server.address
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(hf_api.api, "endpoint", address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    fetch_tuned.cache_clear()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    # Between two tries of a download that broke off.
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    # The client of transformers keeps the address of its first use.
    monkeypatch.setattr(transformers_hub, "_hf_api", None, raising=False)
    close_session()
    yield server.hub
    close_session()


def test_a_model_in_shards_is_downloaded_once_with_progress(hub, published, monkeypatch) -> None:
    works: list[Work] = []

    @contextmanager
    def working(doing: str, total: int | None = None, unit: str = "posts") -> Iterator[Work]:
        works.append(Work(doing, total, unit))
        yield works[-1]

    monkeypatch.setattr(hub_module, "working", working)
    # Progress is in megabytes, of which this model has not one.
    monkeypatch.setattr(hub_module, "_MEGABYTE", 1000)
    loaded = load_model(NAME)
    assert (loaded.name, loaded.revision) == (NAME, COMMIT)
    state = loaded.base.state_dict()
    for file in published.glob("model-*.safetensors"):
        assert all(torch.equal(state[name], weight) for name, weight in load_file(file).items())
    [work] = works
    assert (work.doing, work.unit) == (f"downloading {NAME}", "MB")
    assert work.completed == work.total
    assert work.total >= sum(file.stat().st_size for file in published.glob("model-*.safetensors")) // 1000
    assert not hub.ranges("consolidated.safetensors")
    assert not hub.ranges("pytorch_model.bin")
    assert [hub.ranges(shard) for shard in shards(published)] == [[None]] * len(shards(published))
    load_model(NAME)
    assert [hub.ranges(shard) for shard in shards(published)] == [[None]] * len(shards(published))


def test_a_model_of_the_hub_brings_its_manifest(hub, published, tmp_path) -> None:
    assert tuned_before(load_model(NAME)) is None
    tuned = tmp_path / "tuned"
    shutil.copytree(published, tuned)
    for name in ("mner.json", "prompt.jinja"):
        shutil.copy(STARTER_FOLDER / name, tuned)
    hub.models["someone/tuned"] = tuned
    before = tuned_before(load_model("someone/tuned"))
    assert before is not None
    assert before.tuning == "full"


def test_a_fully_tuned_model_of_the_hub_is_asked_as_it_was_tuned(hub, published) -> None:
    hub.models |= {"someone/tuned": STARTER_FOLDER, "someone/adapter": DEMO}
    plain = Tagger.from_pretrained(NAME)
    assert plain.manifest.tuning == "none"
    tuned = Tagger.from_pretrained("someone/tuned")
    assert (tuned.manifest.tuning, tuned.labels) == ("full", Tagger.from_pretrained("starter").labels)
    assert Tagger.from_pretrained("someone/adapter").manifest.tuning == "lora"
    for name, told in ((NAME, None), ("someone/tuned", "full"), ("someone/adapter", "lora")):
        settings = TaggingSettings(model=name)
        known = told is not None
        with nullcontext() if known else pytest.raises(ConfigError, match="was not tuned"):
            check_labels_are_known(settings, None)
        assert manifest_of(settings, ()).tuning == (told or "none")
    assert make_plan((), "someone/tuned").whole.manifest.tuning == "full"
    # The hub is asked once.
    hub.requests.clear()
    assert fetch_tuned(NAME, None) is None
    assert hub.requests == []
    # No name of the hub, which loading it tells.
    assert fetch_tuned("someone/a--b", None) is None


def test_a_download_that_breaks_off_goes_on_where_it_was(hub, published, monkeypatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    shard = shards(published)[0]
    hub.cuts[shard] = 2
    loaded = load_model(NAME, revision=COMMIT)
    first, second, third = hub.ranges(shard)
    half = (published / shard).stat().st_size // 2
    assert (first, second) == (None, f"bytes={half // 1000 * 1000}-")
    assert third not in {None, second}
    state = loaded.base.state_dict()
    assert all(torch.equal(state[name], weight) for name, weight in load_file(published / shard).items())


def test_a_download_that_does_not_end_is_one_message_and_nothing_is_downloaded_twice(hub, published) -> None:
    complete, *_, broken = shards(published)
    hub.cuts[broken] = 1000
    message = (
        r"model someone/tiny cannot be loaded: the connection to http://127\.0\.0\.1.* failed .*run the command again"
    )
    with pytest.raises(ModelError, match=message):
        load_model(NAME)
    assert hub.ranges(complete) == [None]
    hub.cuts.clear()
    assert load_model(NAME).revision == COMMIT
    assert hub.ranges(complete) == [None]


@pytest.mark.parametrize("load", [check_whole_model, describe_model, load_model])
@pytest.mark.parametrize(
    ("name", "revision", "message"),
    [
        ("gated/tiny", None, r"access to it is restricted: ask for it at http.*/gated/tiny, then log in with 'hf auth"),
        ("private/tiny", None, r"there is no such folder, and no such model on the hub.*private, log in"),
        ("someone/tyni", None, r"there is no such folder, and no such model on the hub: correct the name"),
        (NAME, "v2", r"it has no revision 'v2': give a branch, a tag or a commit of http.*/someone/tiny"),
    ],
)
def test_what_the_hub_refuses_is_said_with_what_to_do(hub, published, load, name, revision, message) -> None:
    hub.models |= {"gated/tiny": published, "private/tiny": published}
    hub.gated, hub.private = {"gated/tiny"}, {"private/tiny"}
    with pytest.raises(ModelError, match=f"model {name} cannot be loaded: {message}"):
        load(name, revision=revision)


def test_what_is_no_whole_model_of_the_hub_is_told_without_its_weights(hub: StandIn, published, tmp_path: Path) -> None:
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "adapter_config.json").write_text("{}")
    hub.models["someone/lora"] = tmp_path / "lora"
    with pytest.raises(
        ModelError, match=r"model someone/lora cannot be loaded: it has no config\.json: is it an adapter"
    ):
        check_whole_model("someone/lora")
    check_whole_model(NAME, COMMIT)
    assert not [request for request in hub.requests if "safetensors" in str(request)]


def test_a_token_opens_a_gated_model(hub, published, monkeypatch) -> None:
    hub.models["gated/tiny"], hub.gated = published, {"gated/tiny"}
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert describe_model("gated/tiny").revision == COMMIT
    monkeypatch.setenv("HF_TOKEN", "hf_of_someone_else")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", f"{constants.HF_HUB_CACHE}-2")
    with pytest.raises(ModelError, match="access to it is restricted"):
        describe_model("gated/tiny")


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model-00001"])
def test_a_file_that_is_missing_is_named(hub, published, file: str) -> None:
    hub.missing = {path.name for path in published.glob(f"{file}*")}
    assert len(hub.missing) == 1
    with pytest.raises(ModelError, match="model someone/tiny cannot be loaded: ") as caught:
        load_model(NAME)
    assert "a hub name or a folder with config.json" in str(caught.value)
    if file != "tokenizer.json":
        assert file in str(caught.value)


def test_what_was_downloaded_is_loaded_without_the_hub(hub, monkeypatch) -> None:
    load_model(NAME)
    asked = len(hub.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    close_session()
    assert load_model(NAME).revision == COMMIT
    with pytest.raises(ModelError, match="not in the cache, and HF_HUB_OFFLINE forbids to ask the hub"):
        load_model("someone/other")
    assert len(hub.requests) == asked


def test_a_hub_that_is_not_there(hub, monkeypatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(hf_api.api, "endpoint", "http://127.0.0.1:9")
    template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    with pytest.raises(ModelError, match=r"http://127\.0\.0\.1:9 (cannot be reached|failed)"):
        describe_model(NAME)


def test_an_adapter_is_downloaded_by_its_name_without_programs(hub: StandIn, tmp_path: Path) -> None:
    folder = tmp_path / "pushed"
    folder.mkdir()
    for file in ("adapter_config.json", "adapter_model.safetensors", "mner.json", "prompt.jinja", "run.py", "rank.bin"):
        (folder / file).write_text("{}", encoding="utf-8")
    hub.models["someone/tweets"] = folder
    place = adapter_place("someone/tweets@main")
    assert sorted(file.name for file in place.iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors", "mner.json", "prompt.jinja",
    ]  # fmt: skip
    assert adapter_place("someone/tweets", COMMIT) == place
    with pytest.raises(ModelError, match="has no revision 'nowhere'"):
        adapter_place("someone/tweets", "nowhere")
    with pytest.raises(ModelError, match="no such model on the hub"):
        adapter_place("someone/else")


def test_calibrate_merge_and_serve_take_an_adapter_of_the_hub(hub: StandIn, tmp_path: Path, monkeypatch) -> None:
    hub.models["someone/tweets"] = Path(__file__).parents[2] / "eval" / "results" / "starter-demo"
    folders: list[Path] = []
    monkeypatch.setattr(merging, "merge_adapter", lambda adapter, output, base_model: folders.append(adapter))
    merge.run("someone/tweets", tmp_path / "merged")
    plan = make_plan(("someone/tweets@main",))
    assert [model.name for model in plan.models] == ["tweets", "starter"]
    assert [model.name for model in make_plan((f"mine=someone/tweets@{COMMIT}",)).models] == ["mine", "starter"]
    folders += [model.folder for model in plan.adapters if model.folder is not None]

    def noted(settings: TaggingSettings, *_: object, **__: object) -> None:
        assert isinstance(settings.adapter, Path)
        folders.append(settings.adapter)
        raise ModelError("nothing is calibrated here")

    monkeypatch.setattr(calibration, "calibrate", noted)
    with pytest.raises(ModelError, match="nothing is calibrated here"):
        calibrate.run("someone/tweets", "dev.jsonl")
    assert [folder.resolve() for folder in folders] == [adapter_place("someone/tweets").resolve()] * 3
    with pytest.raises(ModelError, match="no such model on the hub"):
        make_plan(("someone/else",))


def test_a_folder_is_never_looked_for_on_the_hub(hub: StandIn, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("someone/tweets").mkdir(parents=True)
    assert adapter_place("someone/tweets") == Path("someone/tweets")
    assert adapter_place(tmp_path / "not here") == tmp_path / "not here"
    assert not hub.requests


def test_a_package_that_a_model_needs_is_named() -> None:
    message = "model m cannot be loaded: It requires timm "
    with pytest.raises(ModelError, match=message), hub_module.hub_errors("m", None, "config.json is needed"):
        raise ImportError("\nIt requires timm\nInstall it")


@pytest.mark.parametrize("load", [Tagger.from_pretrained, Tagger.from_adapter])
def test_a_revision_of_what_is_no_model_of_the_hub_is_refused(load, tmp_path: Path) -> None:
    for name in ("starter", str(tmp_path)):
        with pytest.raises(ConfigError, match=f"revision 'abc' has no effect on {name}, which .*; leave it out"):
            load(name, revision="abc")
