r"""The meaning of the offsets of a file, told by its content, or refused.

The same entity in exports of five tools, in ``Anna Bell flew to Oslo``::

    [0, 9]    characters, end exclusive          doccano, Prodigy, Label Studio, spaCy, brat
    [0, 8]    characters, end inclusive
    [0, 2]    tokens, end exclusive              SpERT, MQA
    [0, 1]    tokens, end inclusive              GLiNER

Programs that count UTF-16 units or bytes give other numbers behind an emoji; only surfaces tell them. Every reading
that contradicts a surface, or the number of characters or tokens, is out. Of the others all must give the same
spans, or one must be the convention of the tool, or cut no word where the others do; else the user is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from instruct_mner.data.bio import gaps_after, token_bounds
from instruct_mner.data.importing.posts import Mark, RawPost
from instruct_mner.errors import DataError
from instruct_mner.schema.choices import Offsets
from instruct_mner.schema.offsets import can_say

UNITS: tuple[Offsets, ...] = (
    "characters", "tokens", "tokens-inclusive", "characters-inclusive", "utf-16", "bytes",
)  # fmt: skip
_FIRST = 3


def text_of(post: RawPost) -> str:
    """Return the text of a post, joined from its tokens where it has no other."""
    if post.text is not None:
        return post.text
    tokens = post.tokens or ()
    if isinstance(post.joiner, str):
        return post.joiner.join(tokens)
    return "".join(token + gap for token, gap in zip(tokens, gaps_after(tokens, post.joiner), strict=True))


def bounds_of(post: RawPost) -> list[tuple[int, int]] | None:
    """Return the characters of each token; ``None`` where there are none, or where they are not the text's."""
    if post.tokens is None:
        return None
    if post.text is None:
        return token_bounds(post.tokens, post.joiner)
    bounds, position = [], 0
    for token in post.tokens:
        start = post.text.find(token, position)
        if start < 0 or post.text[position:start].strip():
            return None
        position = start + len(token)
        bounds.append((start, position))
    return bounds


def span_of(mark: Mark, post: RawPost, unit: Offsets) -> tuple[int, int] | None:
    """Return the characters of an entity in a unit of offsets; ``None`` where the offsets are none of it."""
    start, end = mark.start, mark.end
    if start is None or end is None:
        return None
    text = text_of(post)
    if unit.endswith("-inclusive"):
        end += 1
    if unit.startswith("tokens"):
        bounds = bounds_of(post)
        whole = bounds is not None and 0 <= start < end <= len(bounds)
        return (bounds[start][0], bounds[end - 1][1]) if bounds is not None and whole else None
    if unit in {"utf-16", "bytes"}:
        encoding, width = ("utf-16-le", 2) if unit == "utf-16" else ("utf-8", 1)
        content = text.encode(encoding, "surrogatepass")
        try:
            pieces = [content[: offset * width].decode(encoding, "surrogatepass") for offset in (start, end)]
        except UnicodeDecodeError:
            return None
        if not 0 <= start < end or end * width > len(content):
            return None
        start, end = map(len, pieces)
    return (start, end) if 0 <= start < end <= len(text) else None


@dataclass
class _Evidence:
    """Evidence for and against a unit.

    Attributes:
        possible: False once an entity contradicted it.
        spans: All spans that it gives.
        num_cut: Entities that no answer could say.
    """

    possible: bool = True
    spans: list[tuple[int, int] | None] = field(default_factory=list)
    num_cut: int = 0

    def look_at(self, mark: Mark, post: RawPost, unit: Offsets) -> None:
        span = span_of(mark, post, unit)
        self.spans.append(span)
        if span is None:
            self.possible = False
            return
        text = text_of(post)
        if mark.surface is not None and not same_surface(text[span[0] : span[1]], mark.surface):
            self.possible = False
        self.num_cut += not can_say(text, *span)


def same_surface(text: str, surface: str) -> bool:
    """Return true where a piece of the text is a surface: tokenised ones differ from the text in inner spaces."""
    if text == surface:
        return True
    return text == text.strip() and "".join(text.split()) == "".join(surface.split())


