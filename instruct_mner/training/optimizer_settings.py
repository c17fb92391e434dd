"""Settings of the adapter, of the optimizer, and of the evaluations on the way: sections of the config of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from instruct_mner.schema.settings import Settings

OptimizerName = Literal[
    "adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit", "adafactor", "sgd"
]


class LoraSettings(Settings):
    """A LoRA of the decoder.

    Attributes:
        rank: Rank; vLLM loads these.
        alpha: Strength; twice the rank is usual.
        dropout: Dropout of the adapter's inputs.
    """

    rank: Literal[8, 16, 32, 64, 128, 256, 320, 512] = 16
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.05, ge=0, lt=1)


class OptimizerSettings(Settings):
    """Settings of the optimizer and of the training loop.

    Attributes:
        epochs: Number of passes over the data.
        max_steps: Number of steps after which training stops, whatever ``epochs`` says.
        batch_size: Number of posts in one forward.
        gradient_accumulation_steps: Number of forwards in one step.
        learning_rate: Peak of the learning rate; by default 2e-4 for LoRA and 2e-5 for full tuning.
        scheduler: Schedule of the learning rate.
        warmup_steps: Number of steps until the peak.
        weight_decay: Weight decay of AdamW.
        max_grad_norm: Norm to which gradients are clipped.
        gradient_checkpointing: Whether states are computed again in the backward pass: less memory for a third more
            time.
        group_by_length: Whether posts of similar length in tokens share a batch, so that less is spent on padding. By
            default without ``information_bottleneck``, whose negatives are the other posts of the batch: where all are
            of one length, its estimate stays at chance.
        share_prompt_prefix: Whether the same is computed with less work, up to rounding: the common prefix of the
            prompts of a batch once, a LoRA and its layer in one product, and on a CPU log-probabilities of answers
            alone and attention that is kept for the backward pass. By default on a CPU, where it was measured, without
            ``gradient_checkpointing``. With ``false``, and ``group_by_length: false``, losses are those of TRL to the
            last bit.
        name: Name of the optimizer, as transformers has it. Those of 8 bits need bitsandbytes and a GPU.
        loader_workers: Number of processes that open pictures and make batches beside the training; 0: the training
            makes them itself.
        liger: Whether layers are replaced by those of liger-kernel, which needs a GPU.
        torch_compile: Whether the model is compiled, without objectives: the first steps are slow.
    """

    epochs: float = Field(default=3, gt=0, le=100_000)
    max_steps: int | None = Field(default=None, ge=1, le=1_000_000_000)
    batch_size: int = Field(default=8, ge=1)
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)
    scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    gradient_checkpointing: bool = False
    group_by_length: bool | None = None
    share_prompt_prefix: bool | None = None
    name: OptimizerName = "adamw_torch_fused"
    loader_workers: int = Field(default=0, ge=0, le=64)
    liger: bool = False
    torch_compile: bool = False

    @model_validator(mode="before")
    @classmethod
    def _read_old_name(cls, values: object) -> object:
        """Read ``lean``, the name of ``share_prompt_prefix`` in older configs."""
        if not isinstance(values, Mapping) or "lean" not in values:
            return values
        if "share_prompt_prefix" in values:
            raise ValueError("lean is the old name of share_prompt_prefix; give the new one alone")
        return {("share_prompt_prefix" if name == "lean" else name): value for name, value in values.items()}

    @model_validator(mode="after")
    def _check(self) -> OptimizerSettings:
        if self.share_prompt_prefix and self.gradient_checkpointing:
            raise ValueError(
                "share_prompt_prefix keeps what gradient_checkpointing would compute again; choose one of them"
            )
        for other in ("liger", "torch_compile"):
            if self.share_prompt_prefix and getattr(self, other):
                raise ValueError(f"share_prompt_prefix and {other} replace the same layers; choose one of them")
        return self


class EvaluationSettings(Settings):
    """Settings of the comparison of checkpoints during training.

    Attributes:
        posts: Number of dev posts, the first ones, at every evaluation.
        every_steps: Number of steps between evaluations; by default one evaluation in each epoch.
        batch_size: Number of posts tagged at once.
    """

    posts: int = Field(default=200, ge=1)
    every_steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=16, ge=1)


class VisionCacheSettings(Settings):
    """Settings of the features of pictures, which a frozen vision tower computes once.

    Attributes:
        enabled: Whether they are kept on disk. By default where ``optimizer.share_prompt_prefix`` is in force and
            pictures are seen more than once: in several epochs, of ``data.dev``, or by the runs that share ``folder``.
        gib: Largest size, in GiB; what finds no room is computed each time.
        folder: Folder that several runs share, and that stays; by default one of the run, removed as it ends.
    """

    enabled: bool | None = None
    gib: float = Field(default=20.0, gt=0)
    folder: Path | None = None
