"""ITA on a vision-language model: the answer without the picture is aligned with the answer with it.

Source: ITA: Image-Text Alignments for Multi-Modal Named Entity Recognition, NAACL 2022,
https://arxiv.org/abs/2112.06482. The view with the picture is the teacher, and gets no gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from instruct_mner.alignment.objective import AlignmentBatch, Needs, View
from instruct_mner.alignment.pooling import nothing
from instruct_mner.alignment.settings import CrossViewSettings


def divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """Return ``temperature² · KL(teacher ‖ student)`` of each row of logits, ``(rows,)``.

    No gradient reaches the teacher.
    """
    target = torch.log_softmax(teacher.detach() / temperature, dim=-1)
    log_student = torch.log_softmax(student / temperature, dim=-1)
    return temperature**2 * (target.exp() * (target - log_student)).sum(dim=-1)


class CrossView(nn.Module):
    """``text_weight · CE(text) + weight · temperature² · KL(teacher ‖ text)``.

    The cross-entropy is scaled as the answer loss; the divergence is a mean over the answer tokens with content of a
    post, then over the posts of the batch. Posts with neither picture nor context have no second view.

    Args:
        settings: Weights of the two losses, temperature and teacher.
    """

    name = "cross_view"

    def __init__(self, settings: CrossViewSettings) -> None:
        super().__init__()
        # Each of the two losses has a weight of its own.
        self.weight = 1.0
        self.warmup_steps = settings.warmup_steps
        teacher = (settings.teacher != "context", settings.teacher != "image")
        self.needs = Needs(rows=True, text_view=True, text_answer=True, teacher=teacher if settings.weight else None)
        self._settings = settings

    def forward(self, batch: AlignmentBatch) -> tuple[Tensor, Mapping[str, float]]:
        """Return loss and metrics; see :class:`~instruct_mner.alignment.objective.Objective`."""
        text, settings = batch.text, self._settings
        if text is None:
            return nothing(batch), {}
        logits = cast("Callable[[Tensor], Tensor]", batch.output_embedding)
        labels = text.inputs["labels"]
        answered = labels[:, 1:] != -100
        # The output embedding is large: it is applied once, and only at answer tokens.
        student = logits(text.states[:, :-1][answered])
        summed = nn.functional.cross_entropy(student, labels[:, 1:][answered], reduction="sum")
        loss = settings.text_weight * summed / batch.num_tokens
        metrics = {"text_loss": summed.item() / max(1, int(answered.sum()))}
        if settings.weight:
            kl = self._divergence(batch, text, student, answered, logits)
            loss = loss + settings.weight * kl
            metrics["kl"] = kl.item()
        return loss, metrics

    def _divergence(
        self, batch: AlignmentBatch, text: View, student: Tensor, answered: Tensor, logits: Callable[[Tensor], Tensor]
    ) -> Tensor:
        taught = batch.teacher or batch.image
        rows = range(len(text.rows)) if batch.teacher is not None else batch.origin
        pairs = [self._pairs(taught, row, text, number) for number, row in enumerate(rows)]
        num_posts = len(batch.states)
        shares = [1 / (len(each) * num_posts) for each in pairs for _ in each]
        if not shares:
            return nothing(batch)
        place = torch.full(answered.shape, -1, device=answered.device)
        place[answered] = torch.arange(int(answered.sum()), device=answered.device)
        from_row = [row for row, each in zip(rows, pairs, strict=True) for _ in each]
        from_token = [teaching - 1 for each in pairs for teaching, _ in each]
        to_row = [number for number, each in enumerate(pairs) for _ in each]
        to_token = [learning - 1 for each in pairs for _, learning in each]
        with torch.no_grad():
            teacher = logits(taught.states[from_row, from_token])
        each = divergence(teacher, student[place[to_row, to_token]], self._settings.temperature)
        return (each * torch.tensor(shares, dtype=each.dtype, device=each.device)).sum()

    @staticmethod
    def _pairs(taught: View, row: int, text: View, number: int) -> list[tuple[int, int]]:
        """Return the pairs of content tokens of both views; none where the tokens differ."""
        one, other = taught.rows[row].content, text.rows[number].content
        ids = taught.inputs["input_ids"][row, list(one)], text.inputs["input_ids"][number, list(other)]
        return list(zip(one, other, strict=True)) if torch.equal(*ids) else []
