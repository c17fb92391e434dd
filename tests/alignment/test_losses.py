"""Each objective against plain loops in double precision, its gradient too."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import pytest
import torch
from made_up_batch import IMAGE, WIDTH, agree, made_up
from torch import Tensor

from instruct_mner.alignment.attention_grounding import AttentionGrounding
from instruct_mner.alignment.cross_view import CrossView
from instruct_mner.alignment.generative import Generative
from instruct_mner.alignment.information_bottleneck import CHANCE, InformationBottleneck, Pictures
from instruct_mner.alignment.region_span_grounding import HeadGrounding
from instruct_mner.alignment.seeded_noise import noise
from instruct_mner.alignment.settings import (
    CrossViewSettings,
    GenerativeSettings,
    InformationBottleneckSettings,
    RegionSpanGroundingSettings,
)


def added(values: Iterable[Tensor]) -> Tensor:
    """The sum, one by one."""
    return reduce(operator.add, values)


def softmax(scores: list[Tensor]) -> list[Tensor]:
    exponents = [score.exp() for score in scores]
    whole = added(exponents)
    return [each / whole for each in exponents]


def kl(target: Tensor, found: Tensor, temperature: float) -> Tensor:
    one = softmax([value / temperature for value in target.detach()])
    other = softmax([value / temperature for value in found])
    return added(p * (p.log() - q.log()) for p, q in zip(one, other, strict=True))


@pytest.mark.parametrize(("weight", "text_weight"), [(0.7, 1.0), (0.0, 1.0), (1.0, 0.0)])
def test_cross_view(weight: float, text_weight: float) -> None:
    made = made_up()
    objective = CrossView(CrossViewSettings(weight=weight, text_weight=text_weight, temperature=3.0))

    def reference() -> Tensor:
        leaves, batch = made.leaves, made.batch
        labels, total = batch.inputs["labels"], torch.zeros(())
        for post in (0, 1):
            for token in range(1, 14):
                if labels[post, token] != -100:
                    logits = [leaves["text"][post, token - 1] @ word for word in leaves["embedding"]]
                    total = total - text_weight * softmax(logits)[labels[post, token]].log() / 5.0
            content = batch.image.rows[post].content
            for token in content:
                teacher = leaves["embedding"] @ leaves["states"][post, token - 1]
                student = leaves["embedding"] @ leaves["text"][post, token - 1]
                total = total + weight * 9.0 * kl(teacher, student, 3.0) / len(content) / 2
        return total

    agree(objective, made, reference)
    # The teacher is taught nothing.
    loss, _ = objective(made.batch)
    assert torch.autograd.grad(loss, made.leaves["states"], allow_unused=True)[0] is None


def attention(made, layer: int, post: int, row: int, head: int, window: int = 99) -> list[Tensor]:
    """The attention of one token by its definition: rotated, scaled, causal, two query heads a key head."""

    def rotated(vector: Tensor, angle: float) -> tuple[Tensor, Tensor]:
        cosine, sine = math.cos(angle), math.sin(angle)
        return vector[0] * cosine - vector[1] * sine, vector[1] * cosine + vector[0] * sine

    query = rotated(made.leaves[f"query/{layer}"][post, row, 2 * head : 2 * head + 2], row)
    scores = []
    for token in range(max(0, row - window + 1), row + 1):
        key = rotated(made.leaves[f"key/{layer}"][post, token, 2 * (head // 2) : 2 * (head // 2) + 2], token)
        scores.append((query[0] * key[0] + query[1] * key[1]) / math.sqrt(2))
    return [torch.zeros(())] * (row + 1 - len(scores)) + softmax(scores)


def between_neighbours(row, mention) -> range:
    """Tokens of the post after the mention before and before the mention after."""
    first, last = row.post
    for other in row.mentions:
        if other.span[1] < mention.span[0]:
            first = max(first, other.span[1] + 1)
        if other.span[0] > mention.span[1]:
            last = min(last, other.span[0] - 1)
    return range(first, last + 1)


def looked_at(row: Sequence[Tensor], mention, images: list[int]) -> list[Tensor]:
    """Of a row of attention, that on the regions of a mention, or on all but the picture where it is not visible."""
    if mention.regions:
        return [row[images[region]] for region in mention.regions]
    return [each for token, each in enumerate(row) if token not in images]


# With a window of five tokens the second post's mention cannot see its region, which is no infinite loss.
@pytest.mark.parametrize("window", [99, 5])
@pytest.mark.parametrize("readers", [None, (0, 2)])
@pytest.mark.parametrize(("annotated", "around"), [(True, "mention"), (False, "mention"), (True, "neighbours")])
def test_grounding_through_attention(
    annotated: bool, around: str, readers: tuple[int, ...] | None, window: int
) -> None:
    made = made_up(annotated=annotated)
    for layer, inputs in made.batch.image.attention.items():
        made.batch.image.attention[layer] = replace(inputs, window=window)
    settings = RegionSpanGroundingSettings(layer=1, heads=(3, 1), second_heads=readers, around=around)
    objective = AttentionGrounding(settings, IMAGE)

    def reference() -> Tensor:
        total = torch.zeros(())
        for post, row in enumerate(made.batch.image.rows):
            images = [token for token in range(14) if made.batch.inputs["input_ids"][post, token] == IMAGE]
            for mention in row.mentions:
                for head, reader in zip((3, 1), readers or (3, 1), strict=True):
                    share = 1 / (2 * len(row.mentions) * 2)
                    read = attention(made, 1, post, mention.label[0] - 1, reader, window)
                    if around == "neighbours":
                        arriving = added(
                            read[token]
                            * added(looked_at(attention(made, 0, post, token, head, window), mention, images))
                            for token in between_neighbours(row, mention)
                        )
                        if not arriving:
                            arriving = added(read[token] for token in between_neighbours(row, mention))
                        total = total - share * arriving.log()
                        continue
                    if mention.regions is not None:
                        seen = added(
                            looked_at(attention(made, 0, post, mention.span[1], head, window), mention, images)
                        )
                        total = total - share * seen.log() if seen else total
                    total = total - share * added(read[mention.span[0] : mention.span[1] + 1]).log()
        return total

    agree(objective, made, reference)


def test_what_locates_a_mention_ends_at_entities_that_are_left_out() -> None:
    row = made_up().batch.image.rows[0]
    assert row.around(row.mentions[0]) == (5, 7)
    assert replace(row, left_out=((0, 0),)).around(row.mentions[0]) == (6, 7)


@pytest.mark.parametrize("around", ["mention", "neighbours"])
@pytest.mark.parametrize("window", [1, 2, 4, 7])
def test_what_lies_outside_a_sliding_window_is_left_out_and_counted(around: str, window: int) -> None:
    made = made_up()
    for layer, inputs in made.batch.image.attention.items():
        made.batch.image.attention[layer] = replace(inputs, window=window)
    objective = AttentionGrounding(RegionSpanGroundingSettings(layer=1, heads=(1,), around=around), IMAGE)

    out: set[tuple[int, int]] = set()

    def reference() -> Tensor:
        total = torch.zeros(())
        for post, row in enumerate(made.batch.image.rows):
            images = [token for token in range(14) if made.batch.inputs["input_ids"][post, token] == IMAGE]
            hops: dict[str, list[Tensor]] = {"first": [], "second": []}
            for at, mention in enumerate(row.mentions):
                read = attention(made, 1, post, mention.label[0] - 1, 1, window)
                if around == "mention":
                    first = added(looked_at(attention(made, 0, post, mention.span[1], 1, window), mention, images))
                    second = added(read[mention.span[0] : mention.span[1] + 1])
                else:
                    first = second = added(
                        read[token] * added(looked_at(attention(made, 0, post, token, 1, window), mention, images))
                        for token in between_neighbours(row, mention)
                    )
                    if not first:
                        out.add((post, at))
                        first = second = added(read[token] for token in between_neighbours(row, mention))
                for name, mass in {"first": first, "second": second}.items():
                    if mass.item() > 0:
                        hops[name].append(mass.log())
                    else:
                        out.add((post, at))
            for hop in list(hops.values())[: 2 if around == "mention" else 1]:
                if hop:
                    total = total - added(hop) / len(hop) / 2
        return total

    expected = reference()
    leaves = list(made.leaves.values())
    loss, metrics = objective(made.batch)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)
    if expected.requires_grad:
        wanted = torch.autograd.grad(expected, leaves, allow_unused=True)
        for one, other, leaf in zip(gradients, wanted, leaves, strict=True):
            torch.testing.assert_close(
                torch.zeros_like(leaf) if one is None else one, torch.zeros_like(leaf) if other is None else other
            )
    assert metrics["out_of_reach"] == len(out)
    assert out or window == 7


def linear(module: torch.nn.Linear, vector: Tensor) -> Tensor:
    return torch.stack([added(w * x for w, x in zip(row, vector, strict=True)) for row in module.weight]) + module.bias


def normalised(vector: Tensor) -> Tensor:
    mean = sum(vector) / len(vector)
    variance = sum((value - mean) ** 2 for value in vector) / len(vector)
    return torch.stack([(value - mean) / (variance + 1e-5).sqrt() for value in vector])


def gaussian(module, vector: Tensor) -> tuple[Tensor, Tensor]:
    out = linear(module.out, linear(module.hidden, normalised(vector)).clamp(min=0))
    half = len(out) // 2
    return out[:half], torch.stack([(1 + value.exp()).log() + 1e-7 for value in out[half:]])


def critic(module, v: Tensor, t: Tensor) -> Tensor:
    hidden = linear(module[0], torch.cat([v, t])).clamp(min=0)
    return linear(module[4], linear(module[2], hidden).clamp(min=0))[0]


def bottleneck_of(store: int = 3) -> InformationBottleneck:
    torch.manual_seed(1)
    settings = InformationBottleneckSettings(
        width=4, store=store, divergence=0.3, mutual_information=0.8, divergence_warmup_steps=4
    )
    return InformationBottleneck(settings, 1, WIDTH, IMAGE).double()


# Hashes of the pictures of both posts, and of those in the store; 0 is not known.
OWN = (7, 8)


@pytest.mark.parametrize(
    ("own", "before", "step"),
    [
        (OWN, (), 0),
        (OWN, (5, 6), 1),
        (OWN, (1, 2, 3, 4, 5), 9),
        (OWN, (7, 0), 9),
        (OWN, (8, 7, 8), 9),
        ((7, 7), (5, 7), 9),
        ((7, 7), (), 9),
        ((0, 0), (0, 0), 9),
    ],
)
def test_information_bottleneck(own: tuple[int, int], before: tuple[int, ...], step: int) -> None:
    """A post's own picture is no negative: not in the store, and not as the picture of the other post."""
    made = made_up()
    rows = tuple(replace(row, picture=number) for row, number in zip(made.batch.image.rows, own, strict=True))
    made.batch = replace(made.batch, image=replace(made.batch.image, rows=rows), step=step)
    objective = bottleneck_of()
    earlier = torch.randn(len(before), WIDTH, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    objective._remember(Pictures(states=earlier, hashes=torch.tensor(before, dtype=torch.long)))
    # First in, first out: the store of three holds the last three, wherever they lie in it.
    kept = [3, 4, 2] if len(before) == 5 else list(range(len(before)))
    stored = earlier[kept].clone()
    hashes = [*own, *(before[index] for index in kept)]

    def other(post: int, at: int) -> bool:
        return at != post and (hashes[at] == 0 or hashes[at] != own[post])

    def negatives(post: int) -> list[int]:
        """Those in the batch; where there are none, those in the store."""
        in_batch = [1 - post] if other(post, 1 - post) else []
        return in_batch or [at for at in range(len(hashes)) if other(post, at)]

    def reference() -> Tensor:
        keys = ["0/0/a", "0/0/b"]
        v, t = [], []
        for post, images in enumerate([range(1, 5), range(1, 3)]):
            pooled = sum(made.leaves["image/1"][post, token] for token in images) / len(images)
            span = range(5, 9) if post == 0 else range(5, 10)
            read = sum(made.leaves["text/1"][post, token] for token in span) / len(span)
            v.append(gaussian(objective.picture, pooled))
            t.append(gaussian(objective.text, read))
        draws = noise(keys, "picture", (4,)).double(), noise(keys, "text", (4,)).double()
        seen = [mean + deviation * draw for (mean, deviation), draw in zip(v, draws[0], strict=True)]
        said = [mean + deviation * draw for (mean, deviation), draw in zip(t, draws[1], strict=True)]
        old = []
        for each, draw in zip(stored, noise(keys[:1], "further", (len(stored), 4))[0].double(), strict=True):
            mean, deviation = gaussian(objective.picture, each)
            old.append(mean + deviation * draw)
        paired = [critic(objective.critic, seen[post], said[post]) for post in (0, 1)]
        pictures = [*seen, *old]
        unpaired = [critic(objective.critic, pictures[at], said[post]) for post in (0, 1) for at in negatives(post)]
        information = sum(-(1 + (-f).exp()).log() for f in paired) / 2
        information = information - sum((1 + f.exp()).log() for f in unpaired) / max(1, len(unpaired))
        divergence = torch.zeros(())
        for (mv, sv), (mt, st) in zip(v, t, strict=True):
            for a, b, c, d in zip(mv, sv, mt, st, strict=True):
                # Two posts and four dimensions.
                divergence = divergence + ((d / b).log() + (b**2 + (a - c) ** 2) / (2 * d**2) - 0.5) / 2 / 4
        divergence = min(1.0, (step + 1) / 4) ** 2 * 0.3 * divergence
        return divergence - 0.8 * information if unpaired else divergence

    buffers = {name: buffer.clone() for name, buffer in objective.named_buffers()}
    agree(objective, made, reference)
    objective.load_state_dict(buffers, strict=False)
    loss, metrics = objective(made.batch)
    assert metrics["negatives"] == (len(negatives(0)) + len(negatives(1))) / 2
    assert ("mi" in metrics) == (metrics["negatives"] > 0)
    if "mi" not in metrics:
        return
    divergence = min(1.0, (step + 1) / 4) ** 2 * 0.3 * metrics["kl"]
    information = (divergence - loss.item()) / 0.8
    assert metrics["mi"] == pytest.approx(information - CHANCE)
    assert metrics["kl_over_mi"] == pytest.approx(divergence / (-0.8 * information))


def mlp(module, vector: Tensor) -> Tensor:
    return linear(module[2], linear(module[0], vector).clamp(min=0))


@pytest.mark.parametrize(
    ("annotated", "with_bottleneck", "reposted"),
    [(True, True, False), (True, False, False), (False, True, False), (False, False, False), (False, False, True)],
)
def test_grounding_through_a_head(annotated: bool, with_bottleneck: bool, reposted: bool) -> None:
    """A picture that both posts show is none to tell them apart by."""
    made = made_up(annotated=annotated)
    rows = tuple(replace(row, picture=7 if reposted else 7 + at) for at, row in enumerate(made.batch.image.rows))
    made.batch = replace(made.batch, image=replace(made.batch.image, rows=rows))
    bottleneck = bottleneck_of()
    torch.manual_seed(3)
    settings = RegionSpanGroundingSettings(through="head", width=4, negatives=2, longest=2)
    sampled = (bottleneck.sample_pictures, 4) if with_bottleneck else None
    head = HeadGrounding(settings, 1, WIDTH, 3, IMAGE, sampled).double()

    def looks(post: int, span: tuple[int, int], words: int) -> Tensor:
        states = made.leaves["image/1"][post]
        ends = torch.cat([normalised(states[span[0]]), normalised(states[span[1]]), head.num_words.weight[words]])
        return linear(head.query, ends)

    def looked_at(post: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield head.null_key, head.null_value
        if with_bottleneck:
            sample = bottleneck.sample_pictures(made.batch)[post]
            yield linear(head.global_key, sample), linear(head.global_value, sample)
        for token in range(14):
            if made.batch.inputs["input_ids"][post, token] == IMAGE:
                state = normalised(made.leaves["image/1"][post, token])
                yield linear(head.key, state), linear(head.value, state)

    def reference() -> Tensor:
        total, before = torch.zeros(()), 1 + with_bottleneck
        for post, row in enumerate(made.batch.image.rows):
            spans = [(m.span, m.words[1] - m.words[0], m.type, m.regions, True) for m in row.mentions]
            spans += [((f, last), w, 3, None, False) for f, last, w, _ in head._negatives(row)]
            types, weights = torch.zeros(()), 0.0
            for span, words, type_, regions, is_mention in spans:
                query, keys = looks(post, span, words), list(looked_at(post))
                shares = softmax([(query @ key) / 2 for key, _ in keys])
                attended = added(share * value for share, (_, value) in zip(shares, keys, strict=True))
                weight = 1.0 if is_mention else 0.5
                logits = mlp(head.classify, torch.cat([query, attended]))
                types = types - weight * softmax(list(logits))[type_].log()
                weights += weight
                if regions is not None:
                    mass = added(shares[before + region] for region in regions) if regions else shares[0]
                    total = total - mass.log() / len(row.mentions) / 2
                elif is_mention and not reposted:
                    scores = []
                    for other in (0, 1):
                        each = [(query @ key / 2).exp() for key, _ in list(looked_at(other))[before:]]
                        scores.append((added(each) / len(each)).log())
                    total = total - softmax(scores)[post].log() / len(row.mentions) / 2
            total = total + types / weights / 2
        return total

    agree(head, made, reference)


class Answers:
    """A stand-in for the forward of posts with generated pictures: any function of the pictures will do."""

    rows = (1,)

    def answer_loss(self, pictures: Tensor) -> Tensor:
        return pictures.square().sum() / 5.0


@pytest.mark.parametrize("cycle", [0.0, 0.4])
def test_generative(cycle: float) -> None:
    """The generators are taken as they are: what is written is theirs, what is lost is not."""
    from torch.nn.functional import layer_norm

    made = made_up(layers=(1, 2))
    made.batch = replace(made.batch, generated=Answers())
    torch.manual_seed(5)
    settings = GenerativeSettings(width=4, grid=2, temperature=2.0, generation=0.6, cycle=cycle, generated_weight=0.5)
    objective: Any = Generative(settings, (1, 2), WIDTH, 2 * WIDTH, IMAGE).double()
    objective(made.batch)  # measures how large pictures are

    def keep(sampler, states: Tensor, before: list[Tensor], key: str, name: str) -> list[Tensor]:
        from instruct_mner.alignment.seeded_noise import uniform

        drawn = uniform([key], name, (most,))[0].double()
        found = []
        for token, state in enumerate(states):
            score = linear(sampler.score, state)[0] + (drawn[token] / (1 - drawn[token])).log()
            soft = 1 / (1 + (-score).exp())
            found.append(before[token] * (float(soft > 0.5) + soft - soft.detach()))
        return found if any(float(value) > 0.5 for value in found) else before

    most = 5

    def mean(target: Tensor, found: Tensor, kept: list[Tensor]) -> Tensor:
        each = [kl(one, other, 2.0) for one, other in zip(target, found, strict=True)]
        return added(k * value for k, value in zip(kept, each, strict=True)) / added(kept)

    def reference() -> Tensor:
        nonlocal most
        total = torch.zeros(())
        for post, row in enumerate(made.batch.image.rows):
            tokens = [made.batch.image.picture[post, 1 + index] for index in range(len(row.image_boxes))]
            # Two by two tokens are the grid; two by one are as wide as two cells each. Each cell has two parts.
            cells = tokens if post == 0 else [tokens[0], tokens[0], tokens[1], tokens[1]]
            picture = torch.stack([torch.cat([normalised(cell[:WIDTH]), normalised(cell[WIDTH:])]) for cell in cells])
            scale = objective.scale.repeat_interleave(WIDTH)
            start, end = row.post
            looked, read = [torch.ones(())] * 4, [torch.ones(())] * (end + 1 - start)
            for stage, layer in enumerate((1, 2)):
                text = layer_norm(made.leaves[f"text/{layer}"][post, start : end + 1], (WIDTH,))
                most = 4
                looked = keep(objective.cells[stage], picture, looked, row.key, f"cells/{stage}")
                most = 5
                read = keep(objective.words[stage], text, read, row.key, f"words/{stage}")
                all_words, all_cells = torch.ones(1, len(text)).bool(), torch.ones(1, 4).bool()
                to_image, to_text = objective.text2image[stage], objective.image2text[stage]
                generated = to_image(text[None], torch.stack(read)[None], all_words, all_cells)[0]
                described = to_text(picture[None], torch.stack(looked)[None], all_cells, all_words)[0]
                losses = mean(picture, generated, looked) + mean(text, described, read)
                total = total + 0.6 * losses / 2 / 2
                if cycle:
                    again = to_text(generated[None], torch.ones(1, 4), all_cells, all_words)[0]
                    back = to_image(described[None], torch.ones(1, len(text)), all_words, all_cells)[0]
                    total = total + cycle * (mean(text, again, read) + mean(picture, back, looked)) / 2 / 2
            if post == 1:
                # Answers are given from a picture at the scale of real ones.
                total = total + 0.5 * (generated * scale).square().sum() / 5.0
        return total

    agree(objective, made, reference)
    assert objective.scale.min() > 0
