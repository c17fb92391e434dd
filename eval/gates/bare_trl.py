"""Fine-tuning by TRL's SFTTrainer alone, without the package: plain `finetune` must have the same losses."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def bare_losses(
    model_folder: Path,
    rows: Sequence[dict[str, Any]],
    *,
    target_modules: str | None,
    num_steps: int = 20,
    batch_size: int = 4,
    gradient_accumulation_steps: int = 1,
    learning_rate: float = 2e-4,
    scheduler: str = "cosine",
    rank: int = 16,
    alpha: int = 32,
    dropout: float = 0.05,
    seed: int = 0,
    bfloat16: bool = False,
    recompute: bool = False,
) -> list[float]:
    """Return the losses of the first steps.

    Args:
        model_folder: Folder of a base model with its processor.
        rows: Rows in TRL's form: ``prompt``, ``completion`` (structured messages) and ``images`` (open pictures).
        target_modules: Target modules of the LoRA; ``None`` tunes all weights.
        num_steps: Number of steps.
        batch_size: Number of posts in one forward.
        gradient_accumulation_steps: Number of forwards in one step.
        learning_rate: Peak of the learning rate.
        scheduler: Scheduler of the learning rate.
        rank: Rank of the LoRA.
        alpha: Alpha of the LoRA.
        dropout: Dropout of the LoRA.
        seed: Seed of weights, order and dropout.
        bfloat16: Whether forwards run in bfloat16. This and the next are on by TRL's default; they change how a loss is
            rounded, not what it is.
        recompute: Whether activations are recomputed.
    """
    import torch
    from datasets import Dataset, Features, Image, List, Value
    from peft import LoraConfig
    from transformers import AutoModelForImageTextToText, AutoProcessor, PrinterCallback
    from trl import SFTConfig, SFTTrainer

    messages = List({"role": Value("string"), "content": List({"type": Value("string"), "text": Value("string")})})
    features = Features({"prompt": messages, "completion": messages, "images": List(Image())})
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        bias="none",
        target_modules=target_modules,
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=AutoModelForImageTextToText.from_pretrained(model_folder, dtype=torch.float32),
            processing_class=AutoProcessor.from_pretrained(model_folder),
            train_dataset=Dataset.from_list(list(rows), features=features),
            peft_config=None if target_modules is None else lora,
            args=SFTConfig(
                output_dir=folder,
                max_steps=num_steps,
                per_device_train_batch_size=batch_size,
                gradient_accumulation_steps=gradient_accumulation_steps,
                learning_rate=learning_rate,
                lr_scheduler_type=scheduler,
                weight_decay=0.0,
                max_grad_norm=1.0,
                seed=seed,
                data_seed=seed,
                # TRL's own default would cut through image tokens.
                max_length=None,
                bf16=bfloat16,
                use_cpu=not torch.cuda.is_available(),
                gradient_checkpointing=recompute,
                logging_steps=1,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return [line["loss"] for line in trainer.state.log_history if "loss" in line]
