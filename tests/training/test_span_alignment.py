"""Where mentions, words, answers and regions stand in the tokens that are trained on."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from families import BOTH_KINDS, FAMILY_NAMES
from runs import EVERYTHING, aligned_run, captioned_posts

from instruct_mner.models.token_offsets import overlapping, word_spans
from instruct_mner.training.batch import VIEWS
from instruct_mner.training.span_alignment import SpanAnnotator, covered
from instruct_mner.training.views import AlignmentViews

# Further forms of answers.
FURTHER = ("json", "inline")


def written(run, ids, span) -> str:
    return run.loaded.processor.tokenizer.decode(ids[span[0] : span[1] + 1])


@pytest.mark.parametrize(
    ("family", "format_"),
    [
        *((name, "lines") for name in FAMILY_NAMES),
        *((name, form) for form in ("json", "inline") for name in BOTH_KINDS),
    ],
)
def test_spans_are_those_of_the_gold_in_every_view(family, format_, tiny_models, tmp_path) -> None:
    run = aligned_run(tiny_models(family), tmp_path, EVERYTHING, answer={"format": format_, "grounded": True})
    batch = run.collator([{"index": index} for index in range(6)])
    views = batch[VIEWS]
    # The second post has no picture, so it has no second view.
    assert views.origin == (0, 2, 3, 4, 5)
    names = run.spec.labels.names
    for view, rows, posts in [(batch, views.rows, range(6)), (views.text.batch, views.text.rows, views.origin)]:
        for number, index in enumerate(posts):
            example, row, ids = run.train.examples[index], rows[number], view["input_ids"][number]
            shown = run.conversations.text(example)
            assert shown in written(run, ids, row.post)
            assert len(written(run, ids, row.post)) <= len(shown) + 4
            assert [names[mention.type] for mention in row.mentions] == [entity.label for entity in example.gold]
            words = shown.split()
            assert len(row.words) == len(words)
            for word, span in zip(words, row.words, strict=True):
                assert word in written(run, ids, span)
            for mention, entity in zip(row.mentions, example.gold, strict=True):
                assert written(run, ids, mention.span).strip() == entity.text
                assert entity.label in written(run, ids, mention.label)
                assert entity.text in written(run, ids, mention.written)
                assert len(written(run, ids, mention.written)) <= len(entity.text) + 4
                assert len(written(run, ids, mention.label)) <= len(entity.label) + 4
                assert " ".join(words[mention.words[0] : mention.words[1] + 1]) == entity.text
                assert view["labels"][number][mention.label[0]] != -100
                assert view["attention_mask"][number][mention.span[0] : mention.span[1] + 1].all()
            assert all(view["labels"][number][position] != -100 for position in row.content)
            if rows is views.text.rows:
                assert all(mention.regions is None for mention in row.mentions)
                # Content is paired by its place in the answer: the same tokens, boxes or not.
                full = views.rows[index].content
                assert torch.equal(batch["input_ids"][index, list(full)], ids[list(row.content)])
    # Twice the same name: each mention has its own place.
    first, second = views.rows[3].mentions[:2]
    assert first.span[1] < second.span[0]
    assert max(first.written[1], first.label[1]) < min(second.written[0], second.label[0])


def test_regions_are_the_tokens_that_look_at_the_box(tiny_models, tmp_path) -> None:
    """A box over (5, 5, 40, 60) of 90 x 80 pixels on a grid of 4 x 4 cells: two columns, three rows."""
    run = aligned_run(tiny_models("gemma3"), tmp_path, EVERYTHING)
    row = run.collator([{"index": 0}])[VIEWS].rows[0]
    person, place = row.mentions
    assert person.regions == (0, 1, 4, 5, 8, 9)
    assert place.regions == ()
    assert run.collator([{"index": 1}])[VIEWS].rows[0].image_boxes is None


def test_small_boxes_have_a_cell_too() -> None:
    cells = torch.tensor([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]])
    assert covered(cells, (0.1, 0.1, 0.2, 0.2)) == [0]
    assert covered(cells, (0.4, 0.1, 0.6, 0.2)) == [0, 1]
    assert covered(cells, (0.45, 0.4, 0.75, 0.7)) == [3]
    assert covered(cells, (0.0, 0.0, 1.0, 1.0)) == [0, 1, 2, 3]
    assert covered(cells, (2.0, 2.0, 3.0, 3.0)) == []


def test_nothing_is_made_that_no_objective_needs(tiny_models, tmp_path) -> None:
    rows = [{"index": index} for index in range(6)]
    plain = aligned_run(tiny_models("idefics3"), tmp_path / "plain", {}).collator(rows)
    assert VIEWS not in plain
    grounding: dict[str, Any] = {"region_span_grounding": {}}
    views = aligned_run(tiny_models("idefics3"), tmp_path / "grounding", grounding).collator(rows)[VIEWS]
    assert views == AlignmentViews(rows=views.rows)
    assert len(views.rows) == 6
    cross = aligned_run(tiny_models("idefics3"), tmp_path / "cross", {"cross_view": {}}).collator(rows)[VIEWS]
    assert cross.text is not None
    assert len(cross.text.rows) == len(cross.origin) == 5
    assert cross.teacher is cross.generated is None
    bare = aligned_run(tiny_models("idefics3"), tmp_path / "bare", {"cross_view": {}}).collator([{"index": 1}])
    assert bare[VIEWS] == AlignmentViews(rows=bare[VIEWS].rows)


def test_posts_with_a_caption_and_no_picture_are_not_answered_from_a_generated_one(tiny_models, tmp_path) -> None:
    data = {"train": str(captioned_posts(tmp_path / "captioned"))}
    objectives = {"generative": {"generated_share": 1.0}}
    run = aligned_run(tiny_models("idefics3"), tmp_path, objectives, context=True, data=data)
    views = run.collator([{"index": index} for index in range(4)])[VIEWS]
    assert views.origin == (0, 1, 2, 3)
    assert views.generated.rows == (0, 2, 3)
    assert run.collator([{"index": 1}])[VIEWS].generated is None


@pytest.mark.parametrize("lost", [False, True])
def test_no_entity_that_is_left_out_is_taken_for_none(lost: bool, tiny_models, tmp_path, monkeypatch) -> None:
    """Of types that an epoch does not ask for, or whose answer is not found in the tokens."""
    if lost:
        monkeypatch.setattr(SpanAnnotator, "_answered", lambda *_: [])
    grounding = {"region_span_grounding": {"through": "head", "width": 4, "negatives": 40}}
    augmentation = {"sample_labels": 0.0 if lost else 1.0}
    run = aligned_run(tiny_models("idefics3"), tmp_path, grounding, augmentation=augmentation)
    [objective] = run.objectives
    num_left_out = 0
    for run.collator.epoch in range(2 if lost else 6):
        rows = run.collator([{"index": index} for index in range(6)])[VIEWS].rows
        for example, row in zip(run.train.examples, rows, strict=True):
            words = word_spans(example.text, run.spec.segmentation)
            gold = {overlapping(words, entity.start, entity.end) or (-1, -1) for entity in example.gold}
            assert {mention.words for mention in row.mentions} | set(row.left_out) == gold
            num_left_out += len(row.left_out)
            entities = {(row.words[first][0], row.words[last][1]) for first, last in gold}
            assert entities.isdisjoint(span[:2] for span in objective._negatives(row))
    assert num_left_out


def test_views_move_to_a_device_with_all_their_forwards(tiny_models, tmp_path) -> None:
    objectives = {"cross_view": {"teacher": "both"}, "generative": {"generated_share": 1.0}}
    data = {"train": str(captioned_posts(tmp_path / "captioned"))}
    run = aligned_run(tiny_models("idefics3"), tmp_path, objectives, context=True, data=data)
    views = run.collator([{"index": index} for index in range(4)])[VIEWS]
    moved = views.to(torch.device("meta"))
    assert moved.rows == views.rows
    parts = [(views.text, moved.text), (views.generated, moved.generated)]
    for before, after in parts:
        assert after.rows == before.rows
        assert after.batch.keys() == before.batch.keys()
        assert {value.device.type for value in after.batch.values()} == {"meta"}
        assert {value.device.type for value in before.batch.values()} == {"cpu"}
