"""Names of devices: understood, or refused before anything is loaded."""

from __future__ import annotations

import pytest
import torch

from instruct_mner import Tagger
from instruct_mner.errors import ConfigError
from instruct_mner.models.devices import checked_device


def test_devices_by_name() -> None:
    assert checked_device(None) is checked_device("auto") is None
    assert checked_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "meta", "xpu", "", "cpu:cpu"])
def test_what_is_no_device_is_refused_with_the_names(name: str) -> None:
    with pytest.raises(ConfigError, match="write cpu, cuda, cuda:1, mps, or auto"):
        checked_device(name)


def test_a_device_that_is_not_here_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert checked_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ConfigError, match=r"PyTorch sees 2 GPU\(s\) here"):
        checked_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"PyTorch sees 0 GPU\(s\) here"):
        Tagger.from_pretrained("starter", device="cuda")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no GPU of Apple"):
        checked_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert checked_device("mps") == torch.device("mps")


@pytest.mark.parametrize(
    ("device_map", "device", "message"),
    [
        ("everywhere", None, "write auto, balanced"),
        ("auto", "cpu", "give one of the two"),
        ({"": "gpu"}, None, "write cpu, cuda"),
        ({"": "auto"}, None, "the number of a GPU"),
        ({"": 7}, None, "PyTorch sees 0 GPU"),
        ({"nowhere": "cpu"}, None, "is no part of the model"),
        ({}, None, "device_map must be"),
    ],
)
def test_a_distribution_that_cannot_be_is_refused(device_map, device: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Tagger.from_pretrained("starter", device_map=device_map, device=device)


@pytest.mark.parametrize("device_map", ["auto", {"": "cpu"}, {"model": "cpu", "lm_head": "cpu"}])
def test_a_distributed_model_tags(device_map) -> None:
    tagger = Tagger.from_pretrained("starter", device_map=device_map)
    plain = Tagger.from_pretrained("starter", device="cpu")
    text = "Kevin Durant visited Chicago"
    assert tagger(text, progress=False).entities == plain(text, progress=False).entities


def test_a_model_is_put_where_it_is_wanted() -> None:
    loaded = Tagger.from_pretrained("starter", device="cpu").engine.loaded  # type: ignore[attr-defined]
    assert loaded.model.device == torch.device("cpu")
