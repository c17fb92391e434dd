"""Strict F1 of a model on synthetic posts with their own pictures, and with those of other posts."""

from __future__ import annotations

import tempfile
from pathlib import Path

from instruct_mner.data.loading import load_split
from instruct_mner.schema.records import Example
from instruct_mner.scoring import score_spans
from instruct_mner.synthetic.label_sets import COARSE
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.synthetic.write import synth
from instruct_mner.tagging.tagger import Tagger


def f1_own_and_shuffled(model: Path, num: int, seed: int = 5) -> tuple[float, float]:
    """Return strict F1 in percent on posts of split dev, with own pictures and with those of the next post."""
    with tempfile.TemporaryDirectory() as folder:
        written = synth(Path(folder), Synthesis(COARSE, split="dev"), num, seed)
        dataset = load_split(str(written.path))
        paths = [dataset.picture_paths(example) for example in dataset.examples]
        others = dict(zip((example.id for example in dataset.examples), [*paths[1:], paths[0]], strict=True))
        tagger = Tagger.from_pretrained(model, batch_size=32)

        def f1(find: object) -> float:
            predictions = list(tagger.predict(dataset.examples, find))  # type: ignore[arg-type]
            return 100 * float(score_spans(dataset.examples, predictions).micro.score.f1)

        def other(example: Example) -> list[Path]:
            return list(others[example.id])

        return f1(dataset.picture_paths), f1(other)
