"""Rows with columns of any name as posts."""

from __future__ import annotations

import ast
import io
import json
import math
import re
import tokenize
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from instruct_mner.data.bio import decode_spans
from instruct_mner.data.importing.excel_cells import ERRORS
from instruct_mner.data.importing.inline_pictures import is_inline
from instruct_mner.data.importing.marks import to_marks
from instruct_mner.data.importing.posts import Mark, RawPost
from instruct_mner.data.importing.roles import NOTHING, Roles, is_nothing
from instruct_mner.data.importing.token_indices import are_of_tokens, with_spans
from instruct_mner.data.lenient import without_nulls
from instruct_mner.data.picture_files import PICTURE_SUFFIXES
from instruct_mner.data.tag_schemes import are_chunks, is_tag, why_no_tag
from instruct_mner.schema.choices import Decode

_NO_TEXT = (NOTHING | ERRORS) - {"-", "N/A"}
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?[eE]\+\d+")
_BETWEEN_PICTURES = re.compile(r"[;,|\n\r\t]|\s(?:[&+]|and)\s|(?<=\w) +(?=\S+\.\w+$)")
_EXACT = 2**53


def to_post(
    row: Mapping[str, Any], roles: Roles, where: str, *, decode: Decode = "tolerant", tag_names: Sequence[str] = ()
) -> RawPost:
    """Read a row; the text between tokens is that of their file, ``RawPost.joined``.

    Args:
        row: The row.
        roles: Columns of the file by their roles.
        where: File and row, for messages.
        decode: Rule that turns BIO tags into spans.
        tag_names: Names of tags and labels that are numbers.

    Raises:
        ValueError: A value is wrong.
    """
    for role in ("tokens", "tags", "entities", "context"):
        if (value := roles.get(row, role)) is not None and is_nothing(value):
            raise ValueError(
                f"column {roles.columns[role]!r} holds {value!r}, which programs write for nothing; leave it empty "
                "where the post is not annotated, or write [] where it holds none"
            )
    text, tokens = roles.get(row, "text"), roles.get(row, "tokens")
    if text is None and tokens is None:
        raise ValueError("the row has no text")
    if tokens is not None:
        check_tokens(tokens)
    if isinstance(text, bool) or (text is not None and not isinstance(text, str | int | float)):
        raise ValueError(f"the text is no string but {str(text)[:60]!r}")
    if str(text) in _NO_TEXT and text is not None:
        raise ValueError(
            f"the text is {text!r}, which programs write for nothing or for an error; write the text, or take the row "
            "out"
        )
    tags, entities = roles.get(row, "tags"), roles.get(row, "entities")
    by_indices = are_of_tokens(entities)
    if by_indices:
        entities = with_spans(entities)
    if (tags is not None or by_indices) and tokens is None:
        tokens = str(text).split()
    marks: tuple[Mark, ...] | None = None
    if tags is not None and entities is not None:
        raise ValueError(
            f"the row has both tags ({roles.columns['tags']!r}) and entities ({roles.columns['entities']!r}), of which "
            "one would be lost; carry the other along with --column meta=NAME"
        )
    if tags is not None:
        marks = _of_tags(tokens, tags, decode, tag_names)
    elif entities is not None:
        marks = to_marks(_named_labels(entities, tag_names))
    return RawPost(
        where=where,
        id=as_id(roles.get(row, "id")),
        text=None if text is None else str(text),
        tokens=None if tokens is None else tuple(tokens),
        marks=marks,
        images=to_names(roles.get(row, "images")),
        unit="tokens" if tags is not None or by_indices else None,
        context=without_nulls(roles.get(row, "context")),
        meta=_meta(row, roles),
    )


def _meta(row: Mapping[str, Any], roles: Roles) -> dict[str, object]:
    """Return the columns that are carried along."""
    return flat_meta({name: row[name] for name in roles.meta if row.get(name) is not None})


def flat_meta(columns: dict[str, object]) -> dict[str, object]:
    """Return columns that are carried along, with those in a column ``meta`` beside the others."""
    inner = columns.get("meta")
    if isinstance(inner, dict) and not inner.keys() & columns.keys():
        del columns["meta"]
        columns |= inner
    return columns


def check_tokens(tokens: Any) -> None:
    """Refuse what are no tokens of a post.

    Raises:
        ValueError: They are no list of strings, or one of them is empty.
    """
    if not isinstance(tokens, list) or not all(isinstance(each, str) for each in tokens):
        raise ValueError(f"the tokens are no list of strings: {str(tokens)[:60]!r}")
    if "" in tokens:
        raise ValueError(f"token {tokens.index('') + 1} is empty; take it and its tag out")


