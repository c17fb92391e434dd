"""Predictions of several texts, for notebooks, pandas and spaCy."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, overload

from instruct_mner.errors import ConfigError, shortened
from instruct_mner.schema.records import Prediction

if TYPE_CHECKING:
    import pandas as pd
    from spacy.language import Language
    from spacy.tokens import Doc, Span

_COLUMNS = ("post", "start", "end", "text", "label", "score", "boxes")
_COLOURS = ("#fde68a", "#bfdbfe", "#bbf7d0", "#fbcfe8", "#ddd6fe", "#fed7aa")


class Predictions(Sequence[Prediction]):
    """Predictions of several texts, in their order.

    Args:
        predictions: The predictions.
    """

    def __init__(self, predictions: Iterable[Prediction]) -> None:
        self._predictions = tuple(predictions)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Predictions: ...
    def __getitem__(self, index: int | slice) -> Prediction | Predictions:
        """Return one of them, or several."""
        if isinstance(index, slice):
            return Predictions(self._predictions[index])
        return self._predictions[index]

    def __len__(self) -> int:
        """Return their number."""
        return len(self._predictions)

    def __eq__(self, other: object) -> bool:
        """Return whether another sequence holds the same predictions."""
        if not isinstance(other, Predictions):
            return NotImplemented
        return self._predictions == other._predictions

    def __hash__(self) -> int:
        """Return a hash of the predictions."""
        return hash(self._predictions)

    def __repr__(self) -> str:
        """Return their number and what each found."""
        shown = ", ".join(str([f"{each.text} {each.label}" for each in one.entities]) for one in self[:3])
        return f"Predictions({len(self)}: {shown}{', …' if len(self) > 3 else ''})"

    def to_pandas(self) -> pd.DataFrame:
        """Return a table with a row for each entity; ``post`` is the index of its text.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise ConfigError("a table needs pandas: pip install pandas") from None
        rows = [
            {"post": post, **{name: value for name, value in entity.model_dump().items() if name in _COLUMNS}}
            for post, prediction in enumerate(self)
            for entity in prediction.entities
        ]
        return pd.DataFrame(rows, columns=list(_COLUMNS))

    def to_spacy(self, nlp: Language | None = None) -> list[Doc]:
        """Return documents of spaCy, with the entities as ``doc.ents`` and their scores in ``doc.user_data``.

        Args:
            nlp: Pipeline whose tokenizer makes the documents, and to whose tokens entities are widened; by default a
                blank one of many languages, of which a token is cut where an entity begins or ends.

        Raises:
            ConfigError: spaCy is not installed, or the pipeline is none.
        """
        if nlp is not None and not callable(getattr(nlp, "make_doc", None)):
            raise ConfigError(f"nlp must be a pipeline of spaCy, not {type(nlp).__name__}")
        try:
            import spacy
        except ImportError:
            raise ConfigError("documents of spaCy need spaCy: pip install spacy") from None
        pipeline = nlp or spacy.blank("xx")
        documents = [pipeline.make_doc(prediction.text) for prediction in self]
        if nlp is None:
            documents = [_cut(*pair) for pair in zip(documents, self, strict=True)]
        return [with_entities(*pair) for pair in zip(documents, self, strict=True)]

    def _repr_html_(self) -> str:
        """Return the texts with their entities marked, for notebooks."""
        labels = sorted({entity.label for prediction in self for entity in prediction.entities})
        colours = {label: _COLOURS[number % len(_COLOURS)] for number, label in enumerate(labels)}
        return "".join(f"<p>{_marked(prediction, colours)}</p>" for prediction in self)


def with_entities(document: Doc, prediction: Prediction) -> Doc:
    """Return a document of spaCy with the entities of its text beside those that it has.

    An entity that overlaps with one that is there is left out, as spaCy's own ``ner`` and ``entity_ruler`` do. One that
    begins or ends inside of a token is widened to it. Of entities that then overlap the surest is kept, with a warning.
    ``doc.user_data["scores"]`` holds the scores of ``doc.ents``, in their order, ``None`` for those that were there.

    Args:
        document: Document of the text of the prediction.
        prediction: Prediction.
    """
    there = list(document.ents)
    kept: list[tuple[Span, float | None]] = [(span, None) for span in there]
    lost = []
    for entity in sorted(prediction.entities, key=lambda each: -each.score):
        span = document.char_span(entity.start, entity.end, label=entity.label, alignment_mode="expand")
        if span is not None and _overlaps(span, there):
            continue
        if span is None or _overlaps(span, [other for other, _ in kept]):
            lost.append(f"{entity.text!r} ({entity.label})")
        else:
            kept.append((span, entity.score))
    if lost:
        warnings.warn(
            f"left out, because of a token that is also a surer entity's: {', '.join(lost)} in "
            f"{shortened(prediction.text)!r}; choose a tokenizer that parts them",
            stacklevel=2,
        )
    kept.sort(key=lambda pair: pair[0].start)
    document.set_ents([span for span, _ in kept])
    document.user_data["scores"] = [score for _, score in kept]
    return document


def _overlaps(span: Span, others: Iterable[Span]) -> bool:
    return any(span.start < other.end and other.start < span.end for other in others)


def _cut(document: Doc, prediction: Prediction) -> Doc:
    """Return a document whose tokens are cut where an entity begins or ends."""
    edges = {edge for entity in prediction.entities for edge in (entity.start, entity.end)}
    words, spaces = list[str](), list[bool]()
    for token in document:
        end = token.idx + len(token)
        bounds = [token.idx, *sorted(edge for edge in edges if token.idx < edge < end), end]
        words += [prediction.text[slice(*pair)] for pair in pairwise(bounds)]
        spaces += [False] * (len(bounds) - 2) + [bool(token.whitespace_)]
    return type(document)(document.vocab, words=words, spaces=spaces)


def _marked(prediction: Prediction, colours: dict[str, str]) -> str:
    pieces, position = [], 0
    for entity in prediction.entities:
        pieces.append(escape(prediction.text[position : entity.start]))
        title = f"{entity.label} {entity.score:.2f}"
        pieces.append(
            f'<mark style="background:{colours[entity.label]}" title="{escape(title)}">{escape(entity.text)} '
            f"<small>{escape(entity.label)}</small></mark>"
        )
        position = entity.end
    return "".join([*pieces, escape(prediction.text[position:])])
