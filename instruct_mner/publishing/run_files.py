"""Files of a run that go to the hub: weights and heads as safetensors, settings, prompt; nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from instruct_mner.errors import ConfigError, ModelError
from instruct_mner.files import read_text
from instruct_mner.models.locations import SMOLLM2, SMOLLM2_ON_HUB, STARTER, STARTER_135M
from instruct_mner.models.manifest import FILE_NAME, PROMPT_FILE_NAME, Manifest
from instruct_mner.models.tuned import heads_folder

CARD = "README.md"
_SUFFIXES = {".safetensors", ".json", ".jinja"}
_WEIGHTS = ("adapter", "model")
_ADAPTER_CONFIG = "adapter_config.json"
_ADAPTER_BASE = "base_model_name_or_path"
# Words that stand for a base and are names of no repository of the hub.
_NAMES = {SMOLLM2: SMOLLM2_ON_HUB}


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """A run that is to be published.

    Attributes:
        folder: Folder of the weights.
        manifest: Manifest beside the weights.
        heads: Folder of the heads that tagging can use: for generated pictures and attention maps; ``None`` without.
        text: Model card that ``finetune`` wrote; empty where there is none.
        base: Hub name of the base; ``None`` for a starter, which is part of the package.
    """

    folder: Path
    manifest: Manifest
    heads: Path | None
    text: str
    base: str | None

    def left_out(self) -> tuple[str, ...]:
        """Return the names of files that are not published."""
        own = [
            path.name for path in self.folder.iterdir() if not _goes(path) and path.name != CARD and path != self.heads
        ]
        heads = [f"{path.parent.name}/{path.name}" for path in self._heads() if not _goes(path)]
        return tuple(sorted([*own, *heads]))

    def _heads(self) -> list[Path]:
        return [] if self.heads is None else sorted(self.heads.iterdir())

    def contents(self) -> Iterator[tuple[str, Path | bytes]]:
        """Yield name and content of each file; where the base has another name on the hub, files name that one."""
        for path in sorted(self.folder.iterdir()):
            if not _goes(path):
                continue
            keys = {FILE_NAME: "base_model", _ADAPTER_CONFIG: _ADAPTER_BASE}
            key, base = keys.get(path.name), self.base
            if key is None or base is None or self.manifest.base_model in {base, *_NAMES}:
                yield path.name, path
                continue
            values = json.loads(read_text(path))
            values[key] = base
            if path.name == FILE_NAME:
                # The commit is one of the repository that the run names.
                _, values["base_revision"] = self.manifest.base_at(base)
            yield path.name, (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()
        # `tag` looks for them in this folder beside the weights.
        yield from ((f"{path.parent.name}/{path.name}", path) for path in self._heads() if _goes(path))


def read_run(run: Path, base: str | None) -> RunFiles:
    """Read a run.

    Args:
        run: Run folder, or the folder of its weights.
        base: Hub name of the base, where the run names a folder.

    Raises:
        ModelError: It holds no manifest, or no weights as safetensors.
        ConfigError: Its base is a folder of this machine, and no hub name is given.
    """
    inner = [run / name for name in _WEIGHTS if (run / name / FILE_NAME).is_file()]
    folder = inner[0] if inner else run
    manifest, _ = Manifest.load(folder)
    if not any(path.suffix == ".safetensors" for path in folder.iterdir()):
        raise ModelError(f"{folder}: there are no weights as safetensors; name the run folder of 'finetune'")
    links = sorted(path.name for path in folder.iterdir() if _is_needed(path) and path.is_symlink())
    if links:
        raise ModelError(
            f"{folder}: {', '.join(links)}: a symbolic link, which is not followed; put the file itself there"
        )
    name = base or _NAMES.get(manifest.base_model, manifest.base_model)
    if Path(name).is_absolute() or Path(name).is_dir():
        raise ConfigError(
            f"{run}: its base is the folder {name}, which nobody else has; name the base on the hub by --base-model"
        )
    card = run / CARD
    heads = heads_folder(folder)
    return RunFiles(
        folder=folder,
        manifest=manifest,
        heads=heads if heads.is_dir() else None,
        text=read_text(card) if card.is_file() else "",
        base=None if name in (STARTER, STARTER_135M) else name,
    )


def _is_needed(path: Path) -> bool:
    return path.suffix == ".safetensors" or path.name in {FILE_NAME, PROMPT_FILE_NAME, _ADAPTER_CONFIG, "config.json"}


def _goes(path: Path) -> bool:
    return path.suffix in _SUFFIXES and path.is_file() and not path.is_symlink()
