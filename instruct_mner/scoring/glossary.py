"""Meaning of every column and number that reports print, for ``--explain``."""

from __future__ import annotations

import textwrap

WIDTH = 80
"""Columns of a terminal that every table and text fits into."""

DATA_TERMS = {
    "posts": "posts of the split",
    "with picture": "posts that name a picture",
    "missing": "pictures that are named and not there",
    "tolerant": "entities, where an I- tag that continues nothing opens one (conlleval, most papers)",
    "strict": "entities, where only a B- tag opens one (IOB2); the same as tolerant for data without tags",
    "groundable": "entities that have a box at least; - where no boxes are annotated",
    "entities by type": "entities of each type, by the decoding in brackets",
    "not annotated": "posts without 'entities': nobody looked; [] says that there is none",
}
SCORE_TERMS = {
    "prec.": "precision: right among predicted, in percent; rejected items count as predicted",
    "recall": "right among gold, in percent",
    "F1 ± s.e.": "harmonic mean of both, with its standard error over resamples of posts",
    "95 %": "interval that holds 95 % of the resamples",
    "right": "predicted entities that are right by the rule of --match",
    "pred.": "predicted entities, with rejected items",
    "gold": "annotated entities",
    "micro": "all entities together; the main score",
    "macro": "mean over types, each with the same weight",
    "weighted": "mean over types, weighted by their gold entities",
    "span only": "as micro, with types ignored",
    "rejected": "items of answers that are no entities of the post; each is a false positive",
    "malformed": "rejected: an unknown label, no separator, a bad box, or an end that was cut",
    "hallucinated": "rejected: words that are not in the post",
    "unplaceable": "rejected: words that are in the post, but all of whose places other entities took",
    "entities per post": "mean numbers in gold and prediction, and posts with fewer or more than gold",
}
TRIPLE_TERMS = {
    "GMNER": "span, type and region are right",
    "GMNER visible": "GMNER of entities that have a box in the gold",
    "GMNER not visible": "GMNER of entities that have none, and for which none was predicted",
    "MNER": "span and type are right",
    "EEG": "span and region are right",
    "grounding accuracy": "right regions among entities whose span is right",
    "baseline": "GMNER of the gold's own spans and types with 'not visible' everywhere",
}
COMPARISON_TERMS = {
    "F1 difference": "second less first, in points of F1",
    "p": "share of resamples in which the difference has the other sign, doubled",
    "p Holm": "p of several pairs, so adjusted that one false finding among them all is as rare as p says",
}
CALIBRATION_TERMS = {
    "ECE": "expected calibration error: mean distance of confidence and share that is right, over bins of equal mass",
    "Brier score": "mean square of confidence less right (1) or wrong (0)",
    "temperature": "divisor of the logit of every confidence; above 1, the model was too sure",
    "shift": "what is then added to the logit; below 0, it was too sure of all",
    "before": "with the confidences of the model itself",
    "after": "with temperature and shift",
    "right": SCORE_TERMS["right"].removesuffix(" by the rule of --match"),
    "bins": "groups of equally many entities, by confidence",
    "95 %": SCORE_TERMS["95 %"],
}
SYNTHETIC_TERMS = {
    "mentions": "kind of the mentions: posts with one mention or with several, and what links a mention to its object",
    "count": "mentions of the kind",
    "with the picture": "best strict F1 in percent of any tagger that sees the picture",
    "text alone": "the same of any tagger that does not",
    "all": "all mentions of the split",
    "colour": "the text names the colour of the object",
    "place": "the text says where in the picture it is",
    "letters": "letters in the picture spell the mention",
    "none": "nothing links them: one mention, one object, or a guess",
    "unrelated picture": "the picture is that of another post",
}
DEMO_TERMS = {
    "starter, zero-shot": "the starter before it is tuned, which has seen none of these types",
    "fine-tuned": "the starter after it is tuned on posts of these types",
    "best possible": "best F1 in percent that any tagger can reach on these posts",
    "span and type": "start, end and type are right",
    "span only": SCORE_TERMS["span only"],
    "pictures shuffled": "each post is shown with the picture of another",
}
TRAINING_TERMS = {
    "loss": "mean of the negative logarithm of the probability of each token of the answers in a batch",
    "dev F1": "micro F1 of the posts of dev, in percent",
    "left": "time that is left at the pace up to now",
    "posts/s": "posts a second in this run, the loading of the model within it",
    "median / most": "of the numbers of tokens of the posts that were looked at",
    "image": "tokens of pictures in a prompt",
    "answer": "tokens that carry the loss",
    "peak": "largest memory in the steps that were tried; longer posts take more",
    "weights": "numbers of the model that are trained, and all",
}


def explain(*terms: dict[str, str]) -> str:
    """Return the meanings of terms, one below the other, at most 80 columns wide.

    Args:
        *terms: Groups of terms, each with the meanings by term.
    """
    together = {term: meaning for group in terms for term, meaning in group.items()}
    indent = max(map(len, together)) + 2
    return "\n".join(_entry(term, meaning, indent) for term, meaning in together.items())


def _entry(term: str, meaning: str, indent: int) -> str:
    return textwrap.fill(meaning, WIDTH, initial_indent=f"{term:<{indent}}", subsequent_indent=" " * indent)
