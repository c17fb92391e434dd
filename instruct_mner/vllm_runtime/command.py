"""The command that starts vLLM: all that is known of its flags."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence

import torch

from instruct_mner.errors import ConfigError
from instruct_mner.vllm_runtime.adapter_checks import RANKS
from instruct_mner.vllm_runtime.plan import Plan

# No host has it (RFC 2606): without any allowed domain vLLM fetches every address that a request names.
NO_DOMAIN = "nowhere.invalid"

_ENVIRONMENT = {
    # An allowed domain may not send vLLM elsewhere.
    "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
    "VLLM_NO_USAGE_STATS": "1",
    # Longer than the gateway keeps a connection that it does not use, or a request that is on its way is lost.
    "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "90",
    # FlashInfer's sampler is compiled when vLLM starts on a GPU, and needs nvcc; vLLM's own draws from the same tokens.
    # Source: vLLM 0.32, v1/sample/ops/topk_topp_sampler.py; read, not run.
    "VLLM_USE_FLASHINFER_SAMPLER": "0",
}
_CPU_ENVIRONMENT = {
    # Without it vLLM asks for nearly all memory of the machine, and does not start where anything else runs.
    "VLLM_CPU_KVCACHE_SPACE": "4",
    # oneDNN compiles a product for every number of rows, and would keep 1,024 of them: hundreds of megabytes.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "LRU_CACHE_CAPACITY": "64",
    # What threads of one arena give back, those of another cannot use.
    "MALLOC_ARENA_MAX": "1",
}

# Characters at which a command line is split, and those that keep it from being split.
_SPLIT = re.compile(r"[\s'\"\\]")

# Adapters as vLLM computes them on a CPU are slow, and wrong for the base beside them: see cpu_lora.py.
_CPU_WORKER = "instruct_mner.vllm_runtime.cpu_worker.WorkerExtension"

# It counts occurrences: see plugin.py. Without VLLM_PLUGINS vLLM takes all that are installed.
_PLUGIN = "instruct_mner"

# White space between the parts of JSON is what a model can fill its whole answer with; ours is trained without.
_STRUCTURED = {"backend": "guidance", "disable_any_whitespace": True}
# A model's own generation_config.json says where a turn ends, which must stay, and how to sample, which requests say:
# a penalty of repetitions would change what greedy means.
_SAMPLING = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
# transformers ties the output layer to the embeddings where the whole model's config says so; vLLM's Idefics3 and
# SmolVLM ask the config of its text, and leave the layer as the memory was where that says no.
# Source: vLLM 0.32, Idefics3ForConditionalGeneration.__init__.
_TIED = '{"text_config":{"tie_word_embeddings":true}}'


def server_arguments(plan: Plan, *, remote_domains: Sequence[str] = (), extra: Sequence[str] = ()) -> list[str]:
    """Return the flags of vLLM as a server, but for host and port.

    Args:
        plan: Plan of what is served.
        remote_domains: Domains from which pictures may be fetched.
        extra: Flags of vLLM itself; they come last, so that they win.
    """
    arguments = ["--served-model-name", plan.whole.name]
    if plan.adapters:
        arguments += ["--lora-modules", *(f"{adapter.name}={adapter.folder}" for adapter in plan.adapters)]
    if plan.chat_template is not None:  # An engine in this process is given prompts that are rendered already.
        arguments += ["--chat-template", plan.chat_template]
    arguments += ["--allowed-media-domains", *(remote_domains or [NO_DOMAIN]), "--disable-uvicorn-access-log"]
    return [*arguments, *engine_arguments(plan, extra)]


def engine_arguments(plan: Plan, extra: Sequence[str] = ()) -> list[str]:
    """Return the flags of vLLM that decide what is answered, for a server and for an engine in this process.

    Args:
        plan: Plan of what is served.
        extra: Flags of vLLM itself; they come last, so that they win.
    """
    arguments = ["--model", plan.base, "--dtype", plan.dtype]
    if plan.revision is not None:
        arguments += ["--revision", plan.revision]
    if plan.tied:
        arguments += ["--hf-overrides", _TIED]
    if plan.adapters:
        rank = max(adapter.rank for adapter in plan.adapters)
        most = next(each for each in RANKS if each >= rank)
        arguments += ["--enable-lora", "--max-lora-rank", str(most), "--max-loras", str(len(plan.adapters))]
        if not has_gpu():
            arguments += ["--worker-extension-cls", _CPU_WORKER]
    if plan.sees:
        arguments += ["--limit-mm-per-prompt", _compact({"image": plan.max_images, "video": 0})]
    if plan.pixel_settings:
        arguments += ["--mm-processor-kwargs", _compact(plan.pixel_settings)]
    arguments += ["--structured-outputs-config", _compact(_STRUCTURED), "--enable-prefix-caching"]
    arguments += ["--override-generation-config", _compact(_SAMPLING)]
    return [*arguments, *extra]


def has_gpu() -> bool:
    """Return whether vLLM runs on a GPU here."""
    return bool(torch.cuda.is_available())


def seeds_are_fatal() -> bool:
    """Return whether a request with a seed can end vLLM: without a GPU, where its prompt is read in pieces.

    Source: vLLM 0.32, ``GPUModelRunner._bookkeeping_sync``, winds a CPU's generator back, which has no offset.
    """
    return not has_gpu()


def vllm_command(arguments: Sequence[str], host: str, port: int) -> list[str]:
    """Return the command, for the Python that runs this.

    The ``vllm`` command of the build for CPUs asks for a distribution that it is not; the module works for both.
    """
    module = "vllm.entrypoints.openai.api_server"
    return [sys.executable, "-m", module, "--host", host, "--port", str(port), *arguments]


def vllm_environment() -> dict[str, str]:
    """Return the environment of vLLM; variables that the user has set stay, with our plugin among those allowed.

    Raises:
        ConfigError: vLLM could compile nothing in the folder of temporary files.
    """
    if not has_gpu():
        _check_compilable("TMPDIR", tempfile.gettempdir())
        _check_compilable("TORCHINDUCTOR_CACHE_DIR", os.environ.get("TORCHINDUCTOR_CACHE_DIR", ""))
    variables = {**_ENVIRONMENT} if has_gpu() else {**_ENVIRONMENT, **_CPU_ENVIRONMENT}
    chosen = {name: os.environ.get(name, value) for name, value in variables.items()}
    plugins = os.environ.get("VLLM_PLUGINS")
    if plugins is not None and _PLUGIN not in plugins.split(","):
        chosen["VLLM_PLUGINS"] = ",".join(each for each in (plugins, _PLUGIN) if each)
    return chosen


def _check_compilable(variable: str, folder: str) -> None:
    """Check that a compiler's command can hold the name of a folder, or the first request would end vLLM.

    Source: torch 2.13, ``cpp_builder.run_compile_cmd`` splits a command that names files as they are.
    """
    if _SPLIT.search(folder):
        raise ConfigError(
            f"{variable} is '{folder}': vLLM compiles there, and cannot where it has spaces, quotes or backslashes; "
            f"set {variable} to another folder"
        )


def shown_command(arguments: Sequence[str], host: str, port: int) -> str:
    """Return the command as a line of a shell, for people who run vLLM themselves."""
    return shlex.join([*_assignments(vllm_environment()), "python", *vllm_command(arguments, host, port)[1:]])


def _assignments(variables: Mapping[str, str]) -> list[str]:
    return ["env", *(f"{name}={value}" for name, value in variables.items())]


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
