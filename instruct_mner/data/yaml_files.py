"""YAML as people mean it: no key twice, numbers as they are written, aliases that come to an end."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from instruct_mner.errors import ConfigError
from instruct_mner.files import read_text

# A handful of lines with aliases of aliases may stand for billions of values.
_MOST_REPEATED = 10_000


class _Loader(yaml.SafeLoader):
    """Loader that refuses what YAML would take in silence for something else."""

    def get_single_node(self) -> yaml.Node | None:
        """Return the tree of the document; called by the parser."""
        node = super().get_single_node()
        if node is not None:
            sizes = dict[int, int | None]()
            repeated = _size(node, sizes) - len(sizes)
            if repeated > _MOST_REPEATED:
                problem = f"aliases repeat {repeated:,} values, more than {_MOST_REPEATED:,}; write out what is needed"
                raise ConstructorError(None, None, problem, node.start_mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping; called by the parser."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise ConstructorError(None, None, f"'{key.value}' is given twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _size(node: yaml.Node, sizes: dict[int, int | None]) -> int:
    """Return the number of values of a node with those of its aliases, and keep it for each node."""
    if id(node) in sizes:
        size = sizes[id(node)]
        if size is None:
            raise ConstructorError(None, None, "an alias stands within its own anchor", node.start_mark)
        return size
    sizes[id(node)] = None
    within = [] if isinstance(node, yaml.ScalarNode) else node.value
    parts = (part for each in within for part in (each if isinstance(each, tuple) else (each,)))
    sizes[id(node)] = size = 1 + sum(_size(part, sizes) for part in parts)
    return size


def _whole_number(loader: _Loader, node: yaml.ScalarNode) -> int | str:
    """Return a whole number: YAML 1.1 takes 010 for 8 and 1:30 for 90, YAML 1.2 for 10 and for a text."""
    text = loader.construct_scalar(node).replace("_", "")
    if text.lstrip("+-").isdigit():
        return int(text)
    return text if ":" in text else loader.construct_yaml_int(node)


def _number(loader: _Loader, node: yaml.ScalarNode) -> float | str:
    """Return a number; YAML 1.1 takes 1:30.5 for 90.5."""
    text = loader.construct_scalar(node)
    return text if ":" in text else loader.construct_yaml_float(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)


def parse_yaml(text: str) -> object:
    """Return the value of YAML.

    Raises:
        yaml.YAMLError: It is none.
        ValueError: It holds a date that is none.
        RecursionError: It is nested too deep.
    """
    return yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)


def read_yaml(path: Path) -> Any:
    """Return the value of a YAML file.

    Raises:
        DataError: The file cannot be read, or is not UTF-8.
        ConfigError: It is not YAML.
    """
    text = read_text(path)
    try:
        return parse_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f":{mark.line + 1}"
        raise ConfigError(f"{path}{where}: not YAML: {error.problem or error.context}; mend the line") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = "nested too deep; make it flat" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise ConfigError(f"{path}: not YAML: {reason}") from None
