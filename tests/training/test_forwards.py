"""Forwards of the views through a decoder that adds 1 in each layer, so that every state is known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from instruct_mner.alignment.objective import Needs
from instruct_mner.alignment.sample_tokens import SampleTokens
from instruct_mner.training import forwards as module
from instruct_mner.training.forwards import Forwards, Generated, answer_loss
from instruct_mner.training.views import AlignmentViews, CollatedView, GeneratedPosts

ROWS = (SampleTokens(key="0/0/a"),)


class Adds(nn.Module):
    """A layer that adds 1 and counts its calls."""

    calls = 0

    def forward(self, states: Tensor) -> Tensor:
        self.calls += 1
        return states + 1


class Decoder(nn.Module):
    """Three layers over embeddings that are the token id, and its double."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Adds() for _ in range(3))
        self.scale = nn.Parameter(torch.tensor([1.0, 2.0]))

    def forward(self, ids: Tensor) -> Any:
        states = ids[..., None] * self.scale
        for layer in self.layers:
            states = layer(states)
        return SimpleNamespace(last_hidden_state=states)


class Inner(nn.Module):
    """A model that writes down what it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = Decoder()
        self.called: list[dict[str, Any]] = []

    def forward(self, **arguments: Any) -> None:
        self.called.append({**arguments, "gradient": torch.is_grad_enabled()})
        self.decoder(arguments["input_ids"])


class Base(nn.Module):
    """The model with its output layer, which gives the two numbers of a state and 0 as logits."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Inner()
        self.head = nn.Linear(2, 3, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))

    def get_output_embeddings(self) -> nn.Module:
        return self.head


def forwards(base: Base, needs: Needs, entered: list[str] | None = None) -> Forwards:
    @contextmanager
    def autocast() -> Iterator[None]:
        if entered is not None:
            entered.append("autocast")
        yield

    text_config = SimpleNamespace(hidden_size=2)
    loaded = SimpleNamespace(
        family=SimpleNamespace(decoder_path="model.decoder", splits_pictures=True, recurrent=False),
        image_token_id=9,
        model=SimpleNamespace(dtype=torch.float32, config=SimpleNamespace(get_text_config=lambda: text_config)),
    )
    return Forwards(base=cast("Any", base), loaded=cast("Any", loaded), needs=needs, autocast=autocast)


def view(*ids: int) -> CollatedView:
    return CollatedView(batch={"input_ids": torch.tensor([ids]), "labels": torch.tensor([ids])}, rows=ROWS)


def states(*ids: int, layers: int) -> list[list[list[float]]]:
    """States after some layers."""
    return [[[number + layers, 2.0 * number + layers] for number in ids]]


@pytest.mark.parametrize(("text_answer", "layers_run"), [(False, 2), (True, 3)])
def test_the_bare_post_goes_no_deeper_than_an_objective_needs(text_answer: bool, layers_run: int) -> None:
    base = Base()
    entered: list[str] = []
    needs = Needs(text_view=True, text_answer=text_answer, text_layers=(0, 1))
    own = forwards(base, needs, entered)
    image = view(1, 2)
    with own.capture_image_view() as captured:
        base.model(input_ids=image.batch["input_ids"])
    for layer in base.model.decoder.layers:
        cast("Adds", layer).calls = 0
    batch = own.batch(captured, image.batch, AlignmentViews(rows=ROWS, text=view(3, 4), origin=(0,)), 7.0)
    assert [cast("Adds", layer).calls for layer in base.model.decoder.layers] == [1] * layers_run + [0] * (
        3 - layers_run
    )
    assert batch.image.states.tolist() == states(1, 2, layers=3)
    assert batch.text is not None
    assert batch.text.states.tolist() == states(3, 4, layers=layers_run)
    assert {layer: each.tolist() for layer, each in batch.text.layers.items()} == {
        0: states(3, 4, layers=0),
        1: states(3, 4, layers=1),
    }
    assert (batch.origin, batch.num_tokens, batch.image.rows) == ((0,), 7.0, ROWS)
    assert batch.teacher is batch.generated is None
    # Labels are no argument of a forward, and nothing is kept for generation.
    assert base.model.called[-1].keys() == {"input_ids", "use_cache", "gradient"}
    assert not base.model.called[-1]["use_cache"]
    assert entered == ["autocast"]


