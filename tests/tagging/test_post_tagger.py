"""A tagger of posts on any engine, without a model."""

from __future__ import annotations

import pytest
from name_finder import NameFinder

from instruct_mner.errors import ConfigError
from instruct_mner.models.tuned import zero_shot
from instruct_mner.schema.records import Example
from instruct_mner.tagging.post_tagger import PostTagger
from instruct_mner.tagging.tagger import Tagger


def test_any_engine_answers_and_posts_keep_their_order() -> None:
    manifest, prompt = zero_shot("m")
    lines = manifest.model_copy(update={"answer": manifest.answer.model_copy(update={"format": "lines"})})
    tagger = PostTagger(NameFinder(), lines, prompt)
    posts = [Example(id=str(number), text=f"{'so ' * (9 - number)}Zoe left") for number in range(9)]
    found = list(tagger.predict(posts, labels=["PER"]))
    assert [each.id for each in found] == [post.id for post in posts]
    assert all([entity.text for entity in each.entities] == ["Zoe"] for each in found)
    with pytest.raises(ConfigError, match="labels"):
        list(tagger.predict(posts))


def test_a_tagger_of_a_model_is_one() -> None:
    assert issubclass(Tagger, PostTagger)