def tell_unit(posts: Sequence[RawPost], source: str, convention: Offsets | None = None) -> Offsets:
    """Tell the unit of the offsets of a file.

    Args:
        posts: Posts from its beginning.
        source: Name of the file, for messages.
        convention: Unit of the tool that wrote it, where its layout names the tool.

    Raises:
        DataError: No unit fits, or several do and give other entities.
    """
    marked = [
        (mark, post) for post in posts for mark in post.marks or () if mark.start is not None and post.unit is None
    ]
    if not marked:
        return convention or "characters"
    evidence = {unit: _Evidence() for unit in UNITS}
    for mark, post in marked:
        for unit, each in evidence.items():
            each.look_at(mark, post, unit)
    surfaces = any(mark.surface is not None for mark, _ in marked)
    if not surfaces:
        del evidence["utf-16"], evidence["bytes"]
    possible = [unit for unit, each in evidence.items() if each.possible]
    if not possible:
        if (fitting := _least_wrong(marked)) is not None:
            return fitting  # each entity that contradicts it is a problem of its own
        raise DataError(_none_fits(marked, source))
    sayable = possible if surfaces else _sayable({unit: evidence[unit].num_cut for unit in possible}, len(marked))
    if not sayable and convention is not None and convention in possible:
        sayable = [] if convention is None else [convention]
    if convention is not None and convention in sayable:
        return convention
    if not sayable:
        raise DataError(_all_cut(marked, source, possible))
    if len({tuple(evidence[unit].spans) for unit in sayable}) > 1:
        raise DataError(_several(marked, source, sayable))
    return sayable[0]


def _sayable(num_cut: dict[Offsets, int], num_marked: int) -> list[Offsets]:
    """Return the units in which few entities cut a word, or the one in which far fewer do than in any other."""
    few = [unit for unit, number in num_cut.items() if 10 * number <= num_marked]
    if few:
        return few
    best, *others = sorted(num_cut, key=lambda unit: num_cut[unit])
    clear = 2 * num_cut[best] < num_marked and all(num_cut[unit] > 2 * num_cut[best] for unit in others)
    return [best] if clear else []


def _least_wrong(marked: Sequence[tuple[Mark, RawPost]]) -> Offsets | None:
    """Return the unit that fits nine of ten entities: their surfaces, or else words as wholes."""
    fitting = (unit for unit in UNITS if 10 * sum(_fits(*each, unit) for each in marked) >= 9 * len(marked))
    return next(fitting, None)


def _fits(mark: Mark, post: RawPost, unit: Offsets) -> bool:
    single = _Evidence()
    single.look_at(mark, post, unit)
    return single.possible and (mark.surface is not None or not single.num_cut)


def _cases(marked: Sequence[tuple[Mark, RawPost]], units: Sequence[Offsets]) -> str:
    mark, post = marked[0]
    read = partial(span_of, mark, post)
    text = text_of(post)
    spans = {unit: read(unit) for unit in units}
    return ", ".join(f"{unit} {text[span[0] : span[1]]!r}" for unit, span in spans.items() if span is not None)


def _place(mark: Mark, post: RawPost) -> str:
    return post.where if mark.where is None else f"{post.where}, {mark.where}"


def _none_fits(marked: Sequence[tuple[Mark, RawPost]], source: str) -> str:
    # Of the unit that fits best, the first that it does not fit; in every unit there is one.
    best = max(UNITS, key=lambda unit: sum(_fits(*each, unit) for each in marked))
    wrong = next((each for each in marked if not _fits(*each, best)), marked[0])
    mark, post = wrong
    surface = "" if mark.surface is None else f" for {mark.surface!r}"
    read = _cases([wrong], UNITS) or "nothing"
    return (
        f"{source}: the offsets of its entities fit neither characters nor tokens; for example {mark.start} to "
        f"{mark.end}{surface} in {text_of(post)[:60]!r} ({_place(mark, post)}), reads as {read}; mend the offsets"
    )


def _all_cut(marked: Sequence[tuple[Mark, RawPost]], source: str, units: Sequence[Offsets]) -> str:
    return (
        f"{source}: however the offsets are read, most mentions cut a word at their start or end; the first "
        f"({_place(*marked[0])}) reads as {_cases(marked, units)}; mend the offsets, or say --offsets {units[0]}"
    )


def _several(marked: Sequence[tuple[Mark, RawPost]], source: str, units: Sequence[Offsets]) -> str:
    return (
        f"{source}: its offsets may be {' or '.join(units)}, and nothing in the file tells; the first entity "
        f"({_place(*marked[0])}) reads as {_cases(marked, units)}; choose with --offsets {units[0]} or "
        f"--offsets {units[1]}"
    )