def test_the_teacher_gets_no_gradient() -> None:
    base = Base()
    own = forwards(base, Needs(text_view=True, text_answer=True, teacher=(True, True)))
    with own.capture_image_view() as captured:
        base.model(input_ids=torch.tensor([[1]]))
    views = AlignmentViews(rows=ROWS, text=view(3), origin=(0,), teacher=view(5))
    batch = own.batch(captured, view(1).batch, views, 1.0)
    assert batch.teacher is not None
    assert batch.text is not None
    assert batch.teacher.states.tolist() == states(5, layers=3)
    assert (batch.teacher.states.requires_grad, batch.text.states.requires_grad) == (False, True)
    assert [each["gradient"] for each in base.model.called] == [True, True, False]


def test_a_process_without_a_bare_post_goes_along_with_two_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where weights lie in parts; its loss does not change."""
    monkeypatch.setattr(module, "is_sharded", lambda: True)
    monkeypatch.setattr(module, "in_any_process", lambda *flags: [True, True, False])
    base = Base()
    own = forwards(base, Needs(text_view=True, text_answer=True, teacher=(True, True)))
    with own.capture_image_view() as captured:
        base.model(input_ids=torch.tensor([[5, 6, 7]]))
    batch = own.batch(captured, view(5, 6, 7).batch, AlignmentViews(rows=ROWS), 1.0)
    assert batch.text is batch.teacher is None
    assert [each["input_ids"].tolist() for each in base.model.called] == [[[5, 6, 7]], [[5, 6]], [[5, 6]]]
    assert [each["gradient"] for each in base.model.called] == [True, True, False]
    tie = own.tie()
    assert tie is not None
    assert (tie.item(), tie.requires_grad) == (0.0, True)


def test_logits_are_those_of_the_output_layer_in_float32() -> None:
    base = Base()
    own = forwards(base, Needs())
    with own.capture_image_view() as captured:
        base.model(input_ids=torch.tensor([[1]]))
    batch = own.batch(captured, view(1).batch, AlignmentViews(), 1.0)
    assert batch.text is None
    logits = cast("Any", batch.output_embedding)(torch.tensor([[3.0, 4.0]]))
    assert (logits.tolist(), logits.dtype) == ([[3.0, 4.0, 0.0]], torch.float32)


def test_the_answer_loss_is_a_sum_over_answer_tokens_by_their_number_in_the_step() -> None:
    given = torch.tensor([[[math.log(2.0), 0.0], [0.0, math.log(3.0)], [9.0, 9.0]]])
    labels = torch.tensor([[-100, 0, 1]])

    def logits(each: Tensor) -> Tensor:
        assert each.shape == (2, 2)  # the output layer is applied at answer tokens alone
        return torch.cat([each, torch.zeros(len(each), 1)], dim=1)

    # The state before each answer token: shares 2, 1, 1 of the first, and 1, 3, 1 of the second.
    expected = (-math.log(2 / 4) - math.log(3 / 5)) / 8
    assert answer_loss(given, labels, logits, 8.0).item() == pytest.approx(expected, rel=1e-6)


def test_posts_are_answered_from_a_generated_picture() -> None:
    base = Base()
    own = forwards(base, Needs(generated_share=1.0))
    with own.capture_image_view() as captured:
        base.model(input_ids=torch.tensor([[1]]))
    posts = GeneratedPosts(
        batch={"input_ids": torch.tensor([[0, 9, 1]]), "labels": torch.tensor([[-100, -100, 1]])}, rows=(0,)
    )
    batch = own.batch(captured, view(1).batch, AlignmentViews(generated=posts), 2.0)
    assert isinstance(batch.generated, Generated)
    assert batch.generated.rows == (0,)
    picture = torch.tensor([[[0.5, 0.25]]], dtype=torch.float64)
    loss = batch.generated.answer_loss(picture)
    [features] = base.model.called[-1]["mm_encoder_outputs"]["image"].pooler_output
    assert (features.tolist(), features.dtype) == ([[0.5, 0.25]], torch.float32)
    # The state before the answer is (12, 21): the right logit is the largest by 9.
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-9) + math.exp(-21)) / 2, rel=1e-3)
