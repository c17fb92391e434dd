"""Predicted types that the gold does not have, where they are likely those of the gold in another spelling."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from instruct_mner.schema.labels import folded_label
from instruct_mner.schema.records import Example, Prediction

_TAG = re.compile(r"[BIESLU][-_](?=.)")
_MOST_NAMED = 5


def note_on_types(gold: Sequence[Example], predicted: Sequence[Prediction]) -> str | None:
    """Return a line on types that are none of the gold's; ``None`` where nothing is odd in them.

    Types that the gold does not have are nothing odd by themselves: a small file may lack some of a model's types.

    Args:
        gold: Annotated posts.
        predicted: Predictions.
    """
    types = {entity.label for post in gold for entity in post.gold}
    counts = Counter(entity.label for prediction in predicted for entity in prediction.entities)
    foreign = sorted(counts.keys() - types)
    if not types or not foreign:
        return None
    meant = meant_types(foreign, types)
    if len(foreign) == len(counts):
        odd = "no predicted type is one of the gold's"
    elif meant:
        number = sum(counts[label] for label in meant)
        odd = f"{number} of {counts.total()} predicted entities have a type that the gold spells otherwise"
    else:
        return None
    if not meant:
        return f"{odd}: predicted are {_listed(foreign)}, gold are {_listed(sorted(types))}"
    return f"{odd}; did you mean {_listed(f'{own} by {label}' for label, own in meant.items())}?"


def meant_types(foreign: Iterable[str], types: Iterable[str]) -> dict[str, str]:
    """Return the types that are others in another spelling, each with the one that is meant.

    Args:
        foreign: Types that are not those of the gold.
        types: Types of the gold.
    """
    by_spelling = {folded_label(label): label for label in sorted(types)}
    spellings = {label: folded_label(_TAG.sub("", label, count=1)) for label in foreign}
    return {label: by_spelling[spelling] for label, spelling in spellings.items() if spelling in by_spelling}


def _listed(names: Iterable[str]) -> str:
    first = list(names)
    return ", ".join(first[:_MOST_NAMED]) + (", …" if len(first) > _MOST_NAMED else "")
