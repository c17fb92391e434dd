"""Schemes of tags, one tag a token, and their translation to BIO.

Seven are in use; all of them say the same spans here::

    tokens   Anna   Bell   flew to Oslo
    IOB2     B-PER  I-PER  O    O  B-LOC      B- opens every entity (also called BIO)
    IOB1     I-PER  I-PER  O    O  I-LOC      B- only between two entities of one type that touch
    IO       I-PER  I-PER  O    O  I-LOC      never B-
    BIOES    B-PER  E-PER  O    O  S-LOC      E- ends an entity, S- is a whole one
    BILOU    B-PER  L-PER  O    O  U-LOC      L- ends an entity, U- is a whole one
    BMES     B-PER  E-PER  O    O  S-LOC      M- stands inside
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from instruct_mner.schema.labels import why_no_label

_TAG = re.compile(r"O|[BIESLUM]-\S(?:.*\S)?")
_SEVERAL = re.compile(r"[,;|]|(?:^O|[^A-Za-z0-9-])[BIESLUM]-\w|.[^\w\s-]O$", re.DOTALL)
# Of the scheme IO without a prefix, as in Few-NERD: `person-artist/author`.
_BARE_TYPE = re.compile(r"[A-Za-z]{2,}(?:[-/_][A-Za-z]+)*")
_BIO = {"B": "B", "S": "B", "U": "B", "I": "I", "M": "I", "E": "I", "L": "I"}
_ENDS = frozenset("ESLU")

CHUNK_TYPES = frozenset({
    "NP", "VP", "PP", "ADJP", "ADVP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP", "NML", "NX", "QP", "PRN", "FRAG",
    "WHNP", "WHPP", "WHADVP", "VG", "SBARQ",
})  # fmt: skip
"""Types of phrases. Source: CoNLL-2000, https://www.clips.uantwerpen.be/conll2000/chunking/, and of OntoNotes."""
# After a blank, a hyphen or an underscore only what can be a share or its logarithm: GPE-2 and GPT-3.5 are types.
_NUMBER = re.compile(
    r"""(?: \s*[:=/|@#~^*&<(\[{]+\s* [-+]?(\d*[.,]\d+(e[-+]?\d+)? | \d+e-\d+ | \d+([.,]\d+)?%)
          | [\s_-]+ (0?[.,]\d+ | 1[.,]0+ | \d([.,]\d+)?e-\d+ | \d+([.,]\d+)?%)
          | [\s_-]-\d+[.,]\d+ )
        \s*[)\]}>]*$""",
    re.VERBOSE | re.IGNORECASE,
)


def is_tag(tag: str) -> bool:
    """Return true for ``O`` and for a prefix of a known scheme with one type that an answer can hold."""
    return _TAG.fullmatch(tag) is not None and (
        tag == "O" or (why_no_label(tag[2:]) is None and not holds_several(tag) and _why_no_type(tag) is None)
    )


def _why_no_type(tag: str) -> str | None:
    """Return why what follows the prefix is no type: ``B-O``, ``B-PER:0.93``."""
    return "a token outside of entities has the tag O" if tag[2:].upper() == "O" else why_no_type(tag[2:])


@lru_cache(maxsize=1024)
def why_no_type(name: str) -> str | None:
    """Return why a name is none of a type: a confidence stands behind it, ``PER:0.93``, ``PER(93%)``, ``PER-0.93``."""
    return "a number stands behind its type; take it out" if _NUMBER.search(name) else None


def holds_several(tag: str) -> bool:
    """Return true for two tags or types in one cell: ``B-PER,B-PER`` of two annotators, ``B-PER|B-ORG``."""
    return _SEVERAL.search(tag[2:] if tag[1:2] == "-" else tag) is not None


def looks_like_tag(tag: str) -> bool:
    """Return true for what is a tag or was meant as one: of several annotators, or with a type that cannot be used."""
    return _TAG.fullmatch(tag) is not None or all(map(is_tag, re.split("[,;|]", tag)))


def why_no_tag(tag: str, token: str | None = None) -> str:
    """Say why something is no tag.

    Args:
        tag: The cell of the file.
        token: Token of the tag, where it is known.
    """
    of = "" if token is None else f" of token {token!r}"
    if tag and holds_several(tag) and looks_like_tag(tag):
        return f"tag {tag!r}{of} holds several tags in one; keep one of them"
    if _BARE_TYPE.fullmatch(tag):
        return f"tag {tag!r}{of} is none of O, B-<type>, I-<type>; where types stand alone, write I- before each"
    reason = (why_no_label(tag[2:]) or _why_no_type(tag)) if _TAG.fullmatch(tag) and tag != "O" else None
    return f"tag {tag!r}{of} is none of O, B-<type>, I-<type>" + (f": {reason}" if reason else "")


def types_of(tags: Iterable[str]) -> set[str]:
    """Return the types of tags, without their prefixes."""
    return {tag[2:] for tag in set(tags) if tag[1:2] == "-"}


def are_chunks(tags: Iterable[str]) -> bool:
    """Return true for tags of phrases (``B-NP``, ``I-VP``), which are no entities."""
    types = {each.upper() for each in types_of(tags)}
    return bool(types & {"NP", "VP", "PP"}) and types <= CHUNK_TYPES


def to_bio(tags: Sequence[str]) -> Sequence[str]:
    """Translate tags of any scheme to BIO; those of IOB1, IOB2 and IO stay as they are.

    In schemes that say where an entity ends, what goes on after that end begins another entity.
    """
    if all(tag[:1] in "OBI" for tag in tags):
        return tags
    translated: list[str] = []
    ended = ""
    for tag in tags:
        prefix, _, label = tag.partition("-")
        if not label:
            translated.append("O")
            ended = ""
            continue
        bio = _BIO[prefix]
        translated.append(f"{'B' if ended == label and bio == 'I' else bio}-{label}")
        ended = label if prefix in _ENDS else ""
    return translated
