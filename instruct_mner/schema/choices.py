"""Settings with a fixed set of values, one definition each for the command line and the package; no other imports."""

from __future__ import annotations

from typing import Literal

Decode = Literal["tolerant", "strict"]
"""Rule that turns BIO tags into spans: ``tolerant`` lets an I- tag open an entity (conlleval), ``strict`` only B-."""

LabelColumn = Literal["coarse", "fine"]
"""Column of labels, in formats that have both (fmnerg)."""

MissingImageOption = Literal["error", "text", "skip"]
"""Treatment of posts whose picture is missing: an error, read as text, or left out."""

ServedMissingImage = Literal["text", "generate"]
"""Treatment of posts without a picture by a server: read as text, or answered from one generated from their text."""

MissingImage = Literal[MissingImageOption, "keep"]
"""The same, with ``keep``: the post stays as it is, naming a picture that is not there."""

ImageSource = Literal["own", "none", "shuffled"]
"""Pictures that posts are shown with: their own, none, or those of another post."""

TaggingImageSource = Literal[ImageSource, "generated"]
"""The same, with ``generated``: pictures that the model generates from the texts."""

Constraint = Literal["grammar", "schema", "none"]
"""Constraint on the answers of a server: vLLM's grammars, OpenAI's JSON schemas, or none."""

ExampleChoice = Literal["first", "nearest"]
"""Rule that selects few-shot examples: the first annotated posts, or the nearest to each post."""

LeakPolicy = Literal["refuse", "drop", "allow"]
"""Treatment of training posts that stand in an evaluation set."""

Match = Literal["offset", "surface", "surface-lower-set"]
"""Rule by which a predicted entity counts as right.

- ``offset``: start, end and label are those of a gold entity. The default, and the one to report.
- ``surface``: surface and label, as many times in the post as gold has them.
- ``surface-lower-set``: surface in lower case and label, repetitions within a post dropped on both sides. Some papers
  on LLMs score so; it forgives wrong places and wrong case, and inflates the score.
"""

Offsets = Literal["characters", "characters-inclusive", "tokens", "tokens-inclusive", "utf-16", "bytes"]
"""Meaning of the offsets of entities; ``inclusive``: the end is that of the last character or token itself.

``utf-16`` and ``bytes``: units of UTF-16 and bytes of UTF-8, which differ from characters behind an emoji.
"""

ImportLayout = Literal["columns", "label-studio", "prodigy", "spacy", "instruct-uie", "chat", "coco", "argilla"]
"""Layout of the rows of a JSON file that is imported; ``columns``: objects with the post's fields under any name."""

ExportFormat = Literal[
    "jsonl", "conll", "csv", "parquet", "label-studio", "argilla", "doccano", "spacy", "coco", "sharegpt", "voc"
]
"""Format that posts are converted to."""

Segmentation = Literal["words", "characters"]
"""Places where a mention may begin and end: edges of words and characters of scripts without spaces, or anywhere."""

Restart = Literal["never", "on-failure"]
"""Whether an engine that has ended is started again."""

TaggingOrder = Literal["data", "uncertain"]
"""Order of predictions: that of the data, or by rising certainty, for what to label next."""

Tracker = Literal["tensorboard", "trackio", "wandb", "mlflow"]
"""Tracker of experiments that is told the losses and scores of a run."""
