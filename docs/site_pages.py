"""Pages of the documentation site, a hook of mkdocs: documents of the repository, and references made from the code.

Documents stay where people on the repository look for them. Their links to one another become links of the site; a link
to any other file becomes its path.
"""

from __future__ import annotations

import inspect
import json
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from instruct_mner.cli import app
from instruct_mner.schema.labels import LabelSet
from instruct_mner.scoring import glossary
from instruct_mner.training.config import FinetuneConfig

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = {
    "README.md": "index.md",
    "docs/GUIDE.md": "guide.md",
    "docs/METHODS.md": "methods.md",
    "docs/ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "prompts/README.md": "prompts.md",
    "adapters/README.md": "adapters.md",
    "deploy/README.md": "deploy.md",
    "eval/README.md": "measurements.md",
    "eval/results/alignment.md": "results/alignment.md",
    "eval/results/alignment-tuning.md": "results/alignment-tuning.md",
    "eval/results/serving.md": "results/serving.md",
    "eval/results/smollm2.md": "results/smollm2.md",
    "eval/results/grpo.md": "results/grpo.md",
    "eval/results/starter.md": "results/starter.md",
    "eval/results/twitter-context.md": "results/twitter-context.md",
}
_PICTURES = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
_LINKS = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return all pages and pictures of the site, in place of the files of ``docs``; a hook of mkdocs."""
    theme = [each for each in files if each.src_dir != config.docs_dir]
    pages = {site: rewritten(path) for path, site in DOCUMENTS.items()}
    pages |= {"commands.md": commands(), "settings.md": settings(), "numbers.md": numbers()}
    made = [File.generated(config, site, content=content) for site, content in pages.items()]
    shown = [File.generated(config, posixpath.basename(path), abs_src_path=str(ROOT / path)) for path in pictures()]
    return Files([*theme, *made, *shown])


def pictures() -> set[str]:
    """Return the pictures of all documents, as paths of the repository."""
    return {
        posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        for path in DOCUMENTS
        for target in _PICTURES.findall((ROOT / path).read_text(encoding="utf-8"))
    }


def rewritten(path: str) -> str:
    """Return a document with the links of the site.

    Args:
        path: Path in the repository.
    """

    def link(match: re.Match[str]) -> str:
        sign, text, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        place, _, anchor = target.partition("#")
        whole = posixpath.normpath(posixpath.join(posixpath.dirname(path), place))
        folder = posixpath.dirname(DOCUMENTS[path]) or "."
        if sign:
            return f"![{text}]({posixpath.relpath(posixpath.basename(whole), folder)})"
        if whole not in DOCUMENTS:
            return f"{text} (`{whole}`)" if text.strip("`") != whole else f"`{whole}`"
        page = posixpath.relpath(DOCUMENTS[whole], folder)
        return f"[{text}]({page}{'#' + anchor if anchor else ''})"

    parts = _CODE.split((ROOT / path).read_text(encoding="utf-8"))
    return "".join(part if part.startswith("```") else _LINKS.sub(link, part) for part in parts)


def commands() -> str:
    """Return the help of every command."""
    os.environ["COLUMNS"] = "100"
    runner = CliRunner()
    names = sorted(each.name or "" for each in app.registered_commands)
    sections = [f"## {name}\n\n```text\n{runner.invoke(app, [name, '--help']).output.strip()}\n```" for name in names]
    return "\n\n".join(["# Commands", *sections]) + "\n"


def settings() -> str:
    """Return every key of a config of ``finetune``, with its type, default and meaning."""
    sections = [f"## {title}\n\n{table}" for title, table in _tables(FinetuneConfig, "")]
    head = "# Settings\n\nKeys of the YAML that `finetune` takes; `init` writes one with all of them."
    return "\n\n".join([head, *sections]) + "\n"


def _tables(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield name and table of a group of settings, then of those inside."""
    meanings = _meanings(model)
    rows, inside = ["| key | type | default | meaning |", "|---|---|---|---|"], []
    for name, field in model.model_fields.items():
        kind = _model_of(field.annotation)
        if kind is not None:
            inside.append((f"{prefix}{name}.", kind))
        default = "" if field.is_required() or kind is not None else f"`{json.dumps(_default(field))}`"
        cells = (f"`{name}`", f"`{_type(field.annotation)}`", default, meanings.get(name, ""))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    yield prefix.rstrip(".") or "top level", "\n".join(rows)
    for below, kind in inside:
        yield from _tables(kind, below)


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return the text of each attribute in the docstrings of a model and of those that it comes from."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        attributes = inspect.cleandoc(each.__doc__ or "").partition("Attributes:\n")[2]
        found |= {name: " ".join(text.split()).replace("``", "`") for name, text in _ATTRIBUTE.findall(attributes)}
    return found


def _default(field: FieldInfo) -> object:
    value = field.get_default(call_default_factory=True)
    return value if isinstance(value, bool | int | float | str | tuple | list | dict) else None


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the group of settings that a key holds; labels are values of their own."""
    kinds = [annotation, *getattr(annotation, "__args__", ())]
    models = (each for each in kinds if isinstance(each, type) and issubclass(each, BaseModel))
    return next((each for each in models if each is not LabelSet), None)


def _type(annotation: Any) -> str:
    """Return a type as people who write YAML call it."""
    written = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    words = {"str": "text", "bool": "true or false", "Path": "path", "None": "null", "LabelSet": "names"}
    short = re.sub(r"\b(?:\w+\.)+", "", written).replace(" | ", " or ")
    short = re.sub(r"Literal\[(.*?)\]", lambda match: match[1].replace("'", ""), short)
    return re.sub(r"\b\w+\b", lambda match: words.get(match[0], match[0]), short)


def numbers() -> str:
    """Return every number that reports print, with its meaning."""
    groups = {
        "Data": glossary.DATA_TERMS,
        "Scores": glossary.SCORE_TERMS,
        "Regions": glossary.TRIPLE_TERMS,
        "Comparisons": glossary.COMPARISON_TERMS,
        "Confidences": glossary.CALIBRATION_TERMS,
    }
    parts = ["# Printed numbers\n\nWhat `--explain` prints beside a report."]
    for title, terms in groups.items():
        rows = "\n".join(f"| {name} | {meaning} |" for name, meaning in terms.items())
        parts.append(f"## {title}\n\n| number | meaning |\n|---|---|\n{rows}")
    return "\n\n".join(parts) + "\n"
