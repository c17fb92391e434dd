from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from llguidance import LLMatcher, LLTokenizer

from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.data.loading import load
from instruct_mner.data.validation import survey
from instruct_mner.images import open_image
from instruct_mner.quickstart.example_pictures import DRAWINGS, SIZE, draw
from instruct_mner.quickstart.example_posts import dozen, write_dozen
from instruct_mner.schema.boxes import BoxConvention, to_model_units
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Box, Entity, Example

LABELS = LabelSet.of(["PER", "LOC", "ORG", "MISC"])


def test_the_files_can_be_used(tmp_path: Path) -> None:
    path = write_dozen(tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "posts.jsonl"
    [dataset] = load(str(path)).values()
    assert dataset.examples == dozen()
    [counts], problems = survey([str(path)])
    assert problems == []
    assert (counts.num_posts, counts.num_with_pictures, counts.num_unannotated) == (12, 11, 0)
    assert counts.num_by_label == {"LOC": 4, "MISC": 3, "ORG": 3, "PER": 6}
    assert {path.name for path in (path.parent / "pictures").iterdir()} == {f"{name}.png" for name in DRAWINGS}


def test_the_files_are_the_same_every_time(tmp_path: Path) -> None:
    first, second = write_dozen(tmp_path / "a").parent, write_dozen(tmp_path / "b").parent
    names = sorted(path.relative_to(first) for path in first.rglob("*.*"))
    assert len(names) == 12
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def test_it_holds_what_real_posts_hold() -> None:
    posts = dozen()
    texts = [post.text for post in posts]
    for sign in ("RT @", "#", "http", "😭"):
        assert any(sign in text for text in texts), sign
    assert sum(not post.gold for post in posts) == 1
    assert sum(not post.images for post in posts) == 1
    assert any(max(Counter(entity.text for entity in post.gold).values(), default=0) == 2 for post in posts)
    assert any(entity.boxes == () for post in posts if post.images for entity in post.gold)
    jordan = [post for post in posts if "Jordan" in post.text]
    assert len({post.text for post in jordan}) == 1
    assert [entity.label for post in jordan for entity in post.gold] == ["PER", "LOC"]


@pytest.mark.parametrize("name", DRAWINGS)
def test_parts_lie_within_their_picture(name: str, tmp_path: Path) -> None:
    drawing = draw(name)
    drawing.image.save(tmp_path / "picture.png")
    assert open_image(tmp_path / "picture.png").size == SIZE
    for x0, y0, x1, y1 in drawing.boxes.values():
        assert 0 <= x0 < x1 <= SIZE[0]
        assert 0 <= y0 < y1 <= SIZE[1]


def in_model_units(entity: Entity) -> Entity:
    boxes = [Box(image=box.image, box=to_model_units(box.box, SIZE, BoxConvention())) for box in entity.boxes or ()]
    return entity.model_copy(update={"boxes": tuple(boxes)})


@pytest.mark.parametrize("grounded", [False, True])
@pytest.mark.parametrize("post", dozen(), ids=lambda post: post.id)
def test_the_grammar_admits_gold(post: Example, grounded: bool) -> None:
    spec = AnswerSpec(labels=LABELS, grounded=grounded)
    num_images = len(post.images)
    answer = codec.render(spec, post.text, [in_model_units(entity) for entity in post.gold], num_images)
    tokenizer = LLTokenizer("byte")
    matcher = LLMatcher(tokenizer, codec.grammar(spec, post.text, num_images))
    assert not matcher.is_error(), matcher.get_error()
    assert matcher.consume_tokens(tokenizer.tokenize_str(answer))
    assert matcher.is_accepting()
    parsed = codec.parse(spec, post.text, answer, num_images)
    assert parsed.rejected.total == 0
    assert [(e.start, e.end, e.label) for e in parsed.entities] == [(e.start, e.end, e.label) for e in post.gold]
