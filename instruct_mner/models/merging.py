"""Merging of an adapter into its base, for servers and tools that take whole models only."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from instruct_mner.console import working
from instruct_mner.files import exclusive
from instruct_mner.models.checkpoint_names import save_whole
from instruct_mner.models.description import tuned_before
from instruct_mner.models.loading import load_adapter, load_model
from instruct_mner.models.tuned import check_merge


def merge_adapter(adapter: Path, output: Path, *, base_model: str | None = None) -> Path:
    """Write the base with an adapter merged into it, in bfloat16, with processor and ``mner.json``.

    The base is loaded afresh, never taken from a training in 4 bits: merging into rounded weights would round the
    adapter too.

    Args:
        adapter: Folder of the adapter, or its run folder.
        output: Folder to write, which must not exist.
        base_model: Hub name or folder of the base, if it is not the one in ``mner.json``.

    Raises:
        MnerError: The output exists, or adapter and base do not fit.
    """
    with exclusive(output):
        _merge(adapter, output, base_model)
    return output


def _merge(adapter: Path, output: Path, base_model: str | None) -> None:
    folder, manifest, prompt = check_merge(adapter, output)
    name, revision = manifest.base_at(base_model)
    with working(f"loading {name}"):
        base = load_model(name, revision=revision, dtype="bfloat16", pixels=manifest.pixels)
    manifest.check_base(base.family.name, base.name)
    manifest = manifest.after(tuned_before(base))
    merged = load_adapter(base, folder).merged().model
    # Written beside its place and moved there whole: a folder that exists is a model.
    with working(f"writing {output}"), TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as beside:
        unfinished = Path(beside) / "model"
        save_whole(merged, unfinished, base.family)
        base.processor.save_pretrained(unfinished)
        manifest.model_copy(update={"tuning": "full"}).save(unfinished, prompt)
        unfinished.rename(output)
