"""Training of the starter's decoder with a frozen vision tower: cross-entropy of the answer and attention losses."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from eval.starter_training.attention_init import HOPS, Hop
from eval.starter_training.optimizer import MasterAdamW
from eval.starter_training.samples import Sample, Target

BATCH = 32
# Weight of the attention losses.
ATTENTION = 0.25
# Weight of a token that names a type, or says that there is a box, or where; other tokens have 1.
_DECISIVE = 3.0
_FLOOR = 1e-4


class DecoderTrainer:
    """Trainer of the decoder.

    Args:
        model: Starter with eager attention.
        image_states: Output of the connector for the picture of each post, ``(posts, tokens, width)``.
        image_token: Id of an image token.
        padding: Id of the padding.
        attention: Weight of the attention losses.
        hops: Places of supervised attention; targets of other hops are left out.

    Attributes:
        project: Function of image states, such as the matrix of a connector that is trained with the decoder.
        log: Measurements by name.
    """

    def __init__(
        self,
        model: Any,
        image_states: Any,
        image_token: int,
        padding: int,
        attention: float = ATTENTION,
        hops: Mapping[str, Hop] = HOPS,
    ) -> None:
        self.decoder = model.model.text_model
        self._head = model.lm_head
        self._image_states = image_states
        self._image_token = image_token
        self._padding = padding
        self._attention = attention
        self._hops = hops
        self.project: Callable[[Any], Any] = lambda states: states
        self.log: dict[str, list[float]] = defaultdict(list)

    def loss(self, batch: Sequence[Sample]) -> Any:
        """Return the mean cross-entropy of the learned tokens plus the attention losses, and fill the log.

        Args:
            batch: Samples with the same prefix, which is computed once.
        """
        import torch

        length = max(len(each.ids) for each in batch)
        ids = torch.full((len(batch), length), self._padding)
        weights = torch.zeros(len(batch), length)
        for row, each in enumerate(batch):
            ids[row, : len(each.ids)] = torch.tensor(each.ids)
            weights[row, : len(each.ids)] = torch.tensor(each.learned, dtype=torch.float)
            for position, _ in each.decisive:
                weights[row, position] = _DECISIVE
        states, attentions, prefix_attentions = self._forward(batch, ids)
        learned = weights[:, 1:] > 0
        logits = self._head(states[:, :-1][learned]).float()
        answers = ids[:, 1:][learned]
        loss = torch.nn.functional.cross_entropy(logits, answers, reduction="none")
        loss = (loss * weights[:, 1:][learned]).sum() / weights[:, 1:][learned].sum()
        self._log_samples(batch, learned, logits.argmax(-1) == answers, float(loss.detach()))
        if attentions is None:
            return loss
        return loss + self._attention * self._attention_loss(batch, attentions, prefix_attentions)

    def _forward(self, batch: Sequence[Sample], ids: Any) -> tuple[Any, Any, Any]:
        """Return last hidden states after the prefix, ``(batch, tokens, width)``, and attention probabilities."""
        import torch
        from transformers import DynamicCache

        supervised = self._attention > 0 and any(self._targets(each) for each in batch)
        cache = prefix_attentions = None
        if batch[0].prefix:
            cache = DynamicCache(config=self.decoder.config)
            prefix = self.decoder.embed_tokens(torch.tensor([batch[0].prefix]))
            out = self.decoder(
                inputs_embeds=prefix, past_key_values=cache, use_cache=True, output_attentions=supervised
            )
            prefix_attentions = out.attentions
            for layer in cache.layers:
                layer.keys = layer.keys.expand(len(batch), -1, -1, -1)
                layer.values = layer.values.expand(len(batch), -1, -1, -1)
        embeddings = self.decoder.embed_tokens(ids)
        pictures = [each.picture for each in batch if each.picture is not None]
        if pictures:
            mask = (ids == self._image_token)[..., None]
            embeddings = embeddings.masked_scatter(
                mask, self.project(self._image_states[pictures]).to(embeddings.dtype)
            )
        out = self.decoder(
            inputs_embeds=embeddings,
            past_key_values=cache,
            use_cache=cache is not None,
            output_attentions=supervised,
        )
        return out.last_hidden_state, out.attentions, prefix_attentions

    def _targets(self, sample: Sample) -> list[Target]:
        return [target for target in sample.targets if target.hop in self._hops]

    def _attention_loss(self, batch: Sequence[Sample], attentions: Any, prefix_attentions: Any) -> Any:
        """Return minus the log of the attention on the targets, a mean for each hop."""
        import torch

        start = len(batch[0].prefix)
        own: dict[str, list[tuple[int, Target]]] = defaultdict(list)
        shared: dict[str, list[tuple[int, Target]]] = defaultdict(list)
        for row, each in enumerate(batch):
            for target in self._targets(each):
                if target.query >= start:
                    own[target.hop].append((row, target))
                elif row == 0:
                    shared[target.hop].append((0, target))
        total = torch.zeros(())
        for targets, probabilities, offset in ((own, attentions, start), (shared, prefix_attentions, 0)):
            for hop, rows in targets.items():
                mass = _mass(probabilities[self._hops[hop].layer], self._hops[hop].heads, rows, offset)
                self.log[f"hop {hop}"].append(float(mass.detach().mean()))
                total = total - (mass + _FLOOR).log().mean()
        return total

    def _log_samples(self, batch: Sequence[Sample], learned: Any, right: Any, loss: float) -> None:
        import torch

        flags = torch.zeros(learned.shape, dtype=torch.bool)
        flags[learned] = right
        kind = batch[0].kind
        self.log[f"loss {kind}"].append(loss)
        self.log[f"tokens {kind}"].append(float(right.float().mean()))
        for row, each in enumerate(batch):
            for position, name in each.decisive:
                self.log[name].append(float(flags[row, position - 1]))


def _mass(probabilities: Any, heads: Sequence[int], rows: Sequence[tuple[int, Target]], offset: int) -> Any:
    """Return the attention of some rows on their keys, ``(rows, heads)``."""
    import torch

    wanted = torch.zeros(len(rows), probabilities.shape[-1])
    for index, (_, target) in enumerate(rows):
        wanted[index, list(target.keys)] = 1.0
    batch = torch.tensor([row for row, _ in rows])
    queries = torch.tensor([target.query - offset for _, target in rows])
    on_keys = probabilities[:, list(heads)][batch, :, queries].float()
    return (on_keys * wanted[:, None]).sum(-1)


SampleBatchMaker = Callable[[], list[Sample]]


def schedule(
    makers: dict[str, tuple[float, SampleBatchMaker]], seed: int, batch: int = BATCH
) -> Iterator[list[Sample]]:
    """Yield batches without end, in proportion to the weight of each kind, of similar lengths to save padding."""
    rng = random.Random(seed)
    names = list(makers)
    weights = [makers[name][0] for name in names]
    waiting: dict[str, list[list[Sample]]] = {name: [] for name in names}
    while True:
        name = rng.choices(names, weights)[0]
        if not waiting[name]:
            made = makers[name][1]()
            made.sort(key=lambda each: len(each.ids))
            waiting[name] = [made[at : at + batch] for at in range(0, len(made), batch)]
            rng.shuffle(waiting[name])
        yield waiting[name].pop()


def rate(step: int, steps: int, warmup: int = 40, floor: float = 0.05) -> float:
    """Return the share of the learning rate at a step: a linear rise, then a cosine."""
    import math

    return min(1.0, (step + 1) / warmup) * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * step / steps)))


def decoder_optimizer(model: Any, learning_rate: float) -> MasterAdamW:
    """Freeze the vision tower and the connector, and return the optimizer of the decoder."""
    for part in (model.model.vision_model, model.model.connector):
        part.requires_grad_(False)
    return MasterAdamW(model.model.text_model.parameters(), learning_rate)
