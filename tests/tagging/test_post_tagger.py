"""A tagger of posts on any engine, without a model."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from name_finder import NameFinder
from PIL import Image

from instruct_mner.console import quiet_libraries
from instruct_mner.errors import ConfigError, HiddenPicturesWarning
from instruct_mner.models.tuned import zero_shot
from instruct_mner.schema.records import Example
from instruct_mner.tagging.hidden_pictures import most_shown
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


def test_pictures_that_are_not_shown_are_told_once_and_the_commands_tell_them_themselves(tmp_path: Path) -> None:
    manifest, prompt = zero_shot("m", family="llama", max_images=0)
    several, _ = zero_shot("m", max_images=1)
    assert (most_shown(manifest), most_shown(several)) == (0, 1)
    picture = Image.new("RGB", (8, 8))
    picture.save(tmp_path / "a.png")
    post = Example(id="1", text="Zoe left", images=("a.png", "a.png"))
    files = [tmp_path / "a.png"] * 2

    def warned(tagger: PostTagger) -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tagger("Zoe left", images=[picture] * 2, labels=["PER"])
            list(tagger.predict([post], lambda _: files, labels=["PER"]))
        return [str(each.message) for each in caught if each.category is HiddenPicturesWarning]

    words = "some of the posts have more pictures than are shown: of each the first 1 (max_images)"
    assert warned(PostTagger(NameFinder(), several, prompt)) == [words] * 2
    words = "some of the posts have pictures, which are not shown: llama reads text only"
    tagger = PostTagger(NameFinder(), manifest, prompt)
    assert warned(tagger) == [words] * 2
    with warnings.catch_warnings(record=True) as caught:
        quiet_libraries()
        list(tagger.predict([post], lambda _: files, labels=["PER"]))
    assert not caught


def test_a_tagger_of_a_model_is_one() -> None:
    assert issubclass(Tagger, PostTagger)
