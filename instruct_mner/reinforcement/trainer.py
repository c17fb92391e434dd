"""TRL's GRPOTrainer with answers drawn under the grammar of each post, and log-probabilities after the same grammar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import use_adapter

from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.prefix_sharing import fuse_lora_and_attention, shared_beginning
from instruct_mner.reinforcement.grpo import GRPOTrainer
from instruct_mner.reinforcement.rollouts import Answers, AnswerSampler, score_answers
from instruct_mner.schema.records import Example
from instruct_mner.training.scored_trainer import DevEvaluation, ScoredTrainer
from instruct_mner.training.trl_arguments import keep_adapter_in_float32

# Key of the inputs of a loss that TRL does not know.
_ANSWERS = "answers"
_SMALL = 1e-4
# Weight of a token that another engine finds less likely, at most.
_MOST_WEIGHT = 2.0


class ReinforceTrainer(ScoredTrainer, GRPOTrainer):  # type: ignore[misc]
    """GRPOTrainer whose policy is the model under the grammar of each post.

    A forward holds the answers to one post, so that their prompt is computed once; a step holds
    ``gradient_accumulation_steps`` of them. Answers are drawn anew in each step, by the weights of this step.

    Args:
        loaded: Model with the adapter, with its family and its processor.
        sampler: Sampler of answers by the same model.
        posts: Annotated posts; the rows of ``train_dataset`` hold their numbers as ``index``.
        shares_prompt: Whether the prompt of a forward's answers is computed once.
        dev_evaluation: Function that tags the dev subset and returns scores by name.
        before_draws: Function that is called before answers are drawn, for an engine that has weights of its own.
        **arguments: Arguments of GRPOTrainer.

    Attributes:
        sampler: Sampler of answers by the same model.
    """

    def __init__(
        self,
        *,
        loaded: LoadedModel,
        sampler: AnswerSampler,
        posts: Sequence[Example],
        shares_prompt: bool,
        dev_evaluation: DevEvaluation | None,
        before_draws: Callable[[int], None] | None = None,
        **arguments: object,
    ) -> None:
        # TRL computes rewards from texts; here they are computed from the entities that answers are read as.
        names = sampler.reward_names
        super().__init__(reward_funcs=[_named(name) for name in names], **arguments)
        self.dev_evaluation, self._before_draws = dev_evaluation, before_draws
        self._loaded, self.sampler, self._posts = loaded, sampler, posts
        self._drawn: list[dict[str, Any]] = []
        unwrapped = self.accelerator.unwrap_model(self.model)
        keep_adapter_in_float32(unwrapped)
        has_experts = hasattr(loaded.model.config.get_text_config(), "output_router_logits")
        self._shares_prompt = shares_prompt and not (loaded.family.recurrent or has_experts)
        if shares_prompt:
            fuse_lora_and_attention(unwrapped, loaded.decoder)

    def _prepare_inputs(self, generation_batch: Sequence[Mapping[str, int]]) -> dict[str, Any]:
        """Return the answers to one post of the step; at its first one, those to all posts are drawn."""
        number = self._step % self.args.steps_per_generation
        if number == 0 or not self._drawn:
            posts = [self._posts[row["index"]] for row in generation_batch[:: self.num_generations]]
            self._drawn = self._draw(posts)
        inputs: dict[str, Any] = self._drawn[number]
        return inputs

    def _draw(self, posts: Sequence[Example]) -> list[dict[str, Any]]:
        if self._before_draws is not None:
            self._before_draws(self.state.global_step)
        # The seed is of the step, so that a run that is resumed draws what it would have drawn.
        place = self.state.global_step * self.accelerator.num_processes + self.accelerator.process_index
        drawn = self.sampler.draw(posts, seed=self.args.seed * 1_000_003 + place)
        advantages = self._advantages(torch.stack([answers.totals for answers in drawn]))
        num_tokens = torch.tensor(float(sum(int(answers.mask.sum()) for answers in drawn)))
        total = self.accelerator.gather(num_tokens.to(self.accelerator.device)).sum()
        self._log_answers(drawn)
        with torch.no_grad(), disable_gradient_checkpointing(self.model, self.args.gradient_checkpointing_kwargs):
            return [self._inputs(*each, total) for each in zip(drawn, advantages, strict=True)]

    def _advantages(self, totals: Tensor) -> Tensor:
        """Return how much better each answer is than the others to its post, ``(posts, answers)``, as TRL does."""
        apart = totals - totals.mean(dim=1, keepdim=True)
        if self.scale_rewards == "none":
            return apart
        if self.scale_rewards == "group":
            spread = totals.std(dim=1, keepdim=True)
        else:  # of all answers of the step, which several processes share
            spread = self.accelerator.gather(totals.to(self.accelerator.device)).std().to(totals.device)
        return apart / (spread + _SMALL)

    def _inputs(self, answers: Answers, advantages: Tensor, num_tokens: Tensor) -> dict[str, Any]:
        """Return the inputs of the loss of the answers to one post, under the names of TRL."""
        device = self.accelerator.device
        rows = len(answers.tokens)
        inputs: dict[str, Any] = {
            "prompt_ids": torch.cat([answers.prompt["input_ids"]] * rows).to(device),
            "prompt_mask": torch.cat([answers.prompt["attention_mask"]] * rows).to(device),
            "completion_ids": answers.tokens.to(device),
            "completion_mask": answers.mask.to(device),
            "advantages": advantages.to(device),
            "num_items_in_batch": num_tokens,
            _ANSWERS: answers,
        }
        if answers.drawn is not None:
            # What another engine draws, it draws by slightly other probabilities.
            # Source: truncated importance sampling of each token, as TRL's `token_truncate` does it.
            now, _ = self._scores(self.model, answers)
            apart = (now - answers.drawn.to(device)) * answers.mask.to(device)
            inputs["advantages"] = inputs["advantages"].unsqueeze(1) * apart.exp().clamp(max=_MOST_WEIGHT)
            self._metrics["train"]["answers/engines_apart"].append(float(apart.abs().sum() / answers.mask.sum()))
        if self.beta:
            model = self.accelerator.unwrap_model(self.model)
            with use_adapter(model, adapter_name="ref"):
                inputs["ref_per_token_logps"], _ = self._scores(self.model, answers)
        return inputs

    def _compute_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        self._answers: Answers = inputs[_ANSWERS]
        alone = self.accelerator.num_processes == 1  # others would wait for the gradients of this forward
        if alone and not self.beta and not inputs["advantages"].any():
            # All answers are worth the same: no forward is needed to know that the gradient is 0.
            tuned = (parameter for parameter in model.parameters() if parameter.requires_grad)
            return sum((parameter.sum() * 0 for parameter in tuned), torch.zeros((), device=self.accelerator.device))
        return super()._compute_loss(model, inputs)  # type: ignore[no-any-return]

    def _get_per_token_logps_and_entropies(
        self, model: nn.Module, *arguments: object, **named: object
    ) -> tuple[Tensor, Tensor, None]:
        """Return log-probability and entropy of each token after the grammar; TRL's are those before it."""
        return *self._scores(model, self._answers), None

    def _scores(self, model: nn.Module, answers: Answers) -> tuple[Tensor, Tensor]:
        device = self.accelerator.device
        with self.accelerator.autocast():
            return score_answers(model, answers, device, temperature=self.temperature, shared=self._shared_prompt)

    def _shared_prompt(self, num_tokens: int) -> AbstractContextManager[None]:
        return shared_beginning(self._loaded.decoder, num_tokens) if self._shares_prompt else nullcontext()

    def _log_answers(self, drawn: Sequence[Answers]) -> None:
        """Log rewards, lengths and what is wrong with answers, over all processes."""
        totals = torch.stack([answers.totals for answers in drawn])
        values = {f"rewards/{name}": _mean([answers.rewards[name] for answers in drawn]) for name in drawn[0].rewards}
        values |= {
            "reward": float(totals.mean()),
            "reward_spread": float(totals.std(dim=1).mean()),
            "posts_without_spread": float((totals.std(dim=1) < _SMALL).float().mean()),
            "answers/tokens": _mean([answers.mask.sum(dim=1).tolist() for answers in drawn]),
            "answers/illegal": float(sum(answers.num_illegal for answers in drawn)),
            "answers/unplaceable": float(sum(answers.num_unplaceable for answers in drawn)),
            "answers/cut": float(sum(answers.num_cut for answers in drawn)),
        }
        sums = {"answers/illegal", "answers/unplaceable", "answers/cut"}
        gathered = self.accelerator.gather(torch.tensor([list(values.values())], device=self.accelerator.device))
        for column, name in enumerate(values):
            numbers = gathered[:, column]
            self._metrics["train"][name].append(float(numbers.sum() if name in sums else numbers.mean()))

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        # Source: transformers 5.19 reads, where adapters lie in folders of their own, none but those: of a checkpoint
        # with that which the run began with, it would not read the one that is trained.
        save = self.model.save_pretrained
        self.model.save_pretrained = partial(save, selected_adapters=["default"])
        try:
            super()._save(output_dir, state_dict)
        finally:
            del self.model.save_pretrained

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        # GRPOTrainer's own would write TRL's model card beside every checkpoint.
        self.save_complete_checkpoint(lambda: super(GRPOTrainer, self)._save_checkpoint(model, trial))  # type: ignore[arg-type]


def _named(name: str) -> Any:
    """Return a function of this name, by which TRL knows a reward; it is never called."""

    def reward(**columns: object) -> list[float]:
        raise AssertionError(f"{name}: rewards are computed where answers are drawn")

    reward.__name__ = name
    return reward


def _mean(rows: Sequence[Sequence[float]]) -> float:
    numbers = [number for row in rows for number in row]
    return sum(numbers) / len(numbers)
