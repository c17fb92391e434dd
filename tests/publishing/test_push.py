"""A run on the hub: its card, its files, and the upload, against a stand-in that speaks the hub's HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_stand_in import COMMIT, HubServer, StandIn, served
from huggingface_hub import ModelCard, close_session, constants, hf_api

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.cli import push as verb
from instruct_mner.errors import ConfigError, ModelError, ServingError
from instruct_mner.models.hub import fetch_adapter
from instruct_mner.models.manifest import DatasetStamp, Manifest, PromptStamp
from instruct_mner.models.tuned import heads_folder
from instruct_mner.models.weights_hash import weights_hash
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.publishing.card import read_score
from instruct_mner.publishing.push import prepare_upload, push
from instruct_mner.publishing.run_files import read_run
from instruct_mner.schema.labels import LabelSet

STAMPS = tuple(
    DatasetStamp.model_validate(
        {"role": role, "name": f"twitter2015/{split}", "format": "conll", "sha256": letter * 64, "num_posts": 9,
         "known": f"Twitter-2015 (original labels), {split}"}
    )
    for role, split, letter in (("train", "train", "a"), ("dev", "dev", "b"), ("evaluation", "test", "c"))
)  # fmt: skip


def make_run(folder: Path, base: str = "some/base") -> Path:
    """A run folder as ``finetune`` leaves it, with files that are not for others."""
    prompt = find_prompt("tag")
    adapter = folder / "adapter"
    adapter.mkdir(parents=True)
    manifest = Manifest(
        base_model=base, family="idefics3", tuning="lora", prompt=PromptStamp(name=prompt.name, sha256=prompt.sha256),
        answer=AnswerSpec(labels=LabelSet.of(["LOC", "PER"])), datasets=STAMPS,
    )  # fmt: skip
    manifest.save(adapter, prompt)
    (adapter / "adapter_model.safetensors").write_bytes(b"weights" * 100)
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base, "r": 8}))
    (adapter / "optimizer.pt").write_bytes(b"pickled")
    (adapter / "secret.json").symlink_to("/etc/hostname")
    (folder / "metrics.jsonl").write_text("{}\n")
    (folder / "README.md").write_text(
        f"# run\n\nA LoRA adapter on `{base}`.\n\n```\ninstruct-mner tag posts.jsonl --adapter {folder} -o "
        "predictions.jsonl\n```\n"
    )
    return folder


def report(path: Path, run: Path, **more: object) -> Path:
    """A report of ``evaluate --json --run``."""
    origin = {
        "run": str(run), "weights": weights_hash(run / "adapter", weights_only=True), "leaked": [],
        "chose_checkpoint": False, "guarded": True, "datasets": [each.model_dump(mode="json") for each in STAMPS],
        **more,
    }  # fmt: skip
    gold = {"name": "test", "known": "Twitter-2015 (original labels), test", "sha256": "c" * 64, "decode": "tolerant",
            "num_posts": 9}  # fmt: skip
    values = {"gold": gold, "match": "offset", "origin": origin, "micro": {"f1": 0.7345}, "span_only": {"f1": 0.8},
              "triples": None}  # fmt: skip
    path.write_text(json.dumps(values))
    return path


def changed(path: Path, **values: object) -> Path:
    """The report with other values at the top."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return path


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    with served() as server:
        yield server


