"""A tagger of posts on any engine, without a model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from name_finder import NameFinder, tagger_of
from PIL import Image

from instruct_mner.console import quiet_libraries
from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.engines.engine import Request
from instruct_mner.errors import ConfigError, HiddenPicturesWarning
from instruct_mner.models.tuned import zero_shot
from instruct_mner.prompting.retrieval import Pool
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.tagging.examples import example_selector
from instruct_mner.tagging.hidden_pictures import most_shown
from instruct_mner.tagging.input import PostSource
from instruct_mner.tagging.post_tagger import PostTagger
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.tagging.word_embedder import WordEmbedder


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


def test_the_nearest_examples_of_a_text_are_the_same_wherever_it_stands(tmp_path: Path) -> None:
    manifest, prompt = zero_shot("m", with_examples=True)
    texts = ["Zoe scored twice for Arsenal", "the budget of London", "a new album is out"]
    for name in ("0", "1", "post"):
        ids = (name, "x", "y")
        write_jsonl(
            tmp_path / "pool.jsonl",
            [Example(id=identifier, text=text, entities=()) for identifier, text in zip(ids, texts, strict=True)],
        )
        pool, engine = Pool.load(str(tmp_path / "pool.jsonl"), 1), NameFinder()
        selector = example_selector(pool, WordEmbedder(), 1, engine.special_tokens())
        tagger = PostTagger(engine, manifest, prompt, selector=selector)
        tagger(["Zoe scored for Arsenal"] * 3, labels=["PER"])
        tagger.predict_entities("Zoe scored for Arsenal", ["PER"])
        list(tagger.predict(PostSource(text="Zoe scored for Arsenal").load().posts(), labels=["PER"]))
        assert len(engine.requests) == 5
        assert all(texts[0] in str(request.messages) for request in engine.requests)
        # A post with an id of its own is never its own example.
        list(tagger.predict([Example(id=name, text="Zoe scored for Arsenal")], labels=["PER"]))
        assert texts[0] not in str(engine.requests[-1].messages)


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


class BoxFinder(NameFinder):
    """A name finder that sees each name on the last picture."""

    @staticmethod
    def lines(request: Request) -> list[str]:
        number = f"{len(request.images)}, " if len(request.images) > 1 else ""
        return [f"{line} [{number}0, 0, 500, 1000]" for line in NameFinder.lines(request)]


@pytest.mark.parametrize("num_words", [2, 500], ids=["whole", "in windows"])
def test_boxes_are_on_pictures_however_they_are_given(num_words: int, tmp_path: Path) -> None:
    tagger = tagger_of(BoxFinder(), grounded=True)
    tagger = tagger._with_manifest(tagger.manifest.model_copy(update={"max_images": 2}))
    picture, file, text = Image.new("RGB", (8, 8)), tmp_path / "a.png", " ".join(["Zoe", *["left"] * (num_words - 1)])
    picture.save(file)

    def box_of(found: Prediction) -> tuple[int, tuple[str, ...]]:
        assert (found.windows is not None) == (num_words > 400)
        [[box]] = [entity.boxes or () for entity in found.entities]
        assert box.box == (0, 0, 4, 8)
        return box.image, found.images

    assert box_of(tagger(text, images=file)) == (0, (str(file),))
    assert box_of(tagger([text], images=[[picture, str(file)]])[0]) == (1, ("picture 0", str(file)))
    assert box_of(tagger(text, images=[file.read_bytes()])) == (0, ("picture 0",))
    for post, names in ((Example(id="1", text=text), ()), (Example(id="1", text=text, images=("x.png",)), ("x.png",))):
        assert box_of(tagger.predict_opened([(post, (picture,))])[0]) == (0, names or ("picture 0",))
        # As with the pictures of another post, which may be more.
        [several] = tagger.predict([post], lambda _: [str(file), file])
        assert box_of(several) == (1, (*(names or ("picture 0",)), "picture 1"))
    for given in (file, picture, str(file), file.read_bytes()):
        [entity] = tagger.predict_entities(text, image=given)
        assert entity["boxes"] == ({"image": 0, "box": (0, 0, 4, 8)},)


@pytest.mark.parametrize(
    ("returned", "reason"),
    [(None, "None"), ("a.png", "'a.png'"), ([3], "one of int"), ([b"a", None], "one of bytes, NoneType")],
)
def test_a_function_that_finds_no_list_of_pictures_is_told_with_the_post(returned: Any, reason: str) -> None:
    tagger, post = tagger_of(NameFinder()), Example(id="7", text="Zoe left", images=("a.png",))
    with pytest.raises(ConfigError, match=f"post '7': picture_paths must return a list of paths, not {reason}"):
        list(tagger.predict([post], lambda _: returned))
    with pytest.raises(KeyError) as raised:  # the function's own error stays what it is
        list(tagger.predict([post], lambda example: {}[example.id]))
    assert raised.value.__notes__ == ["picture_paths was called with post '7'"]


def test_a_tagger_of_a_model_is_one() -> None:
    assert issubclass(Tagger, PostTagger)
