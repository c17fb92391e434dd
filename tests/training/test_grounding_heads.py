"""Heads that look at what a mention names, found before training."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import pytest
import torch
from runs import aligned_run, trainer_of

from instruct_mner.alignment.settings import RegionSpanGroundingSettings
from instruct_mner.models.hooks import AttentionInputs, capture
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.synthetic.write import synth
from instruct_mner.testing import build_tiny
from instruct_mner.testing.posts import make_posts
from instruct_mner.training import grounding_heads
from instruct_mner.training.span_alignment import SpanAnnotator

AUTO: dict[str, Any] = {"region_span_grounding": {}}


def found_in(run: Any, **settings: Any) -> grounding_heads.GroundingHeads | None:
    annotator = SpanAnnotator(run.loaded, run.conversations, run.config.augmentation)
    return grounding_heads.find_heads(
        run.loaded, run.collator, annotator, RegionSpanGroundingSettings.model_validate(settings)
    )


def test_the_starters_heads_are_those_that_it_was_taught_to_look_with(tmp_path) -> None:
    """Its decoder was built with supervision of heads 2 and 3 of layer 3: `adapters/starter.yaml`."""
    posts = synth(tmp_path / "synthetic", Synthesis(split="train"), 24, 3).path
    run = aligned_run("starter", tmp_path, AUTO, data={"train": str(posts)})
    grounding = run.alignment.region_span_grounding
    assert (grounding.layer, grounding.heads) == (3, (2, 3))
    assert (grounding.second_layer, grounding.second_heads) == (4, (2, 3))
    [line] = run.notes
    assert line.startswith("auto: layer 3, heads 2, 3, read by layer 4, heads 2, 3: ")
    found = found_in(run)
    assert found is not None
    assert found.on_boxes > 1.5 * found.by_chance
    assert run.config.alignment.region_span_grounding.heads == "auto", "as it is written, for --resume"


def test_a_head_that_looks_at_boxes_is_found_and_one_that_reads_it(tiny_models, tmp_path, monkeypatch) -> None:
    run = aligned_run(tiny_models("qwen3_vl"), tmp_path, {})
    annotator = SpanAnnotator(run.loaded, run.conversations, run.config.augmentation)
    regions: dict[int, list[int]] = {}
    whole = AttentionInputs.scores

    def looks(self: AttentionInputs, example: int, rows: list[int], heads: range, mask: torch.Tensor) -> torch.Tensor:
        scores = whole(self, example, rows, heads, mask)
        for line, row in enumerate(rows):
            scores[1, line, regions.get(row, [])] += 9
        return scores

    monkeypatch.setattr(AttentionInputs, "scores", looks)
    for index in run.collator.with_boxes(10):
        samples, batch = run.collator.collated([{"index": index}])
        image = (batch["input_ids"][0] == run.loaded.image_token_id).nonzero()[:, 0]
        [row] = annotator.rows(samples, batch)
        regions |= {each.span[1]: image[list(each.regions)].tolist() for each in row.mentions if each.regions}
    found = found_in(run, around="mention")
    assert found is not None
    assert 1 in found.heads
    assert (found.layer, found.second_layer) == (1, 2)
    assert 0.4 < found.on_boxes <= 1
    assert found_in(run, layer=2) is None
    del run.loaded.decoder.layers[1].self_attn
    assert found_in(run) is None


@pytest.mark.parametrize("around", ["mention", "neighbours"])
def test_what_is_measured_is_what_the_objective_supervises(tiny_models, tmp_path, around: str) -> None:
    """Against plain loops over words, mentions and pairs of heads."""
    run = aligned_run(tiny_models("idefics3"), tmp_path, {})
    annotator = SpanAnnotator(run.loaded, run.conversations, run.config.augmentation)
    num_heads = run.loaded.model.config.get_text_config().num_attention_heads
    boxes, beyond, pictures = ([[0.0] * num_heads for _ in range(num_heads)] for _ in range(3))
    for inputs, row in grounding_heads._posts(run.loaded, run.collator, annotator):
        with torch.no_grad(), capture(run.loaded.decoder, attention_layers=(0, 1)) as captured:
            run.loaded.base.model(**inputs, use_cache=False)
        image = (inputs["input_ids"][0] == run.loaded.image_token_id).nonzero()[:, 0].tolist()
        first, second = (
            captured.attention[layer]
            .scores(0, range(inputs["input_ids"].shape[1]), range(num_heads), inputs["attention_mask"][0])
            .softmax(dim=-1)
            for layer in (0, 1)
        )
        for mention, places in ((each, each.regions) for each in row.mentions if each.regions):
            begin, end = row.around(mention) if around == "neighbours" else (mention.span[1], mention.span[1])
            for word, head, reader in itertools.product(range(begin, end + 1), range(num_heads), range(num_heads)):
                read = float(second[reader, mention.label[0] - 1, word])
                on_boxes = read * sum(float(first[head, word, image[region]]) for region in places)
                on_picture = read * sum(float(first[head, word, token]) for token in image)
                boxes[head][reader] += on_boxes
                pictures[head][reader] += on_picture
                beyond[head][reader] += on_boxes - on_picture * len(places) / len(image)
    found = found_in(run, around=around)
    assert found is not None
    chosen = list(zip(found.heads, found.second_heads, strict=True))
    every = [(head, reader) for head in range(num_heads) for reader in range(num_heads)]
    most = max(map(max, beyond))
    rounded = {(head, reader): round(beyond[head][reader] / most, 2) for head, reader in every}
    best = max(every, key=rounded.__getitem__)
    other = max((pair for pair in every if pair[0] != best[0] and pair[1] != best[1]), key=rounded.__getitem__)
    two = rounded[other] >= 0.5 * rounded[best]
    assert sorted([best, other] if two else [best]) == chosen
    share = sum(boxes[head][reader] for head, reader in chosen) / sum(pictures[head][reader] for head, reader in chosen)
    assert found.on_boxes == pytest.approx(share, rel=1e-3)


def test_a_second_pair_is_taken_only_where_it_has_half_of_the_first() -> None:
    paths = torch.tensor([[1.0, 0.9, 0.0], [0.9, 0.5, 0.0], [0.2, 0.0, 0.1]])
    total, heads, readers = grounding_heads._best_heads(paths)
    assert (total, heads, readers) == (1.5, (0, 1), (0, 1))
    paths[1, 1] = 0.49
    assert grounding_heads._best_heads(paths) == (1.0, (0,), (0,)), "another pair has no head of the first"


def test_without_boxes_the_first_heads_are_taken_and_a_line_says_so(tiny_models, tmp_path) -> None:
    bare = make_posts(tmp_path / "bare", boxes=False)
    run = aligned_run(tiny_models("qwen3_vl"), tmp_path, AUTO, data={"train": str(bare)}, answer={"grounded": False})
    assert run.notes == ("auto: no mention of the first posts has a box to choose by; heads 0 and 1 are taken",)
    assert run.objectives[0]._first == (0, (0, 1))


@pytest.mark.parametrize("alignment", [{"through": "head"}, {"heads": [1]}])
def test_nothing_is_measured_where_heads_are_set_or_not_used(tiny_models, tmp_path, alignment, monkeypatch) -> None:
    monkeypatch.setattr(grounding_heads, "find_heads", partial(pytest.fail, "measured"))
    run = aligned_run(tiny_models("qwen3_vl"), tmp_path, {"region_span_grounding": alignment})
    assert not run.notes


def test_layers_with_attention_need_not_be_neighbours(tmp_path) -> None:
    model = build_tiny("qwen3_5", tmp_path / "model", texts=["Types: PER, LOC, ORG, MISC."] * 4, layers=8)
    run = aligned_run(model, tmp_path, AUTO, optimizer={"max_steps": 1})
    grounding = run.alignment.region_span_grounding
    assert (grounding.layer, grounding.second_layer) == (4, 8)
    assert run.objectives[0].needs.attention_layers == (3, 7)
    trainer = trainer_of(run)
    trainer.train()
    [logged] = [line for line in trainer.state.log_history if "region_span_grounding/loss" in line]
    assert 0 < logged["region_span_grounding/region_attention"] < 1
    assert logged["region_span_grounding/gradient_share"] > 0
