"""Settings of ``instruct-mner reinforce``: section ``reinforcement`` of the config of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from instruct_mner.schema.settings import Settings


class RewardWeights(Settings):
    """Weights of the rewards, each of which is in 0..1 and has 1 for the gold; only their ratios count.

    Attributes:
        spans: Weight of the F1 of spans.
        types: Weight of the F1 of spans with their types.
        boxes: Weight of the overlap of boxes, where answers hold boxes.
        not_visible: Weight of the F1 of entities that are in no picture, where answers hold boxes.
    """

    spans: float = Field(default=1.0, ge=0)
    types: float = Field(default=1.0, ge=0)
    boxes: float = Field(default=1.0, ge=0)
    not_visible: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> RewardWeights:
        if not self.spans + self.types:
            raise ValueError("spans and types are both 0: nothing would be paid for finding entities")
        return self


class ReinforcementSettings(Settings):
    """Reinforcement of an adapter by GRPO.

    In a step, ``posts_per_step`` posts are answered ``num_answers`` times each, and answers that are better than the
    others to their post become more likely. Source: https://arxiv.org/abs/2402.03300.

    Attributes:
        adapter: Adapter to begin with, or its run folder; by default that of ``output``.
        output: Run folder, which must not exist; by default the name of ``output`` with ``-reinforced``.
        rewards: Weights of the rewards.
        engine: Engine that draws the answers: ``transformers``, the model that is trained; or ``vllm``, in this process
            too, which is given the adapter anew in each step.
        vllm: Flags of vLLM itself, such as ``--gpu-memory-utilization=0.4``, which leaves room for the training.
        num_answers: Number of answers to each post of a step.
        posts_per_step: Number of posts of a step.
        temperature: Temperature at which answers are drawn.
        epochs: Number of passes over the posts.
        max_steps: Number of steps after which the run stops, whatever ``epochs`` says.
        learning_rate: Peak of the learning rate.
        scheduler: Schedule of the learning rate.
        warmup_steps: Number of steps until the peak.
        divergence: Weight of the divergence from the adapter that the run began with; 0 leaves it out.
        scale_rewards: Spread by which the rewards of a post are divided: that of its answers (``group``), that of all
            answers of the step (``batch``), or ``none``.
        evaluate_every: Number of steps between two evaluations on dev.
        patience: Number of evaluations in a row that must be worse than the best one, while the reward is higher than
            it was there, until the run stops.
    """

    adapter: Path | None = None
    output: Path | None = None
    rewards: RewardWeights = RewardWeights()
    engine: Literal["transformers", "vllm"] = "transformers"
    vllm: tuple[str, ...] = ()
    num_answers: int = Field(default=8, ge=2)
    posts_per_step: int = Field(default=16, ge=1)
    temperature: float = Field(default=1.0, gt=0, le=2)
    epochs: float = Field(default=1, gt=0, le=100_000)
    max_steps: int | None = Field(default=None, ge=1, le=1_000_000_000)
    learning_rate: float = Field(default=1e-4, gt=0)
    scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    divergence: float = Field(default=0.0, ge=0)
    scale_rewards: Literal["group", "batch", "none"] = "group"
    evaluate_every: int = Field(default=20, ge=1)
    patience: int = Field(default=3, ge=1)
