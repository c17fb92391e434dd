"""Module that vLLM's workers on a CPU import before they load anything (``--worker-extension-cls``)."""

from __future__ import annotations

from instruct_mner.vllm_runtime.cpu_lora import install

install()


class WorkerExtension:
    """Adds nothing to a worker: that this module has been imported is all that is wanted."""
