"""Forwards of the views, each only where an objective needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from instruct_mner.alignment.objective import AlignmentBatch, Needs, View
from instruct_mner.alignment.sample_tokens import SampleTokens
from instruct_mner.models.generated_pictures import encoder_outputs
from instruct_mner.models.hooks import Captured, capture, shortened
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.prefix_sharing import num_shared, shared_beginning
from instruct_mner.training.batch import Batch
from instruct_mner.training.sharding import in_any_process, is_sharded, whole
from instruct_mner.training.views import AlignmentViews

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Key of a collated batch that is no argument of a forward.
_LABELS = "labels"


class Forwards:
    """Forwards of the views of a batch through the model that is trained.

    Args:
        base: Model of transformers inside any wrappers.
        loaded: Model with its family and processor.
        needs: Needs of all objectives together.
        autocast: Context of mixed precision: a wrapper that the model's own forward has, and its parts have not.
        share_prompt_prefix: Whether the prefix of all prompts of a batch is computed once.

    Attributes:
        backbone: Model under the output embedding.
        decoder: Text decoder.
    """

    def __init__(
        self,
        *,
        base: PreTrainedModel,
        loaded: LoadedModel,
        needs: Needs,
        autocast: Callable[[], AbstractContextManager[object]],
        share_prompt_prefix: bool = False,
    ) -> None:
        self.backbone: nn.Module = base.model
        self.decoder: nn.Module = base.get_submodule(loaded.family.decoder_path)
        self._head: nn.Module = base.get_output_embeddings()
        self._loaded = loaded
        self._needs = needs
        # FSDP casts weights and inputs by itself.
        self._autocast = nullcontext if is_sharded() else autocast
        # States that are handed from token to token, and the load of experts, are those of whole rows.
        has_experts = hasattr(loaded.model.config.get_text_config(), "output_router_logits")
        self._share_prompt_prefix = share_prompt_prefix and not (loaded.family.recurrent or has_experts)
        self._head_weights: list[Tensor] = []
        self._last_states: list[Tensor] = []
        self._missing: Batch | None = None

    def capture_image_view(self) -> AbstractContextManager[Captured]:
        """Capture the states of the answer's own forward that objectives need."""
        needs = self._needs
        return capture(
            self.decoder, layers=needs.layers, attention_layers=needs.attention_layers, picture=needs.picture
        )

    def with_shared_prefix(self, inputs: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Compute the prefix of all prompts once in the forwards of the block, where the run does so."""
        if not self._share_prompt_prefix:
            return nullcontext()
        shared = num_shared(inputs["input_ids"], self._loaded.image_token_id)
        [differs] = in_any_process(not shared)
        return shared_beginning(self.decoder, 0 if differs else shared)

    def batch(self, captured: Captured, inputs: Batch, views: AlignmentViews, num_tokens: float) -> AlignmentBatch:
        """Return the input of the objectives, after the answer's own forward.

        Args:
            captured: States of that forward.
            inputs: Batch of that forward.
            views: Other views of the batch.
            num_tokens: Number of answer tokens by which the answer loss is divided.
        """
        text = teacher = generated = None
        # Where weights lie in parts, a forward is one of all processes: one that needs none goes along with two tokens.
        has_text, has_teacher, has_generated = in_any_process(
            views.text is not None, views.teacher is not None, views.generated is not None
        )
        tokens = _first_tokens(inputs) if is_sharded() else {}
        self._head_weights = [whole(weight) for weight in self._head.parameters()] if is_sharded() else []
        self._last_states = []
        self._note(captured)
        self._missing = tokens if has_generated else None
        if has_text:
            with capture(self.decoder, layers=self._needs.text_layers) as bare, self._only_needed_layers():
                self._forward(tokens if views.text is None else views.text.batch)
            text = None if views.text is None else _view(bare, views.text.batch, views.text.rows)
            self._note(bare)
        if has_teacher:
            with torch.no_grad(), capture(self.decoder) as taught:
                self._forward(tokens if views.teacher is None else views.teacher.batch)
            teacher = None if views.teacher is None else _view(taught, views.teacher.batch, views.teacher.rows)
        if views.generated is not None:
            generated = Generated(
                forwards=self, batch=views.generated.batch, rows=views.generated.rows, num_tokens=num_tokens
            )
        return AlignmentBatch(
            image=_view(captured, inputs, views.rows),
            text=text,
            origin=views.origin,
            teacher=teacher,
            generated=generated,
            output_embedding=self._logits,
            num_tokens=num_tokens,
        )

    def tie(self) -> Tensor | None:
        """Return a zero on which the gradients of all forwards of the batch depend, after those of the objectives.

        With it, a backward pass goes through the same layers in all processes; ``None`` where none waits for another.
        """
        if not is_sharded():
            return None
        if self._missing is not None:
            embeddings = cast("PreTrainedModel", self.backbone).get_input_embeddings()
            with capture(self.decoder) as captured, _with_gradient(embeddings):
                self._forward(self._missing)
            self._note(captured)
        noted, self._last_states = self._last_states, []
        return torch.stack([states.sum() * 0 for states in noted]).sum()

    def _note(self, captured: Captured) -> None:
        if captured.states is not None and is_sharded():
            self._last_states.append(captured.states)

    def _only_needed_layers(self) -> AbstractContextManager[None]:
        """Run the bare post up to the deepest layer that an objective needs, where its answer is not learned."""
        num_layers = len(cast("nn.ModuleList", self.decoder.layers))
        # The states are captured as they enter the next layer.
        deepest = num_layers if self._needs.text_answer else max(self._needs.text_layers) + 1
        return shortened(self.decoder, deepest)

    def _forward(self, batch: Batch, **more: object) -> None:
        arguments = {name: value for name, value in batch.items() if name != _LABELS}
        with self._autocast(), self.with_shared_prefix(batch):
            self.backbone(**arguments, **more, use_cache=False)

    def _logits(self, states: Tensor) -> Tensor:
        with self._autocast():
            if self._head_weights:
                return nn.functional.linear(states, *self._head_weights).float()
            return self._head(states).float()  # type: ignore[no-any-return]

    def answer_loss(self, batch: Batch, pictures: Tensor, num_tokens: float) -> Tensor:
        """Return the answer loss of posts with generated pictures.

        Args:
            batch: Inputs of the posts.
            pictures: Generated pictures, ``(pictures, cells, features)``.
            num_tokens: Number of answer tokens by which the sum is divided.
        """
        dtype = self._loaded.model.dtype
        self._missing = None
        with capture(self.decoder) as captured:
            self._forward(batch, mm_encoder_outputs=encoder_outputs(self._loaded, pictures.to(dtype)))
        assert captured.states is not None
        self._note(captured)
        return answer_loss(captured.states, batch[_LABELS], self._logits, num_tokens)


@dataclass(frozen=True, kw_only=True)
class Generated:
    """Posts that are answered from a generated picture; a ``GeneratedView``.

    Attributes:
        forwards: Forwards of the model.
        batch: Inputs of the posts.
        rows: Rows of the text view that they are.
        num_tokens: Number of answer tokens by which the answer loss is divided.
    """

    forwards: Forwards
    batch: Batch
    rows: Sequence[int]
    num_tokens: float

    def answer_loss(self, pictures: Tensor) -> Tensor:
        """Return the answer loss of these posts, given their pictures, ``(posts, cells, features)``."""
        return self.forwards.answer_loss(self.batch, pictures, self.num_tokens)


def answer_loss(states: Tensor, labels: Tensor, logits: Callable[[Tensor], Tensor], num_tokens: float) -> Tensor:
    """Return the cross-entropy of the answers, scaled as the trainer's own.

    Args:
        states: Last states of the decoder, ``(batch, tokens, width)``.
        labels: Labels, ``(batch, tokens)``; -100 at tokens that are no answer.
        logits: Function from states to logits.
        num_tokens: Number of answer tokens by which the sum is divided.
    """
    answered = labels[:, 1:] != -100
    predicted = logits(states[:, :-1][answered])
    return nn.functional.cross_entropy(predicted, labels[:, 1:][answered], reduction="sum") / num_tokens


def _first_tokens(inputs: Mapping[str, object]) -> Batch:
    """Return the inputs of the first two tokens of a batch, which are never ones of padding or of a picture.

    Source: bitsandbytes 0.50, ``matmul_4bit``: a single token has no gradient.
    """
    ids = cast("Tensor", inputs["input_ids"])
    of_tokens = {name: each for name, each in inputs.items() if isinstance(each, Tensor) and each.shape == ids.shape}
    return {name: each[:1, :2] for name, each in of_tokens.items()}


@contextmanager
def _with_gradient(embeddings: nn.Module) -> Iterator[None]:
    """Let what enters the decoder in the block have a gradient, as a generated picture has."""
    handle = embeddings.register_forward_hook(lambda *hooked: hooked[-1].requires_grad_())
    try:
        yield
    finally:
        handle.remove()


def _view(captured: Captured, inputs: Batch, rows: tuple[SampleTokens, ...]) -> View:
    assert captured.states is not None
    return View(
        states=captured.states,
        inputs=inputs,
        rows=rows,
        layers=captured.layers,
        attention=captured.attention,
        picture=captured.picture,
    )
