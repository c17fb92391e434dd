r"""spaCy's ``DocBin`` (``.spacy``), read without spaCy: zlib around MessagePack, with words and labels as hashes.

The value of a file (shortened)::

    {"attrs": [65, 67, …], "tokens": uint64 (tokens, attrs), "spaces": bool (tokens,), "lengths": int32 (documents,),
     "strings": ["Anna", "PER", …], "cats": [{}], "flags": [{"has_unknown_spaces": false}]}

Source: https://spacy.io/api/docbin#serialization-format and spaCy 3.8, ``tokens/_serialize.py``, ``symbols.pyx``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, compress, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from instruct_mner.data.bio import gaps_after, token_bounds
from instruct_mner.data.importing.msgpack import Value, unpack
from instruct_mner.data.importing.posts import Mark, RawPost
from instruct_mner.data.joining import TokenCounts
from instruct_mner.errors import DataError
from instruct_mner.files import read_bytes

SUFFIX = ".spacy"

_ORTH, _ENT_IOB, _ENT_TYPE = 65, 77, 78
_OUTSIDE, _BEGIN = 2, 3
_MOST_BYTES = 1 << 31
_EMPTY_GROUPS = (b"", b"\x80", b"\x90")
_MASK = (1 << 64) - 1

# Texts that are names of spaCy's own have these numbers in place of hashes, in the order of its symbols from 64 on.
_SYMBOLS = """
ID ORTH LOWER NORM SHAPE PREFIX SUFFIX LENGTH CLUSTER LEMMA POS TAG DEP ENT_IOB ENT_TYPE HEAD SENT_START SPACY PROB LANG
ADJ ADP ADV AUX CONJ CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X EOL SPACE
"""
_DEPRECATED = [f"DEPRECATED{number:03}" for number in range(1, 277)]
_LABELS = """
PERSON NORP FACILITY ORG GPE LOC PRODUCT EVENT WORK_OF_ART LANGUAGE LAW DATE TIME PERCENT MONEY QUANTITY ORDINAL
CARDINAL acomp advcl advmod agent amod appos attr aux auxpass cc ccomp complm conj cop csubj csubjpass dep det dobj expl
hmod hyph infmod intj iobj mark meta neg nmod nn npadvmod nsubj nsubjpass num number oprd obj obl parataxis partmod
pcomp pobj poss possessive preconj prep prt punct quantmod relcl rcmod root xcomp acl ENT_KB_ID MORPH ENT_ID IDX _
"""
_NAMES = dict(enumerate([*_SYMBOLS.split(), *_DEPRECATED, *_LABELS.split()], start=64))
_KNOWLEDGE_BASE = next(number for number, name in _NAMES.items() if name == "ENT_KB_ID")


@dataclass(frozen=True)
class _Bin:
    """The documents of a file.

    Attributes:
        attrs: Attribute of each column of the tokens.
        tokens: Values of the tokens, ``(tokens, attrs)``.
        spaces: True for a token that a space follows, ``(tokens,)``.
        lengths: Number of tokens of each document.
        strings: Text by its number.
        cats: Categories of each document.
        unknown_spaces: True for a document whose spaces are not known.
    """

    attrs: list[int]
    tokens: NDArray[np.uint64]
    spaces: NDArray[np.bool_]
    lengths: list[int]
    strings: dict[int, str]
    cats: list[Value]
    unknown_spaces: list[bool]


def posts(path: Path, notes: list[str]) -> Iterator[RawPost]:
    """Read the documents of a file; those in which no token has an entity tag are not annotated.

    Raises:
        DataError: It is no ``DocBin``.
    """
    try:
        content = _unpacked(read_bytes(path))
        documents = _checked(content)
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise DataError(
            f"{path}: no DocBin of spaCy 3 ({error}); write it with DocBin.to_disk, or its documents as JSON: "
            "[[TEXT, {'entities': [[START, END, LABEL]]}]]"
        ) from None
    groups = content.get("span_groups")
    filled = sum(group not in _EMPTY_GROUPS for group in groups) if isinstance(groups, list) else 0
    if filled:
        notes.append(f"{path}: span groups of {filled} documents are left out; entities are read")
    if _KNOWLEDGE_BASE in documents.attrs and documents.tokens[:, documents.attrs.index(_KNOWLEDGE_BASE)].any():
        notes.append(f"{path}: ids of a knowledge base (kb_id) of entities are left out")
    places = [slice(*ends) for ends in pairwise(accumulate(documents.lengths, initial=0))]
    joined = compress(places, documents.unknown_spaces)
    orth = documents.tokens[:, documents.attrs.index(_ORTH)]
    counts = TokenCounts.of([documents.strings.get(int(each), "") for each in orth[place]] for place in joined)
    for number, place in enumerate(places):
        try:
            yield _post(documents, place, number, f"{path}: document {number + 1}", counts)
        except KeyError as error:
            reason = f"no text of it has the number {error}; is the file whole?"
            raise DataError(f"{path}: document {number + 1}: {reason}") from None


def _unpacked(content: bytes) -> dict[Value, Value]:
    """Return the value of a file, whose size is bounded whatever its few bytes unfold to."""
    unfolding = zlib.decompressobj()
    value = unpack(unfolding.decompress(content, _MOST_BYTES))
    if not unfolding.eof:
        raise ValueError(f"cut, or larger than {_MOST_BYTES >> 30} GiB")
    if not isinstance(value, dict):
        raise ValueError("no mapping in it")
    return value


def _checked(content: dict[Value, Value]) -> _Bin:
    attrs = [each for each in _list(content["attrs"]) if isinstance(each, int)]
    strings = [each for each in _list(content["strings"]) if isinstance(each, str)]
    tokens = np.frombuffer(_bytes(content["tokens"]), dtype="<u8")
    spaces = np.frombuffer(_bytes(content["spaces"]), dtype=np.bool_)
    lengths = [int(each) for each in np.frombuffer(_bytes(content["lengths"]), dtype="<i4")]
    if not {_ORTH, _ENT_IOB, _ENT_TYPE} <= set(attrs):
        raise ValueError("it was written without ORTH, ENT_IOB or ENT_TYPE")
    if len(tokens) != len(attrs) * sum(lengths) or len(spaces) != sum(lengths) or min(lengths, default=0) < 0:
        raise ValueError("numbers of tokens that do not fit together")
    flags = _list(content.get("flags", []))
    unknown = [isinstance(flag, dict) and bool(flag.get("has_unknown_spaces")) for flag in flags]
    known = {name: number for number, name in _NAMES.items()}
    return _Bin(
        attrs=attrs,
        tokens=tokens.reshape(-1, len(attrs)),
        spaces=spaces,
        lengths=lengths,
        strings={0: "", **{known.get(text, hash_of(text)): text for text in strings}},
        cats=_list(content.get("cats", [])),
        unknown_spaces=[*unknown, *[False] * (len(lengths) - len(unknown))],
    )


def _list(value: Value) -> list[Value]:
    if not isinstance(value, list):
        raise TypeError(f"a list was expected, not {str(value)[:40]!r}")
    return value


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"bytes were expected, not {str(value)[:40]!r}")
    return value


def _post(documents: _Bin, place: slice, number: int, where: str, counts: TokenCounts) -> RawPost:
    columns = {attr: documents.tokens[place, index] for index, attr in enumerate(documents.attrs)}
    words = [documents.strings[int(each)] for each in columns[_ORTH]]
    if documents.unknown_spaces[number]:
        gaps: Sequence[str] = gaps_after(words, counts.joiner(words))
    else:
        gaps = [" " if follows else "" for follows in documents.spaces[place]]
    text = "".join(word + gap for word, gap in zip(words, gaps, strict=True))
    bounds = token_bounds(words, gaps[:-1])
    tags = [int(each) for each in columns[_ENT_IOB]]
    labels = [documents.strings[int(each)] for each in columns[_ENT_TYPE]]
    cats = documents.cats[number] if number < len(documents.cats) else None
    return RawPost(
        where=where,
        text=text,
        marks=tuple(_marks(text, bounds, tags, labels)) if any(tags) else None,
        unit="characters",
        meta={"cats": cats} if cats else {},
    )


def _marks(text: str, bounds: list[tuple[int, int]], tags: list[int], labels: list[str]) -> Iterator[Mark]:
    """Join the tokens of each entity: one begins at B, or where nothing or another label stands before."""
    begun: int | None = None
    for index, tag in enumerate([*tags, _OUTSIDE]):
        goes_on = tag == 1 and begun is not None and labels[index] == labels[begun]
        if begun is not None and not goes_on:
            start, end = bounds[begun][0], bounds[index - 1][1]
            yield Mark(start=start, end=end, surface=text[start:end], label=labels[begun])
            begun = None
        if begun is None and index < len(tags) and tag in {1, _BEGIN} and labels[index]:
            begun = index


def hash_of(text: str) -> int:
    """Return spaCy's number of a text: MurmurHash64A of its UTF-8 bytes, with the seed 1.

    Source: https://github.com/aappleby/smhasher/blob/master/src/MurmurHash2.cpp
    """
    content = text.encode("utf-8", "surrogatepass")
    multiplier = 0xC6A4A7935BD1E995
    value = 1 ^ (len(content) * multiplier & _MASK)
    whole = len(content) & ~7
    for begin in range(0, whole, 8):
        piece = int.from_bytes(content[begin : begin + 8], "little") * multiplier & _MASK
        piece = (piece ^ (piece >> 47)) * multiplier & _MASK
        value = (value ^ piece) * multiplier & _MASK
    if content[whole:]:
        value = (value ^ int.from_bytes(content[whole:], "little")) * multiplier & _MASK
    value = (value ^ (value >> 47)) * multiplier & _MASK
    return value ^ (value >> 47)
