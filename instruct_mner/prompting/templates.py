"""Prompt templates: versioned Jinja files, found by name and rendered block by block."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.errors import ConfigError, suggest
from instruct_mner.files import read_text
from instruct_mner.prompting.bounded_templates import TemplateFailure, compiled, rendered
from instruct_mner.schema.record import Record
from instruct_mner.schema.records import Context

# Private-use character that takes the place of the text when its position in a rendered block is looked for.
_MARK = "\ue000"
# The first of these that is part of no special token of the tokenizer is used.
_NEUTRAL_CHARACTERS = "‹⟨＜"


def shown_text(text: str, special_tokens: Iterable[str] = ()) -> str:
    """Return the text as the model reads it, of the same length, so that offsets hold.

    Control characters and line breaks become spaces. The first character of every special token of the
    tokenizer is replaced, so that a post holding ``<image>`` can neither break the count of image tokens nor
    end the user's turn.

    Args:
        text: Text of the post.
        special_tokens: Special tokens of the tokenizer.
    """
    safe = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in text)
    tokens = sorted({token for token in special_tokens if token}, key=len, reverse=True)
    if not any(token in safe for token in tokens):
        return safe
    neutral = next(c for c in _NEUTRAL_CHARACTERS if not any(c in token for token in tokens))
    pattern = re.compile("|".join(map(re.escape, tokens)))
    while pattern.search(safe):
        safe = pattern.sub(lambda match: neutral + match.group()[1:], safe)
    return safe


def shown_context(context: Context | None, special_tokens: Iterable[str] = ()) -> Context | None:
    """Return captions, tags and OCR as the model reads them; see :func:`shown_text`."""
    if context is None:
        return None
    tokens = tuple(special_tokens)
    return Context(
        caption=context.caption and shown_text(context.caption, tokens),
        tags=tuple(shown_text(tag, tokens) for tag in context.tags),
        ocr=context.ocr and shown_text(context.ocr, tokens),
    )


class Shot(Record):
    """A few-shot example: a post with its answer, inside the instruction.

    Attributes:
        text: Text of the post as the model reads it.
        answer: Gold answer.
    """

    text: str
    answer: str


class Prompt(Record):
    """A prompt template.

    Attributes:
        name: Name with version.
        source: Text of the template.
    """

    name: str
    source: str

    @property
    def sha256(self) -> str:
        """Hash of the template's text."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    def instruction(self, spec: AnswerSpec, *, several_pictures: bool = False, examples: Sequence[Shot] = ()) -> str:
        """Return the text before the pictures, the same for all posts.

        Raises:
            ConfigError: The template cannot be rendered.
        """
        return self._block(
            "instruction",
            labels=[label.model_dump() for label in spec.labels.labels],
            format=spec.format,
            grounded=spec.grounded,
            several_pictures=several_pictures,
            box_range=spec.box_range,
            examples=[shot.model_dump() for shot in examples],
        )

    def post(self, text: str, num_images: int, context: Context | None = None) -> str:
        """Return the text after the pictures.

        Raises:
            ConfigError: The template cannot be rendered.
        """
        described = context and context.model_dump()
        return self._block("post", text=text, num_images=num_images, context=described)

    def text_begins(self, text: str, num_images: int, context: Context | None = None) -> int | None:
        """Return the first character of the text in :meth:`post`; ``None`` where the template leaves it out.

        Where the text stands twice, it is that of the second: there a causal decoder has read all of it.
        """
        mark = _MARK * len(text)
        begin = self.post(mark, num_images, context).rfind(mark) if text else -1
        return begin if begin >= 0 else None

    def _block(self, block: str, **variables: object) -> str:
        try:
            template = _compiled(self.source)
            if block not in template.blocks:
                raise ConfigError(
                    f"prompt template {self.name} has no block '{block}': it needs the blocks 'instruction' and "
                    "'post' (see prompts/README.md)"
                )
            return rendered(template, block, variables)
        except TemplateFailure as error:
            line = "" if error.line is None else f", line {error.line}"
            raise ConfigError(
                f"prompt template {self.name}{line}: {error}; prompts/README.md lists the variables "
                "and what templates may do"
            ) from error


_compiled = lru_cache(maxsize=64)(compiled)


def packaged_folder(name: str) -> Path:
    """Return a data folder of the project: inside an installed wheel, or beside the package in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / f"_{name}"
    return installed if installed.is_dir() else package.parent / name


def _versions(folder: Path) -> dict[str, list[tuple[int, Path]]]:
    versions_of: dict[str, list[tuple[int, Path]]] = {}
    for path in folder.glob("*.jinja"):
        match = re.fullmatch(r"(.+)\.v(\d+)", path.stem)
        if match:
            versions_of.setdefault(match.group(1), []).append((int(match.group(2)), path))
    return {name: sorted(versions) for name, versions in versions_of.items()}


def find_prompt(name: str) -> Prompt:
    """Find a template by name (``tag`` is the newest, ``tag.v1`` that one) or by path.

    Raises:
        ConfigError: No template has this name, and the message suggests the nearest one; or it cannot be rendered.
    """
    path = Path(name)
    if path.suffix == ".jinja" or path.is_file():
        if not path.is_file():
            raise ConfigError(f"prompt template {name}: no such file; check the path")
        prompt = Prompt(name=path.stem, source=read_text(path))
        if any(prompt.text_begins("text", num_images) is None for num_images in (0, 1)):
            raise ConfigError(
                f"prompt template {name}: its block 'post' does not show the text: {{{{ text }}}} is missing"
            )
        return prompt
    versions = _versions(packaged_folder("prompts"))
    wanted = re.fullmatch(r"(.+)\.v(\d+)", name)
    base = wanted.group(1) if wanted else name
    for number, path in reversed(versions.get(base, [])):
        if wanted is None or number == int(wanted.group(2)):
            return Prompt(name=path.stem, source=path.read_text(encoding="utf-8"))
    known = sorted(path.stem for each in versions.values() for _, path in each)
    raise ConfigError(
        f"there is no prompt template '{name}'{suggest(name, [*versions, *known])}; known: {', '.join(known)}, "
        "or the path of a .jinja file"
    )
