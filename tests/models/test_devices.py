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


def test_a_model_is_put_where_it_is_wanted() -> None:
    loaded = Tagger.from_pretrained("starter", device="cpu").engine.loaded  # type: ignore[attr-defined]
    assert loaded.model.device == torch.device("cpu")
