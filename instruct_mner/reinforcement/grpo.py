"""TRL's GRPOTrainer, without vLLM.

Source: trl 1.16 imports all of vLLM, where it is installed, as soon as GRPOTrainer is; that takes 15 seconds of a core.
Answers are drawn by an engine here, so that none of it is used. Can go when TRL imports vLLM where it uses it.
"""

from __future__ import annotations

from importlib import import_module

from trl import GRPOConfig, import_utils


def _without_vllm() -> type:
    whole = import_utils.is_vllm_available
    import_utils.is_vllm_available = lambda min_version=None: False
    try:
        return import_module("trl.trainer.grpo_trainer").GRPOTrainer  # type: ignore[no-any-return]
    finally:
        import_utils.is_vllm_available = whole


GRPOTrainer = _without_vllm()

__all__ = ["GRPOConfig", "GRPOTrainer"]
