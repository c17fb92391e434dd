"""Heads that look at what a mention names, found before training."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from runs import aligned_run

from instruct_mner.models.hooks import AttentionInputs
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.synthetic.write import synth
from instruct_mner.testing.posts import make_posts
from instruct_mner.training import grounding_heads
from instruct_mner.training.span_alignment import SpanAnnotator

AUTO: dict[str, Any] = {"region_span_grounding": {}}


def found_in(run: Any, **more: Any) -> grounding_heads.GroundingHeads | None:
    annotator = SpanAnnotator(run.loaded, run.conversations, run.config.augmentation)
    return grounding_heads.find_heads(run.loaded, run.collator, annotator, **more)


def test_the_starters_heads_are_those_that_it_was_taught_to_look_with(tmp_path) -> None:
    """Its decoder was built with supervision of heads 2 and 3 of layer 3: `adapters/starter.yaml`."""
    posts = synth(tmp_path / "synthetic", Synthesis(split="train"), 24, 3).path
    run = aligned_run("starter", tmp_path, AUTO, data={"train": str(posts)})
    grounding = run.alignment.region_span_grounding
    assert (grounding.layer, grounding.heads) == (3, (2, 3))
    [line] = run.notes
    assert line.startswith("auto: layer 3, heads 2, 3: ")
    found = found_in(run)
    assert found is not None
    assert found.on_boxes > 1.5 * found.by_chance
    assert run.config.alignment.region_span_grounding.heads == "auto", "as it is written, for --resume"


def test_a_head_that_looks_at_boxes_is_found_and_the_next_layer_must_attend(tiny_models, tmp_path, monkeypatch) -> None:
    run = aligned_run(tiny_models("qwen3_vl"), tmp_path, {})
    annotator = SpanAnnotator(run.loaded, run.conversations, run.config.augmentation)
    regions: dict[int, list[int]] = {}
    whole = AttentionInputs.scores

    def looks(self: AttentionInputs, example: int, rows: list[int], heads: range, mask: torch.Tensor) -> torch.Tensor:
        scores = whole(self, example, rows, heads, mask)
        for line, row in enumerate(rows):
            scores[1, line, regions[row]] += 9
        return scores

    monkeypatch.setattr(AttentionInputs, "scores", looks)
    for index in run.collator.with_boxes(10):
        samples, batch = run.collator.collated([{"index": index}])
        image = (batch["input_ids"][0] == run.loaded.image_token_id).nonzero()[:, 0]
        [row] = annotator.rows(samples, batch)
        regions |= {each.span[1]: image[list(each.regions)].tolist() for each in row.mentions if each.regions}
    found = found_in(run)
    assert found is not None
    assert 1 in found.heads
    assert found.layer == 1
    assert 0.4 < found.on_boxes <= 1
    del run.loaded.decoder.layers[1].self_attn
    assert found_in(run) is None


def test_without_boxes_the_first_heads_are_taken_and_a_line_says_so(tiny_models, tmp_path) -> None:
    bare = make_posts(tmp_path / "bare", boxes=False)
    run = aligned_run(tiny_models("qwen3_vl"), tmp_path, AUTO, data={"train": str(bare)}, answer={"grounded": False})
    assert run.notes == ("auto: no mention of the first posts has a box to choose by; heads 0 and 1 are taken",)
    assert run.objectives[0]._heads == (0, 1)


@pytest.mark.parametrize("alignment", [{"through": "head"}, {"heads": [1]}])
def test_nothing_is_measured_where_heads_are_set_or_not_used(tiny_models, tmp_path, alignment, monkeypatch) -> None:
    monkeypatch.setattr(grounding_heads, "find_heads", partial(pytest.fail, "measured"))
    run = aligned_run(tiny_models("qwen3_vl"), tmp_path, {"region_span_grounding": alignment})
    assert not run.notes
