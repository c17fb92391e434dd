"""The component of spaCy: entities of a pipeline's documents."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from name_finder import NameFinder, tagger_of

from instruct_mner.errors import ConfigError
from instruct_mner.tagging.tagger import Tagger

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def test_the_entry_point_names_the_factory() -> None:
    points = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["entry-points"]["spacy_factories"]
    assert points == {"instruct_mner": "instruct_mner.tagging.spacy_component:make_component"}


def test_documents_of_a_pipeline_have_the_entities_of_the_tagger(monkeypatch: pytest.MonkeyPatch) -> None:
    spacy = pytest.importorskip("spacy", reason="spaCy, an optional extra, is not installed")
    from instruct_mner.tagging import spacy_component

    engine = NameFinder()
    monkeypatch.setattr(Tagger, "from_pretrained", lambda model: tagger_of(engine))
    nlp = spacy.blank("en")
    nlp.add_pipe(spacy_component.NAME, config={"model": "runs/tweets", "threshold": 0.2})
    one = nlp("Zoe left with Zed.")
    assert [(entity.text, entity.label_) for entity in one.ents] == [("Zoe", "PER"), ("Zed", "PER")]
    assert len(one.user_data["scores"]) == 2
    several = list(nlp.pipe(["nobody", "Zoe"], batch_size=2))
    assert [[entity.text for entity in document.ents] for document in several] == [[], ["Zoe"]]
    assert nlp.analyze_pipes()["summary"]["instruct_mner"]["assigns"] == ["doc.ents"]


def test_entities_of_components_before_it_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    spacy = pytest.importorskip("spacy", reason="spaCy, an optional extra, is not installed")
    from instruct_mner.tagging import spacy_component

    monkeypatch.setattr(Tagger, "from_pretrained", lambda model: tagger_of(NameFinder()))
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "BAND", "pattern": "Zed left"}])
    nlp.add_pipe(spacy_component.NAME, config={"model": "runs/tweets"})
    document = nlp("Zoe saw that Zed left.")
    assert [(entity.text, entity.label_) for entity in document.ents] == [("Zoe", "PER"), ("Zed left", "BAND")]
    first, second = document.user_data["scores"]
    assert first > 0
    assert second is None


def test_a_component_without_a_model_says_what_to_give() -> None:
    spacy = pytest.importorskip("spacy", reason="spaCy, an optional extra, is not installed")
    from instruct_mner.tagging import spacy_component

    with pytest.raises(ConfigError, match="give config"):
        spacy.blank("en").add_pipe(spacy_component.NAME)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"threshold": 2}, "threshold 2 is no confidence from 0 to 1"),
        ({"labels": ["PER: x"]}, "labels: .*separates"),
    ],
)
def test_settings_of_a_component_are_checked_before_the_model_is_loaded(config: dict[str, object], reason: str) -> None:
    spacy = pytest.importorskip("spacy", reason="spaCy, an optional extra, is not installed")
    from instruct_mner.tagging import spacy_component

    with pytest.raises(ConfigError, match=reason):
        spacy.blank("en").add_pipe(spacy_component.NAME, config={"model": "nothing/there", **config})
