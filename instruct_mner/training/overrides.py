"""Settings of the command line, ``--set key=value``, on top of those of a config."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from yaml.constructor import ConstructorError

from instruct_mner.data.yaml_files import parse_yaml
from instruct_mner.errors import ConfigError
from instruct_mner.schema.record import is_whole
from instruct_mner.schema.validation_messages import model_at


def override(values: dict[str, Any], setting: str, config: type[BaseModel]) -> None:
    """Put a setting into the values of a config.

    Args:
        values: Values by name, changed in place.
        setting: Setting as ``key=value``, with dots into sections. The value of a setting that is a text or a path is
            taken as it stands, but for quotes around it and for ``null``; any other is YAML.
        config: Model of the config.

    Raises:
        ConfigError: It is not written so.
    """
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {setting}: write key=value, for example --set optimizer.epochs=5")
    if not is_whole(text):
        raise ConfigError(f"--set {setting}: the value is not UTF-8, as a config is; rename the file or folder")
    *sections, name = key.split(".")
    value = _read(setting, text, is_text=_is_text(config, sections, name))
    for section in sections:
        # A section that is off is `null`; a setting of it switches it on, as where the config leaves it out.
        values[section] = {} if values.get(section) is None else values[section]
        values = values[section]
        if not isinstance(values, dict):
            raise ConfigError(f"--set {setting}: '{section}' is not a section")
    values[name] = value


def _is_text(config: type[BaseModel], sections: list[str], name: str) -> bool:
    """Return whether a setting is a text or a path, or ``null``."""
    section = model_at(config, sections)
    field = None if section is None else section.model_fields.get(name)
    if field is None:
        return False
    is_union = get_origin(field.annotation) in {Union, UnionType}
    return bool({str, Path} & set(get_args(field.annotation) if is_union else [field.annotation]))


def _read(setting: str, text: str, *, is_text: bool) -> Any:
    try:
        value = parse_yaml(text)
        loses_words = _holds_comment(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if is_text:
            return text
        reason = "put a text into quotes within the shell's"
        if isinstance(error, ConstructorError):
            reason = str(error.problem)
        raise ConfigError(f"--set {setting}: the value is not YAML; {reason}") from None
    if is_text:
        is_quoted = isinstance(value, str) and text.lstrip()[0] in "'\""
        return value if not loses_words and (value is None or is_quoted) else text
    if loses_words:
        raise ConfigError(
            f"--set {setting}: YAML takes what follows the # for a comment; leave it out, or put a text into quotes "
            "within the shell's"
        )
    # YAML 1.1 reads 2e-4 as a text; it is meant as a number.
    if isinstance(value, str):
        with suppress(ValueError):
            return float(value)
    return value


def _holds_comment(text: str) -> bool:
    """Return whether YAML would leave something out: between its tokens there are spaces and comments only."""
    tokens = pairwise(yaml.scan(text))
    return any("#" in text[before.end_mark.index : after.start_mark.index] for before, after in tokens)
