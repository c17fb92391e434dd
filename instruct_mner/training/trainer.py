"""TRL's SFTTrainer with alignment objectives and an evaluation that tags; it knows the inside of TRL.

Without objectives it is SFTTrainer itself, to the last bit of the loss; but for accumulation in some families, whose
answer loss is divided by the answer tokens of the whole step here as it is in the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from trl import SFTTrainer

from instruct_mner.alignment.build import together
from instruct_mner.alignment.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from instruct_mner.alignment.objective import Objective
from instruct_mner.models.hooks import Captured
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.prefix_sharing import fuse_lora_and_attention
from instruct_mner.training.batch import VIEWS, Batch
from instruct_mner.training.forwards import Forwards
from instruct_mner.training.gradient_share import MEASURED_STEPS, METRIC, gradient_norm, measured_weights
from instruct_mner.training.length_grouping import LengthGroupedSampler
from instruct_mner.training.scored_trainer import DevEvaluation, ScoredTrainer
from instruct_mner.training.sharding import (
    as_forward,
    average_gradients,
    is_sharded,
    lay_in_parts,
    reduce_all_gradients,
    whole_gradients,
    whole_weights,
)
from instruct_mner.training.trl_arguments import answers_scored_alone, keep_adapter_in_float32
from instruct_mner.training.views import AlignmentViews

if TYPE_CHECKING:
    from transformers.utils import ModelOutput

# Name of the module in the model that holds the heads of the objectives.
_HEADS = "alignment_heads"


class MnerTrainer(ScoredTrainer, SFTTrainer):  # type: ignore[misc]
    """SFTTrainer with auxiliary losses on the decoder's states.

    Args:
        loaded: Base model, with its family and its processor.
        objectives: Auxiliary losses; without any, training is plain fine-tuning. Their heads are attached to the
            model, so that processes agree on them, and saved beside checkpoints, never with the weights.
        head_learning_rate: Learning rate of the heads; ``None`` is that of the run.
        lengths: Length of each post, where posts of similar length share a batch; ``None`` is a random order.
        share_prompt_prefix: Whether the model takes the shortcuts of ``models.prefix_sharing``.
        dev_evaluation: Function that tags the dev subset and returns scores by name.
        **arguments: Arguments of SFTTrainer.
    """

    def __init__(
        self,
        *,
        loaded: LoadedModel,
        objectives: Sequence[Objective] = (),
        head_learning_rate: float | None = None,
        lengths: Sequence[int] | None = None,
        share_prompt_prefix: bool = False,
        dev_evaluation: DevEvaluation | None = None,
        **arguments: object,
    ) -> None:
        super().__init__(**arguments)
        # Source: transformers 5.17 and 5.19 set `accepts_loss_kwargs = False` on Qwen2.5-VL, Qwen3-VL, GLM-4.6V and
        # Gemma 4, so that Trainer does not count the answer tokens of a step, and each forward divides by its own. TRL
        # 1.16 makes the loss itself and hands no such argument to the model: the count is right for every family.
        self.model_accepts_loss_kwargs = True
        text_config = self.model.config.get_text_config()
        if hasattr(text_config, "output_router_logits"):
            # Source: TRL 1.16 turns this on for models with experts, and asks each forward of training for it as well.
            # Generation needs no load-balancing loss, and cannot compute it where a prefix is shared.
            text_config.output_router_logits = False
        self.dev_evaluation = dev_evaluation
        self._objectives = tuple(objectives)
        self._head_learning_rate = head_learning_rate
        self._lengths = lengths
        self._measured_steps = 0
        self.heads: nn.ModuleDict | None = None
        modules = {each.name: each for each in objectives if isinstance(each, nn.Module)}
        if modules:
            self.heads = nn.ModuleDict(modules).to(self.accelerator.device)
            if not is_sharded():
                self.model.add_module(_HEADS, self.heads)
        unwrapped = self.accelerator.unwrap_model(self.model)
        base = unwrapped.get_base_model() if hasattr(unwrapped, "get_base_model") else unwrapped
        keep_adapter_in_float32(unwrapped)
        self._forwards = Forwards(
            base=base,
            loaded=loaded,
            needs=together(objectives),
            autocast=self.accelerator.autocast,
            share_prompt_prefix=share_prompt_prefix,
        )
        if lay_in_parts(self.accelerator, unwrapped, base, loaded.family) and share_prompt_prefix:
            fuse_lora_and_attention(unwrapped, self._forwards.decoder)
        self._takes_shortcuts = share_prompt_prefix

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, ModelOutput]:
        """Return the answer loss, plus the loss of every objective.

        The states come from a hook on the decoder: ``super().compute_loss(…, return_outputs=True)`` would return
        those of a second forward without gradient, on which an auxiliary loss trains nothing.
        """
        views = cast("AlignmentViews", inputs.pop(VIEWS, AlignmentViews())).to(self.accelerator.device)
        if not self._objectives or not model.training:
            with nullcontext() if return_outputs else self._shortcuts(inputs):
                return super().compute_loss(  # type: ignore[no-any-return]
                    model, inputs, return_outputs, num_items_in_batch
                )
        with self._forwards.capture_image_view() as captured, self._shortcuts(inputs):
            loss: Tensor = super().compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
        # Source: SFTTrainer's own auxiliary loss: with `num_items_in_batch`, Trainer leaves the division by the
        # accumulation steps to the loss, because the answer loss is already a sum over all of them.
        steps = self.current_gradient_accumulation_steps if num_items_in_batch is not None else 1
        # The loss in the log is the sum of all losses.
        self._metrics["train"]["answer_loss"].append(loss.item() * steps)
        num_tokens = self._num_tokens(inputs, num_items_in_batch, steps)
        found = as_forward(model, lambda: self._of_objectives(captured, inputs, views, num_tokens))
        loss = self._with_objectives(loss, found, steps)
        if self.accelerator.num_processes > 1 and not is_sharded():
            # Processes wait for each other's gradient of every weight: a head's, or of a whole model the tower's.
            tuned = (parameter for parameter in self.model.parameters() if parameter.requires_grad)
            loss = loss + sum((parameter.sum() * 0 for parameter in tuned), torch.zeros(()).to(loss))
        return loss

    @contextmanager
    def _shortcuts(self, inputs: Batch) -> Iterator[None]:
        """Compute what all prompts begin with once, and score answers alone, in the forward of the block."""
        alone = answers_scored_alone(self._forwards.backbone, inputs) if self._takes_shortcuts else nullcontext()
        with self._forwards.with_shared_prefix(inputs), alone:
            yield

    def _of_objectives(
        self, captured: Captured, inputs: Batch, views: AlignmentViews, num_tokens: float
    ) -> list[tuple[Tensor, Mapping[str, float]]]:
        """Return the losses and metrics of the objectives, after the answer's own forward."""
        batch = replace(self._forwards.batch(captured, inputs, views, num_tokens), step=self.state.global_step)
        rows = (*batch.image.rows, *(() if batch.text is None else batch.text.rows))
        self._metrics["train"]["alignment/posts_not_found"].append(float(sum(row.is_lost for row in rows)))
        self._metrics["train"]["alignment/mentions_not_found"].append(float(sum(row.lost_mentions for row in rows)))
        found = [objective(batch) for objective in self._objectives]
        tie = self._forwards.tie()
        return found if tie is None else [(value + tie, metrics) for value, metrics in found]

    def _with_objectives(self, loss: Tensor, found: Sequence[tuple[Tensor, Mapping[str, float]]], steps: int) -> Tensor:
        """Return the answer loss of a forward plus the losses of the objectives, and log them."""
        norms = self._gradient_norms([loss, *(value for value, _ in found)])
        logged: dict[str, float] = {}
        for number, (objective, (value, metrics)) in enumerate(zip(self._objectives, found, strict=True), start=1):
            if norms and norms[0] and metrics:
                logged[f"{objective.name}/{METRIC}"] = objective.weight * norms[number] / steps / norms[0]
            loss = loss + self._weight(objective) * value / steps
            logged[f"{objective.name}/loss"] = value.item()
            logged |= {f"{objective.name}/{name}": metric for name, metric in metrics.items()}
        for name, metric in logged.items():
            self._metrics["train"][name].append(metric)
        return loss

    def _gradient_norms(self, losses: Sequence[Tensor]) -> list[float]:
        """Return the norms of the gradients of losses on the tuned weights; none in a forward that is not measured."""
        weights = self._weights_to_measure()
        if not weights:
            return []
        with whole_gradients(self.model, in_step=self.accelerator.sync_gradients):
            return [gradient_norm(loss, weights) for loss in losses]

    def _weights_to_measure(self) -> list[nn.Parameter]:
        """Return the weights on which this forward's gradients are measured: none, but for the first of some steps."""
        if self.state.global_step < self._measured_steps or self.state.global_step not in MEASURED_STEPS:
            return []
        self._measured_steps = self.state.global_step + 1
        with self.without_heads():
            return measured_weights(self.model.parameters())

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self._lengths is None:
            return super()._get_train_sampler(train_dataset)
        batch_size = self.args.per_device_train_batch_size * self.accelerator.num_processes
        return LengthGroupedSampler(self._lengths, batch_size, self.args.data_seed or 0)

    def get_train_dataloader(self) -> Any:
        """Return the loader of the batches; its processes are forked as an epoch begins, with all that it has set."""
        loader = super().get_train_dataloader()
        if loader.num_workers:
            loader.multiprocessing_context = "fork"
        return loader

    def _weight(self, objective: Objective) -> float:
        """Return the weight of an objective in this step."""
        grown = (self.state.global_step + 1) / objective.warmup_steps if objective.warmup_steps else 1.0
        return objective.weight * min(1.0, grown)

    def _num_tokens(self, inputs: Batch, num_items: Tensor | int | None, steps: int) -> float:
        """Return the number that scales a sum over the answer tokens of one forward as the answer loss is scaled."""
        if num_items is None:
            return max(1.0, float((inputs["labels"][:, 1:] != -100).sum()))
        processes = self.accelerator.num_processes if self.args.average_tokens_across_devices else 1
        return float(num_items) / (steps * processes)

    def _clip_grad_norm(self, model: nn.Module) -> Tensor | None:
        """Clip the heads apart from the weights that are served, so that they do not shorten the steps of these."""
        with self.without_heads():
            norm: Tensor | None = super()._clip_grad_norm(model)
        own = [] if self.heads is None else list(self.heads.parameters())
        average_gradients(own)
        if own:
            # Gradients are unscaled by now, and may be so only once.
            head_norm = nn.utils.clip_grad_norm_(own, self.args.max_grad_norm)
            self._metrics["train"]["alignment/head_grad_norm"].append(head_norm.item())
        return norm

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        """Return the optimizer, with the heads' own learning rate where there is one."""
        optimizer = super().create_optimizer(model)
        if self.heads is not None and self._head_learning_rate is not None:
            heads = {id(parameter) for parameter in self.heads.parameters()}
            for group in list(optimizer.param_groups):
                mine = [parameter for parameter in group["params"] if id(parameter) in heads]
                if mine and group["lr"] != self._head_learning_rate:
                    group["params"] = [parameter for parameter in group["params"] if id(parameter) not in heads]
                    optimizer.add_param_group({**group, "params": mine, "lr": self._head_learning_rate})
        return optimizer  # type: ignore[no-any-return]

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LRScheduler:
        """Return the scheduler; heads join weights that lie in parts by now, as accelerate would let none be whole."""
        if is_sharded() and self.heads is not None and list(self.heads.parameters()):
            self.model.add_module(_HEADS, self.heads)
            # Source: torch 2.13, `_split_optim_state_dict`: a group without weights is read back only where it is last.
            self.optimizer.param_groups[:] = [each for each in self.optimizer.param_groups if each["params"]]
            decayed = set(self.get_decay_parameter_names(self.heads))
            rate = self._head_learning_rate or self.args.learning_rate
            for decays, decay in ((True, self.args.weight_decay), (False, 0.0)):
                mine = [each for name, each in self.heads.named_parameters() if (name in decayed) is decays]
                if mine:
                    self.optimizer.add_param_group({"params": mine, "weight_decay": decay, "lr": rate})
        reduce_all_gradients(self.model)
        return super().create_scheduler(num_training_steps, optimizer)  # type: ignore[no-any-return]

    @contextmanager
    def without_heads(self) -> Iterator[None]:
        """Take the heads out of the model in the block: it is then the model that is served."""
        attached = self.model._modules.pop(_HEADS, None)
        try:
            yield
        finally:
            if attached is not None:
                self.model._modules[_HEADS] = attached

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the weights; where they lie in parts in several processes, all must call this."""
        with self.without_heads():
            weights = whole_weights(self.model)
        if weights is None:
            super().save_model(output_dir, _internal_call)
        elif self.args.should_save:
            self._save(output_dir, weights)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        with self.without_heads():
            super()._save(output_dir, state_dict)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        with self.without_heads():
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        self._load_heads(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        with self.without_heads():
            super()._load_best_model()
        self._load_heads(self.state.best_model_checkpoint)

    def _load_heads(self, checkpoint: str) -> None:
        if self.heads is not None:
            load_checkpoint(Path(checkpoint) / CHECKPOINT, self.heads)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        # SFTTrainer's own would write TRL's model card beside every checkpoint; the run folder has one of ours.
        self.save_complete_checkpoint(
            lambda: super(SFTTrainer, self)._save_checkpoint(model, trial),
            lambda folder: None if self.heads is None else save_checkpoint(folder / CHECKPOINT, self.heads),
        )
