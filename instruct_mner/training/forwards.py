"""The forwards of the views, each only where an objective needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from instruct_mner.alignment.objective import AlignmentBatch, Needs, View
from instruct_mner.models.generated_pictures import encoder_outputs
from instruct_mner.models.hooks import Captured, capture, shortened
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.prefix_sharing import num_shared, shared_beginning

# What a collated batch holds that is no argument of a forward.
_LABELS = "labels"


class Forwards:
    """Runs the views of a batch through the model that is trained.

    Args:
        base: The ``ForConditionalGeneration`` inside of any wrappers.
        loaded: Its family and processor.
        needs: Of all objectives together.
        autocast: Mixed precision: a wrapper that the model's own forward has, and its parts have not.
        lean: Whether what all prompts of a batch begin with is read once.

    Attributes:
        decoder: The text decoder.
    """

    def __init__(
        self,
        base: Any,
        loaded: LoadedModel,
        needs: Needs,
        autocast: Callable[[], AbstractContextManager[Any]],
        *,
        lean: bool = False,
    ) -> None:
        self._inner: nn.Module = base.model
        self.decoder: nn.Module = base.get_submodule(loaded.family.decoder_path)
        self._head: nn.Module = base.get_output_embeddings()
        self._loaded = loaded
        self._needs = needs
        self._autocast = autocast
        self._lean = lean

    def image(self) -> AbstractContextManager[Captured]:
        """Catches what passes through the answer's own forward."""
        needs = self._needs
        return capture(
            self.decoder, layers=needs.layers, attention_layers=needs.attention_layers, picture=needs.picture
        )

    def leanly(self, inputs: Mapping[str, Any]) -> AbstractContextManager[None]:
        """A forward of these inputs reads what all their prompts begin with once, where the run is lean."""
        if not self._lean:
            return nullcontext()
        return shared_beginning(self.decoder, num_shared(inputs["input_ids"], self._loaded.image_token_id))

    def batch(
        self, found: Captured, inputs: Mapping[str, Any], views: Mapping[str, Any], num_tokens: float
    ) -> AlignmentBatch:
        """What the objectives see, after the answer's own forward.

        Args:
            found: What was caught in it.
            inputs: Its batch.
            views: What ``ViewCollator`` made.
            num_tokens: Answer tokens by which the answer loss is divided.
        """
        text = teacher = generated = None
        if "text" in views:
            with capture(self.decoder, layers=self._needs.text_layers) as bare, self._as_deep_as_needed():
                self._forward(views["text"])
            text = _view(bare, views["text"], views["text_rows"])
        if "teacher" in views:
            with torch.no_grad(), capture(self.decoder) as taught:
                self._forward(views["teacher"])
            teacher = _view(taught, views["teacher"], views["teacher_rows"])
        if "generated" in views:
            generated = Generated(self, views["generated"], views["generated_origin"], num_tokens)
        return AlignmentBatch(
            image=_view(found, inputs, views.get("rows", ())),
            text=text,
            origin=views.get("origin", ()),
            teacher=teacher,
            generated=generated,
            output_embedding=self._logits,
            num_tokens=num_tokens,
        )

    def _as_deep_as_needed(self) -> AbstractContextManager[None]:
        """Without an answer to learn from, the bare post is read up to the layer that is asked for."""
        blocks: Any = self.decoder.layers
        # The states are caught as they enter the layer after.
        deepest = len(blocks) if self._needs.text_answer else max(self._needs.text_layers) + 1
        return shortened(self.decoder, deepest)

    def _forward(self, batch: Mapping[str, Any], **more: Any) -> Any:
        arguments = {name: value for name, value in batch.items() if name != _LABELS}
        with self._autocast(), self.leanly(batch):
            return self._inner(**arguments, **more, use_cache=False)

    def _logits(self, states: Tensor) -> Tensor:
        with self._autocast():
            return self._head(states).float()  # type: ignore[no-any-return]

    def answer_loss(self, batch: Mapping[str, Any], pictures: Tensor, num_tokens: float) -> Tensor:
        """The answer loss of posts with generated pictures, ``(pictures, cells, features)``."""
        dtype = self._loaded.model.dtype
        with capture(self.decoder) as found:
            self._forward(batch, mm_encoder_outputs=encoder_outputs(self._loaded, pictures.to(dtype)))
        assert found.states is not None
        return answer_loss(found.states, batch[_LABELS], self._logits, num_tokens)


@dataclass(frozen=True)
class Generated:
    """Posts that are answered from a generated picture; see ``alignment.GeneratedView``."""

    forwards: Forwards
    batch: Mapping[str, Any]
    rows: Sequence[int]
    num_tokens: float

    def answer_loss(self, pictures: Tensor) -> Tensor:
        """The answer loss of these posts, of pictures ``(posts, cells, features)``."""
        return self.forwards.answer_loss(self.batch, pictures, self.num_tokens)


def answer_loss(states: Tensor, labels: Tensor, logits: Callable[[Tensor], Tensor], num_tokens: float) -> Tensor:
    """Cross-entropy of the answers, scaled as the trainer's own.

    Args:
        states: ``(batch, tokens, width)``, the decoder's last.
        labels: ``(batch, tokens)``, -100 where there is none.
        logits: From states to logits.
        num_tokens: What the sum is divided by.
    """
    said = labels[:, 1:] != -100
    found = logits(states[:, :-1][said])
    return nn.functional.cross_entropy(found, labels[:, 1:][said], reduction="sum") / num_tokens


def _view(found: Captured, inputs: Mapping[str, Any], rows: Any) -> View:
    assert found.states is not None
    return View(found.states, inputs, tuple(rows), found.layers, found.attention, found.picture)
