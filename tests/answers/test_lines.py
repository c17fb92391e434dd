"""Lines as they are written, and the mentions of a completion with the characters that hold them."""

from __future__ import annotations

import pytest
from test_answers import spec

from instruct_mner.answers.lines import Lines
from instruct_mner.answers.syntax import Mention, number_rules
from instruct_mner.schema.records import Box, Entity

TEXT = "Ann met Ann Lee"


def lines(num_images: int = 1, **changes: object) -> Lines:
    return Lines(spec(**changes), num_images)


def entity(start: int, end: int, *boxes: Box) -> Entity:
    return Entity(start=start, end=end, text=TEXT[start:end], label="PER", boxes=boxes)


SMALL, LARGE = Box(box=(0, 0, 9, 9)), Box(image=1, box=(1, 2.4, 30.6, 40))


@pytest.mark.parametrize(
    ("form", "entities", "written"),
    [
        (lines(), [], "none"),
        (lines(), [entity(0, 3), entity(8, 15)], "PER: Ann\nPER: Ann Lee"),
        (lines(grounded=True), [entity(0, 3), entity(8, 15, SMALL)], "PER: Ann []\nPER: Ann Lee [0, 0, 9, 9]"),
        (lines(2, grounded=True), [entity(0, 3, SMALL, LARGE)], "PER: Ann [2, 1, 2, 31, 40]"),
    ],
)
def test_what_is_written(form: Lines, entities: list[Entity], written: str) -> None:
    assert form.render(TEXT, entities) == written


@pytest.mark.parametrize(
    ("form", "completion", "mentions", "malformed"),
    [
        (lines(), "none", [], 0),
        (lines(), " \n", [], 1),
        (lines(), "PER: Ann\nhm\nPER:  Lee ", [("Ann", 0, 8), ("Lee", 12, 21)], 1),
        (lines(), "  PER: a: b", [("a: b", 2, 11)], 0),
        (lines(grounded=True), "PER: Ann", [], 1),
        (lines(grounded=True), "PER: Ann [1] []", [("Ann [1]", 0, 12)], 0),
        (lines(grounded=True), "PER: Ann [1, 2, 3]", [], 1),
        (lines(grounded=True), "PER: Ann [1,2,3,4]", [], 1),
        (lines(0, grounded=True), "PER: Ann [1, 2, 3, 4]", [], 1),
    ],
)
def test_what_is_read(form: Lines, completion: str, mentions: list[tuple[str, int, int]], malformed: int) -> None:
    expected = [Mention("PER", surface, None, ((start, end),)) for surface, start, end in mentions]
    assert form.read(completion, finished=True) == (expected, malformed)


def test_a_box_is_read_with_its_picture() -> None:
    [mention], malformed = lines(2, grounded=True).read("PER: Ann [2, 9, 4, 5, 4]", finished=True)
    assert (mention.box, malformed) == (Box(image=1, box=(5, 4, 9, 5)), 0)
    assert lines(2, grounded=True).read("PER: Ann [0, 9, 4, 5, 4]", finished=True) == ([], 1)


@pytest.mark.parametrize(
    ("completion", "surfaces", "malformed"),
    [("", [], 1), ("PER: An", [], 1), ("PER: Ann\n", ["Ann"], 1), ("PER: Ann\nhm\nPER: L", ["Ann"], 2)],
)
def test_the_last_line_of_what_was_cut_is_not_read(completion: str, surfaces: list[str], malformed: int) -> None:
    mentions, count = lines().read(completion, finished=False)
    assert ([mention.surface for mention in mentions], count) == (surfaces, malformed)


def test_rules_of_boxes_by_the_number_of_pictures() -> None:
    def rules(num_images: int, **changes: object) -> list[str]:
        return lines(num_images, box_range=9, **changes).grammar("Ann").splitlines()

    assert "entity: LABEL MENTION" in rules(1)
    assert 'PLACED: MENTION " []"' in rules(0, grounded=True)
    assert rules(2, grounded=True)[-4:] == [
        "PLACED: MENTION BOX",
        'BOX: " []" | " [" PICTURE ", " NUMBER ", " NUMBER ", " NUMBER ", " NUMBER "]"',
        *number_rules(9, 2),
    ]
