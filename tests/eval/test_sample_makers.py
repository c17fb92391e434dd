"""Training samples: the very tokens of the real prompts, and targets of the attention losses."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
import torch

from eval.starter_training.architecture import build_model, build_processor
from eval.starter_training.attention_init import HOPS, NUM_HEADS, WIDTH
from eval.starter_training.auxiliary_samples import define
from eval.starter_training.sample_makers import SampleMaker
from eval.starter_training.samples import Sample
from eval.starter_training.train import DecoderTrainer
from eval.starter_training.vision_pretraining import image_states, pixels
from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.prompting.conversation import user_messages
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.schema.boxes import BoxConvention, to_model_units
from instruct_mner.schema.labels import LabelSet
from instruct_mner.synthetic.label_sets import COARSE
from instruct_mner.synthetic.posts import posts
from instruct_mner.synthetic.scene import draw_scene
from instruct_mner.synthetic.settings import Synthesis

_POSTS = list(itertools.islice(posts(Synthesis(), 11), 60))


@pytest.fixture(scope="module")
def processor() -> Any:
    return build_processor()


@pytest.fixture(scope="module")
def maker(processor: Any) -> SampleMaker:
    return SampleMaker(processor.tokenizer, _POSTS, 0)


@pytest.fixture(scope="module")
def model(processor: Any) -> Any:
    return build_model(processor.tokenizer)


def _spec(labels: LabelSet) -> AnswerSpec:
    return AnswerSpec(labels=labels, prefix=" ")


@pytest.mark.parametrize("picture", ["own", "none"])
@pytest.mark.parametrize("defined", [False, True])
def test_a_sample_has_the_tokens_that_the_processor_makes(
    processor: Any, maker: SampleMaker, picture: str, defined: bool
) -> None:
    order = [2, 0, 3, 1]
    label_set_prompt = maker.ask(COARSE, defined=defined, order=order)
    shown = {COARSE.types[index].name: COARSE.types[index].definition for index in order}
    spec = _spec(LabelSet.of(shown if defined else list(shown)))
    prompt = find_prompt("tag")
    for index, post in enumerate(_POSTS[:20]):
        sample = maker.tag(index, label_set_prompt, picture=picture)
        scene = draw_scene(post)
        images = [scene.image] if picture == "own" else []
        example = post.example("a", None, ())
        messages = user_messages(prompt, spec, example.text, num_images=len(images))
        answer = {
            "role": "assistant",
            "content": [{"type": "text", "text": codec.render(spec, example.text, example.gold)}],
        }
        text = processor.apply_chat_template([*messages, answer], tokenize=False)
        expected = processor(text=text, images=images or None, add_special_tokens=False)["input_ids"][0]
        own = [*sample.prefix, *sample.ids]
        assert own == list(expected)[: len(own)]
        assert processor.tokenizer.decode(expected[len(own) :]) == "\n"


def test_targets_point_at_the_words_that_decide(processor: Any, maker: SampleMaker) -> None:
    label_set_prompt = maker.ask(COARSE, names=["Wug", "Dax", "Blick", "Zup"], defined=True, order=[0, 1, 2, 3])
    seen = set()
    for index, post in enumerate(_POSTS):
        sample = maker.tag(index, label_set_prompt)
        tokens = [*sample.prefix, *sample.ids]
        words = [processor.tokenizer.decode([token]) for token in tokens]
        for target in sample.targets:
            seen.add(target.hop)
            assert all(key < target.query for key in target.keys)
            if target.hop == "look":
                assert {words[key] for key in target.keys} in ({"<image>"}, {"<global-img>"})
            if target.hop == "name":
                assert words[target.keys[0]] in {"person", "place", "group", "thing"}
            if target.hop in ("link", "read", "name"):
                assert words[target.query] in (":", "\n")
        for position, _ in sample.decisive:
            assert sample.learned[position]
        assert len(sample.decisive) == len(post.mentions)
    assert seen == {"look", "link", "read", "name"}
    defined = {words_of.hop for words_of in define(maker, COARSE).targets}
    assert defined == {"define", "read", "name"}


def _trainer(model: Any, processor: Any, attention: float) -> DecoderTrainer:
    with torch.no_grad():
        states = image_states(model, pixels([draw_scene(post) for post in _POSTS]))
    return DecoderTrainer(model, states, processor.image_token_id, processor.tokenizer.pad_token_id, attention)


def test_each_token_of_a_box_is_said_by_looking_at_the_object(processor: Any, maker: SampleMaker) -> None:
    tokenizer, label_set_prompt, boxes = processor.tokenizer, maker.ask(COARSE, order=[0, 1, 2, 3], grounded=True), 0
    for index, post in enumerate(_POSTS):
        sample = maker.tag(index, label_set_prompt)
        ids = [*sample.prefix, *sample.ids]
        by_hop = {
            hop: [each for each in sample.targets if each.hop == hop] for hop in ("point", "follow", "link", "look")
        }
        looked = {each.query: each.keys for each in by_hop["look"]}
        spans: dict[int, list[int]] = {}
        for point, follow in zip(by_hop["point"], by_hop["follow"], strict=True):
            assert point.query == follow.query
            [cue] = follow.keys
            assert looked[cue] == point.keys
            assert {ids[key] for key in point.keys} == {processor.image_token_id}
            spans.setdefault(cue, []).append(point.query)
        written = [tokenizer.decode([ids[query + 1] for query in queries]) for queries in spans.values()]
        assert all(re.fullmatch(r" \[\d+, \d+, \d+, \d+\]", each) for each in written)
        shown = [each for each in post.mentions if each.object_index is not None]
        assert len(written) == sum(len(post.mentions) == 1 or each.cue != "none" for each in shown)
        boxes += len(written)
    assert boxes > 20


@pytest.mark.parametrize("box", [" []", " [5, 63, 440, 1000]"])
def test_what_counts_most_of_a_box_is_that_it_is_there_and_where(maker: SampleMaker, box: str) -> None:
    sample = Sample("boxes", ())
    sample.add(maker.start)
    before = maker.add_box(sample, box, "alone place")
    ids, tokens = maker.encode(box), [maker.tokenizer.decode([each]) for each in maker.encode(box)]
    assert [(*sample.prefix, *sample.ids)[at + 1] for at in before] == ids
    assert all(sample.learned[at + 1] for at in before)
    decisive = dict(sample.decisive)
    bracket, *numbers = range(len(maker.start), len(sample.ids))
    assert decisive.pop(bracket) == "box or none, alone place"
    # All but the blanks, which follow from what is before them.
    assert decisive == {
        at: "box digits, alone place" for at, token in zip(numbers, tokens[1:], strict=True) if token != " "
    }


@pytest.mark.parametrize("step", [1, 50])
def test_boxes_are_those_of_objects_in_steps(processor: Any, step: int) -> None:
    maker = SampleMaker(processor.tokenizer, _POSTS, 0, box_step=step)
    prompt, found = maker.ask(COARSE, order=[0, 1, 2, 3], grounded=True), 0
    for index, post in enumerate(_POSTS):
        sample = maker.tag(index, prompt)
        answer = processor.tokenizer.decode([each for each, own in zip(sample.ids, sample.learned, strict=True) if own])
        written = [list(map(int, each.split(", "))) for each in re.findall(r"\[(\d.*?)\]", answer)]
        scene = draw_scene(post)
        shown = [scene.boxes[each.object_index] for each in post.mentions if each.object_index is not None]
        exact = [to_model_units(each, scene.image.size, BoxConvention()) for each in shown]
        assert [[step * round(number / step) for number in box] for box in exact] == written
        found += len(written)
    assert found > 20


def test_the_shared_prefix_changes_nothing(processor: Any, model: Any, maker: SampleMaker) -> None:
    """Computed once, the prefix gives the loss of plain sequences, and its attention targets too."""
    label_set_prompt = maker.ask(COARSE, defined=True, order=[3, 1, 0, 2])
    batch = [maker.tag(index, label_set_prompt) for index in range(6)]
    plain = [
        Sample(
            each.kind, (), [*each.prefix, *each.ids], [False] * len(each.prefix) + each.learned, each.picture,
            each.targets, [(position + len(each.prefix), name) for position, name in each.decisive],
        )
        for each in batch
    ]  # fmt: skip
    with torch.no_grad():
        shared, single = (_trainer(model, processor, 0.25).loss(some) for some in (batch, plain))
    torch.testing.assert_close(shared, single, rtol=1e-4, atol=1e-4)


def test_the_loss_is_that_of_a_plain_loop(processor: Any, model: Any, maker: SampleMaker) -> None:
    label_set_prompt = maker.ask(COARSE, order=[0, 1, 2, 3])
    batch = [
        maker.linked(index, label_set_prompt)
        for index in [at for at, post in enumerate(_POSTS) if len(post.objects) > 1][:3]
    ]
    trainer = _trainer(model, processor, 0.5)
    loss = trainer.loss(batch)
    total, weights = torch.zeros(()), 0.0
    masses: dict[str, list[torch.Tensor]] = {}
    for each in batch:
        assert each.picture is not None
        ids = torch.tensor([[*each.prefix, *each.ids]])
        out = model(
            input_ids=ids, pixel_values=pixels([draw_scene(_POSTS[each.picture])])[:, None], output_attentions=True
        )  # fmt: skip
        logs = out.logits[0].log_softmax(-1)
        decisive = {position for position, _ in each.decisive}
        for at, learned in enumerate(each.learned):
            if learned:
                weight = 3.0 if at in decisive else 1.0
                position = len(each.prefix) + at
                total = total - weight * logs[position - 1, ids[0, position]]
                weights += weight
        for target in each.targets:
            hop = HOPS[target.hop]
            for head in hop.heads:
                mass = out.attentions[hop.layer][0, head, target.query, list(target.keys)].sum()
                masses.setdefault(target.hop, []).append(-(mass + 1e-4).log())
    expected = total / weights + 0.5 * torch.stack([torch.stack(values).mean() for values in masses.values()]).sum()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-4)
    loss.backward()
    gradient = model.model.text_model.layers[2].self_attn.q_proj.weight.grad
    assert gradient is not None
    assert float(gradient.abs().sum()) > 0
    model.zero_grad()


def test_heads_that_copy_are_in_place(model: Any) -> None:
    """Layer 0 looks one and two tokens back; layer 1 looks at what followed the same token before."""
    count = 12
    ids = list(range(200, 200 + 50 * count, 50))
    with torch.no_grad():
        attentions = model.model.text_model(torch.tensor([ids + ids]), output_attentions=True).attentions
    queries = torch.arange(5, 2 * count)
    for head, distance in ((0, 1), (1, 2)):
        assert float(attentions[0][0, head, queries, queries - distance].mean()) > 0.9
    again = torch.arange(count, 2 * count - 1)
    for head in (0, 1):
        assert float(attentions[1][0, head, again, again - count + 1].mean()) > 0.2
    for head in (2, 3):
        assert float(attentions[1][0, head, again, again - count + 1].mean()) < 0.15


def test_a_relay_hands_a_token_on_as_it_was(model: Any) -> None:
    """What the first pair finds, the second writes: a share of the token itself, whatever stands halfway."""
    decoder = model.model.text_model
    size = WIDTH // NUM_HEADS
    first, second = (decoder.layers[HOPS[name].layer].self_attn for name in ("define", "name"))
    rows = [[row for head in HOPS[name].heads for row in range(head * size, (head + 1) * size)]
            for name in ("define", "name")]  # fmt: skip
    token = decoder.embed_tokens.weight[300]
    handed = first.o_proj.weight[:, rows[0]] @ (first.v_proj.weight[rows[0]] @ token)
    written = second.o_proj.weight[:, rows[1]] @ (second.v_proj.weight[rows[1]] @ handed)
    scores = torch.nn.functional.normalize(decoder.embed_tokens.weight, dim=1) @ written
    assert int(scores.argmax()) == 300