@pytest.fixture
def hub(server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    server.hub = StandIn(models={}, uploads=tmp_path / "hub")
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(hf_api.api, "endpoint", server.address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    # Xet has a protocol and a server of its own; without it, large files go by LFS.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_TOKEN", server.hub.may_write)
    close_session()
    yield server.hub
    close_session()


def test_the_files_and_the_card_arrive_in_one_commit(hub: StandIn, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    upload = prepare_upload(run, "ann/mner", reports=[report(tmp_path / "r.json", run)], base=None, licence="mit")
    assert upload.describe() == [
        "ann/mner: README.md, adapter_config.json, adapter_model.safetensors, mner.json, prompt.jinja",
        "left out: optimizer.pt, secret.json",
    ]
    assert push(upload, public=False).endswith(f"/ann/mner/commit/{COMMIT}")
    published = hub.models["ann/mner"]
    assert hub.private_made == {"ann/mner": True}
    names = ["README.md", "adapter_config.json", "adapter_model.safetensors", "mner.json", "prompt.jinja"]
    assert sorted(path.name for path in published.iterdir()) == names
    for name in names[1:]:
        assert (published / name).read_bytes() == (run / "adapter" / name).read_bytes()
    assert sum(path.endswith("/commit/main") for _, path, _ in hub.requests) == 1
    # Once more: the repository is there.
    push(prepare_upload(run, "ann/mner", reports=[], base=None, licence=None), public=True)


def test_heads_that_tagging_can_use_go_along_and_are_found_again(
    hub: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    heads = run / "alignment"
    heads.mkdir()
    (heads / "heads.safetensors").write_bytes(b"heads")
    (heads / "alignment.json").write_text("{}")
    (heads / "other.pt").write_bytes(b"pickled")
    upload = prepare_upload(run, "ann/mner", reports=[], base=None, licence=None)
    assert "prompt.jinja, alignment/alignment.json, alignment/heads.safetensors" in upload.describe()[0]
    assert upload.describe()[1] == "left out: alignment/other.pt, optimizer.pt, secret.json"
    assert "`alignment/` holds the heads of the objectives" in upload.card
    push(upload, public=True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    fetched = fetch_adapter("ann/mner", None)
    assert (heads_folder(fetched) / "heads.safetensors").read_bytes() == b"heads"
    assert (heads_folder(fetched) / "alignment.json").is_file()
    assert (
        "alignment/" not in prepare_upload(make_run(tmp_path / "no"), "a/b", reports=[], base=None, licence=None).card
    )


def test_the_card_has_base_data_scores_and_label_version(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    path = report(tmp_path / "r.json", run, leaked=["train: 3 posts"])
    card = ModelCard(prepare_upload(run, "ann/mner", reports=[path], base=None, licence="mit").card)
    data = card.data.to_dict()
    assert (data["base_model"], data["datasets"], data["license"]) == (
        "some/base",
        ["twitter-2015-original-labels"],
        "mit",
    )
    assert data["label_version"] == [f"Twitter-2015 (original labels), train sha256 {'a' * 12}"]
    assert (data["library_name"], data["pipeline_tag"]) == ("peft", "token-classification")
    assert data["entity_types"] == ["LOC", "PER"]
    [index] = data["model-index"]
    assert index["name"] == "mner"
    [result] = index["results"]
    assert result["dataset"]["name"] == "Twitter-2015 (original labels), test"
    assert result["dataset"]["split"] == "test"
    assert result["dataset"]["args"] == {"sha256": "c" * 64, "decode": "tolerant", "posts": 9}
    assert [(each["name"], each["value"]) for each in result["metrics"]] == [("micro F1", 0.7345), ("span F1", 0.8)]
    assert "instruct-mner tag posts.jsonl --adapter ann/mner -o predictions.jsonl" in card.text
    assert "**LEAKED**: train: 3 posts" in card.text
    assert str(tmp_path) not in str(card)


def test_a_base_that_is_a_folder_needs_its_name_on_the_hub(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    run = make_run(tmp_path / "run", str(base))
    with pytest.raises(ConfigError, match="which nobody else has; name the base on the hub by --base-model"):
        read_run(run, None)
    upload = prepare_upload(run, "ann/mner", reports=[], base="some/base", licence=None)
    contents = dict(upload.run.contents())
    for name, key in (("mner.json", "base_model"), ("adapter_config.json", "base_model_name_or_path")):
        content = contents[name]
        assert isinstance(content, bytes)
        assert json.loads(content)[key] == "some/base"
    assert str(tmp_path) not in upload.card + str(contents["mner.json"])


def test_the_starter_is_no_model_of_the_hub(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "starter")
    card = ModelCard(prepare_upload(run, "ann/mner", reports=[], base=None, licence=None).card)
    assert "base_model" not in card.data.to_dict()
    assert "model-index" not in card.data.to_dict()


def test_what_cannot_be_published_is_said(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(ConfigError, match="named USER/NAME"):
        prepare_upload(run, "mner", reports=[], base=None, licence=None)
    for name in ("ann/a--b", "ann/mner.git", "ann/-x", "ann/" + "x" * 97, "ann/n\xe4me", "ann/b/c", ""):
        with pytest.raises(ConfigError, match="the hub takes no such name; write USER/NAME: "):
            prepare_upload(run, name, reports=[], base=None, licence=None)
    weights = run / "adapter" / "adapter_model.safetensors"
    elsewhere = weights.rename(tmp_path / "weights.safetensors")
    weights.symlink_to(elsewhere)
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors: a symbolic link, which is not followed"):
        read_run(run, None)
    weights.unlink()
    with pytest.raises(ModelError, match="no weights as safetensors"):
        read_run(run, None)


def test_a_set_that_chose_the_checkpoint_is_no_test_set(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    gold = {"name": "ed/dev", "known": None, "sha256": "b" * 64, "decode": "tolerant", "num_posts": 9}
    chose = changed(report(tmp_path / "dev.json", run, chose_checkpoint=True, guarded=False), gold=gold)
    on_test = report(tmp_path / "on_test.json", run, chose_checkpoint=True)
    other = changed(report(tmp_path / "other.json", run, guarded=False), gold={**gold, "name": "other"})
    card = ModelCard(prepare_upload(run, "a/b", reports=[chose, on_test, other], base=None, licence=None).card)
    results = card.data.to_dict()["model-index"][0]["results"]
    assert {(each["dataset"]["name"], each["dataset"].get("split")) for each in results} == {
        ("ed/dev", "validation"), ("Twitter-2015 (original labels), test", "validation"), ("other", None),
    }  # fmt: skip
    assert "**NOTE**: ed/dev: this gold chose the checkpoint: the score flatters" in card.text
    assert "**NOTE**: other: leaks of this gold into the training data were not looked for" in card.text
    assert "| test |" not in card.text


def test_a_report_of_another_run_is_refused_and_calibration_makes_none(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    path = report(tmp_path / "r.json", run)
    weights = weights_hash(run / "adapter", weights_only=True) or ""
    # `calibrate` writes into the manifest, and the folder may have moved.
    (run / "adapter" / "mner.json").write_text((run / "adapter" / "mner.json").read_text() + "\n")
    moved = run.rename(tmp_path / "moved")
    assert prepare_upload(moved, "a/b", reports=[path], base=None, licence=None).card
    (moved / "adapter" / "adapter_model.safetensors").write_bytes(b"others" * 100)
    with pytest.raises(ConfigError, match=r"is of a run with other weights, .*run; score the predictions of this run"):
        prepare_upload(moved, "a/b", reports=[path], base=None, licence=None)
    wrong: list[dict[str, object]] = [{"origin": None}, {"micro": {"f1": None}}, {"micro": {"f1": 73.45}}, {"gold": {}}]
    for values in wrong:
        with pytest.raises(ConfigError, match="not the report of one run"):
            read_score(changed(report(path, moved), **values), weights)
    path.write_text("[]")
    with pytest.raises(ConfigError, match="not the report of one run"):
        read_score(path, weights)


def test_a_report_of_other_pictures_is_refused(tmp_path: Path) -> None:
    """Arms of an experiment tag with the weights of another, without pictures or with those of other posts."""
    run = make_run(tmp_path / "run")
    path = report(tmp_path / "r.json", run)
    for pictures in ("shuffled", "none", "generated"):
        values = json.loads(path.read_text())
        values["origin"]["pictures"] = pictures
        path.write_text(json.dumps(values))
        with pytest.raises(ConfigError, match=rf"with their own pictures \({pictures}\); give the report of"):
            prepare_upload(run, "a/b", reports=[path], base=None, licence=None)


def test_the_token_is_that_of_the_environment(hub: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = prepare_upload(make_run(tmp_path / "run"), "ann/mner", reports=[], base=None, licence=None)
    monkeypatch.setenv("HF_TOKEN", "hf_may_read")
    with pytest.raises(ServingError, match="give HF_TOKEN a token that may write to ann/mner"):
        push(upload, public=False)
    monkeypatch.delenv("HF_TOKEN")
    # One that lies on the disk is not used.
    (tmp_path / "token").write_text(hub.may_write)
    with pytest.raises(ConfigError, match="HF_TOKEN is not set"):
        push(upload, public=False)
    monkeypatch.setenv("HF_TOKEN", hub.may_write)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="HF_HUB_OFFLINE forbids"):
        push(upload, public=False)
    assert not hub.models


def test_a_dry_run_prints_the_card_and_asks_nobody(
    hub: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run")
    verb.run(run, "ann/mner", dry_run=True)
    assert "base_model: some/base" in capsys.readouterr().out
    assert not hub.requests
    verb.run(run, "ann/mner", public=True)
    assert capsys.readouterr().out.endswith(f"/ann/mner/commit/{COMMIT}\n")
    assert hub.private_made == {"ann/mner": False}


def test_a_base_of_another_name_has_no_commit_of_the_first(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    manifest, prompt = Manifest.load(run / "adapter")
    manifest.model_copy(update={"base_revision": "abc"}).save(run / "adapter", prompt)
    (run / "README.md").write_text("A LoRA adapter on `some/base` at revision `abc`.\n")
    for base, name, revision in ((None, "some/base", "abc"), ("other/base", "other/base", None)):
        upload = prepare_upload(run, "ann/mner", reports=[], base=base, licence=None)
        content = dict(upload.run.contents())["mner.json"]
        values = json.loads(content if isinstance(content, bytes) else content.read_text())
        assert (values["base_model"], values["base_revision"]) == (name, revision)
        assert ("`some/base` at revision `abc`." if revision else "`other/base`.") in upload.card