def as_id(value: Any) -> str | int | None:
    """Return an id as it is written, and ``None`` for nothing, for which an id is made.

    Raises:
        ValueError: It is a number of which a spreadsheet or a float has lost the last digits, or no name or number.
    """
    rounded = isinstance(value, float) and abs(value) >= _EXACT
    if rounded or (isinstance(value, str) and _SCIENTIFIC.fullmatch(value)):
        raise ValueError(f"id {value} is a rounded number, whose last digits are lost; save the column as text")
    if isinstance(value, str) and value in NOTHING:
        raise ValueError(f"the id is {value!r}, which programs write for nothing; leave it empty to have one made")
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(
            f"id {str(value)[:40]!r} is no text and no whole number; save the column as text, or carry it along "
            "(--column meta=NAME) to have ids made"
        )
    return value


def _named_labels(entities: Any, names: Sequence[str]) -> Any:
    """Put names for the numbers that are labels."""
    if not names or not isinstance(entities, list):
        return entities
    return [
        {key: _name(value, names) if key in {"label", "type"} else value for key, value in each.items()}
        if isinstance(each, dict)
        else each
        for each in entities
    ]


def _name(value: Any, names: Sequence[str]) -> Any:
    return names[value] if type(value) is int and 0 <= value < len(names) else value


def _of_tags(tokens: Any, tags: Any, decode: Decode, names: Sequence[str]) -> tuple[Mark, ...]:
    """Return the entities of tags, with offsets of tokens."""
    tags = tags.split() if isinstance(tags, str) else tags
    if not isinstance(tags, list):
        raise ValueError(f"the tags are no list but {str(tags)[:60]!r}")
    named = [_name(tag, names) for tag in tags]
    if any(not isinstance(tag, str) for tag in named):
        number = next(tag for tag in named if not isinstance(tag, str))
        raise ValueError(
            f"tag {number!r} is a number without a name; name them in their order: --label-names O,B-PER,…"
        )
    if len(named) != len(tokens):
        raise ValueError(f"the row has {len(tokens)} tokens and {len(named)} tags; tokens of a text are cut at blanks")
    wrong = [tag for tag in named if not is_tag(tag)]
    if wrong:
        raise ValueError(why_no_tag(wrong[0]))
    if are_chunks(named):
        raise ValueError(
            "the tags are those of phrases (NP, VP), which are no entities; name the column of the entities"
        )
    return tuple(
        Mark(start=first, end=last, surface=None, label=label) for first, last, label in decode_spans(named, decode)
    )


def to_names(value: Any) -> tuple[str, ...]:
    """Return names of pictures as they stand: of one or several, paths, addresses, numbers or Hugging Face's objects.

    Raises:
        ValueError: It is none of these.
    """
    if isinstance(value, str):
        value = parse_cell(value.strip())
    if value is None or value == "":
        return ()
    if isinstance(value, list):
        return tuple(name for each in value for name in to_names(each))
    if isinstance(value, dict):
        named = next((value[name] for name in ("path", "image", "url", "file_name") if value.get(name)), None)
        content = value.get("bytes")
        value = content if named is None and isinstance(content, str) and is_inline(content) else named
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"a picture is no name of a file: {str(value)[:60]!r}")
    name = str(value)
    if is_inline(name):
        return (name,)
    if name in NOTHING:
        raise ValueError(f"a picture is called {name!r}, which programs write for nothing; leave it empty")
    name = name.removesuffix(".0") if re.fullmatch(r"\d+\.0", name) else name
    parts = [part.strip() for part in _BETWEEN_PICTURES.split(name) if part.strip()]
    if len(parts) > 1 and all(part.lower().endswith(PICTURE_SUFFIXES) for part in parts):
        raise ValueError(f"several pictures in one string, {name[:60]!r}; write them as a list: {parts[:3]}")
    return (name,)


def parse_cell(value: Any) -> Any:
    """Return the value of a cell of a table: JSON, or what Python prints of a list, where it is either."""
    if not isinstance(value, str) or value[:1] not in {"[", "{"}:
        return value
    try:
        return json.loads(value)
    except RecursionError:
        return value
    except ValueError:
        return _of_python(value)


def _of_python(value: str) -> Any:
    """Return a list that pandas wrote into a cell as Python or NumPy prints it."""
    try:
        parsed = ast.literal_eval(value)
        pieces = list(tokenize.generate_tokens(io.StringIO(value).readline))
    except (ValueError, SyntaxError, MemoryError, RecursionError, tokenize.TokenError):
        return value
    parsed = _without_tuples(parsed)
    pieces = [piece for piece in pieces if piece.type not in {tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER}]
    if not any(left.type == right.type == tokenize.STRING for left, right in pairwise(pieces)):
        return parsed
    # Python joins texts that no comma separates, as in ['Anna' 'Bell'], which NumPy prints.
    texts = [piece.string for piece in pieces if piece.type == tokenize.STRING]
    plain = len(texts) + 2 == len(pieces) and [pieces[0].string, pieces[-1].string] == ["[", "]"]
    return [ast.literal_eval(text) for text in texts] if plain else value


def _without_tuples(value: Any) -> Any:
    """Return lists in place of tuples, as JSON has them."""
    if isinstance(value, dict):
        return {key: _without_tuples(each) for key, each in value.items()}
    return [_without_tuples(each) for each in value] if isinstance(value, list | tuple) else value
