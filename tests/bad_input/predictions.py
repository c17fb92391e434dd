"""Predictions that are scored."""

from __future__ import annotations

import json

from bad_input import ANN, Content, Kind, boxed, post

GOLD = post(id="1") + post(id="2")


def said(**changes: object) -> str:
    """A line of predictions: the entity of the post, with other fields on top."""
    return post(**{"entities": [{**ANN, "score": 0.5}], **changes})


def _predictions(
    name: str, content: Content, place: str, remedy: str, *, gold: Content = GOLD, flags: str = ""
) -> Kind:
    files = {"gold.jsonl": gold, "said.jsonl": content}
    return Kind(name, f"evaluate gold.jsonl said.jsonl --json {flags}", files, place, remedy)


def _entity(name: str, remedy: str, **changes: object) -> Kind:
    row = json.dumps({"id": "1", "text": "Ann in Rome", "images": ["a.png"], "entities": [{**ANN, **changes}]})
    return _predictions(name, said(id="2") + row + "\n", r"said\.jsonl:2: ", remedy)


TWO_BOXES = [{"image": 0, "box": [1, 2, 3, 4]}, {"image": 0, "box": [5, 6, 7, 8]}]
SAME_POSTS = "not of the same posts; predict every post of the gold file once, with its id and text unchanged"

KINDS = (
    Kind("predictions-missing", "evaluate gold.jsonl said.jsonl", {"gold.jsonl": GOLD},
         r"said\.jsonl: there is no such file", "check the path"),
    Kind("predictions-folder", "evaluate gold.jsonl .", {"gold.jsonl": GOLD},
         r"\.: no split found", "named file by file"),
    _predictions("predictions-empty", "", r"said\.jsonl", "2 gold post.*without a prediction"),
    _predictions("predictions-no-json", "PER: Ann\n", r"said\.jsonl:1: not JSON", "a line is one whole object"),
    _predictions("predictions-latin-1", said(text="Zürich", entities=[]).encode("latin-1"), r"said\.jsonl:1: ",
                 "save the file as UTF-8"),
    _predictions("predictions-cut", said(id="1") + said(id="2")[:40], r"said\.jsonl:2: not JSON", "is the file cut"),
    _predictions("predictions-without-some", said(id="1"), r"said\.jsonl: .*1 gold post.*without a prediction: '?2",
                 SAME_POSTS),
    _predictions("predictions-of-unknown-ids", said(id="1") + said(id="2") + said(id="9"),
                 r"said\.jsonl: .*1 predicted post.*gold does not have: '?9", SAME_POSTS),
    _predictions("predictions-twice", said(id="1") * 2 + said(id="2"), r"said\.jsonl: .*given twice: '?1", SAME_POSTS),
    _predictions("predictions-of-other-texts", said(id="1") + said(id="2", text="Ann in Bonn"),
                 r"said\.jsonl: .*predicted text is not the gold text: '?2", SAME_POSTS),
    _predictions("gold-not-annotated", said(id="1"), r"gold\.jsonl", "not annotated.*give them 'entities'",
                 gold='{"id": "1", "text": "Ann in Rome"}\n'),
    _predictions("match-unknown", said(id="1") + said(id="2"), "--match", "is not one of 'offset', 'surface'",
                 flags="--match exact"),
    _predictions("resamples-none", said(id="1") + said(id="2"), "--resamples", ">?= ?1|equal to 1",
                 flags="--resamples 0"),
    _predictions("run-without-manifest", said(id="1") + said(id="2"), r"\. has no mner\.json", "made by .*finetune",
                 flags="--run ."),
    _predictions("runs-more-than-files", said(id="1") + said(id="2"), "2 runs are given for 1 prediction file",
                 "name one for each", flags="--run a --run b"),
    _entity("prediction-with-two-boxes", r"entities\.0\.boxes: .*at most 1", boxes=TWO_BOXES),
    _entity("prediction-score-above-1", r"entities\.0\.score: .*less than or equal to 1", score=1.5),
    _entity("prediction-score-nan", r"entities\.0\.score: ", score=float("nan")),
    _entity("prediction-score-of-text", r"entities\.0\.score: expected a number", score="high"),
    _entity("prediction-unknown-field", r"entities\.0\.confidence: unknown field", confidence=0.5),
    _entity("prediction-nearly-known-field", r"entities\.0\.scor: unknown field; did you mean 'score'", scor=0.5),
    _entity("prediction-of-other-text", "'Bob' at 0:3 does not stand there: the text has 'Ann'", text="Bob"),
    Kind("second-system-of-other-posts", "evaluate gold.jsonl a.jsonl b.jsonl",
         {"gold.jsonl": GOLD, "a.jsonl": said(id="1") + said(id="2"), "b.jsonl": said(id="1")},
         r"b\.jsonl: .*without a prediction", SAME_POSTS),
    _predictions("five-bad-predictions-at-once",
                 said(txet=1) + "no\n" + said(id="") + boxed(9, 9, 1, 1) + said(text="Bob in Rome"),
                 r"said\.jsonl:1: .*said\.jsonl:2: .*said\.jsonl:3: .*said\.jsonl:4: .*said\.jsonl:5: ",
                 "did you mean 'text'"),
)  # fmt: skip
