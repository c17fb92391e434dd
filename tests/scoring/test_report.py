import json

import pytest
from scoring_cases import GOLD, SAID, STAMP, TEXT, as_perfect, gold_post, report_of, said_post

from instruct_mner.errors import DataError
from instruct_mner.scoring import score_spans, score_triples
from instruct_mner.scoring.table import print_report


@pytest.fixture
def text_of(capsys):
    def printed(report):
        print_report(report)
        return capsys.readouterr().out

    return printed


def test_holds_the_scores_of_the_parts():
    report = report_of()
    spans, triples = score_spans(GOLD, SAID), score_triples(GOLD, SAID)
    assert report.micro.score == spans.micro.score
    assert report.span_only.score == spans.span_only.score
    assert {label: measured.score for label, measured in report.per_type.items()} == spans.type_scores
    assert (report.macro, report.weighted, report.rejected) == (spans.macro, spans.weighted, spans.rejected)
    assert {n: m.score for n, m in report.triples.items()} == {n: t.score for n, t in vars(triples).items()}
    assert report.not_grounded is report.comparison is None


def test_json_says_what_was_scored_and_every_number():
    found = json.loads(json.dumps(report_of(match="surface", seed=4).to_dict()))
    assert found["gold"] == {
        "name": "made/test",
        "sha256": STAMP.sha256,
        "decode": "strict",
        "num_posts": 3,
        "known": None,
    }
    assert (found["predicted"], found["match"]) == ("a.jsonl", "surface")
    assert found["bootstrap"] == {"seed": 4, "num_resamples": 200}
    micro = found["micro"]
    assert (micro["correct"], micro["predicted"], micro["gold"]) == (2, 5, 4)
    assert (micro["precision"], micro["recall"], micro["f1"]) == (2 / 5, 2 / 4, 4 / 9)
    assert 0 <= micro["f1_low"] <= micro["f1"] <= micro["f1_high"] <= 1
    assert micro["f1_standard_error"] > 0
    assert list(found["per_type"]) == ["LOC", "ORG", "PER"]
    assert found["rejected"]["malformed"] == {"count": 1, "rate": 1 / 5}
    assert found["rejected"]["unplaceable"] == {"count": 0, "rate": 0.0}
    assert found["triples"]["iou_threshold"] == 0.5
    assert found["triples"]["gmner"]["correct"] == 1
    assert found["triples"]["grounding"]["f1"] == 2 / 3
    assert found["not_grounded"] is found["comparison"] is None


def test_table_says_micro_first_then_types_span_only_rejected_and_triples(text_of):
    text = text_of(report_of())
    for part in ("made/test", "0123456789ab", "3 posts", "decode strict", "match offset", "44.44 ±"):
        assert part in text
    order = ["micro", "LOC", "ORG", "PER", "macro", "span only", "GMNER", "EEG", "rejected"]
    places = [text.index(f"\n{part}") for part in order]
    assert places == sorted(places)
    assert "1 malformed (20.00 %), 1 hallucinated (20.00 %), 0 unplaceable (0.00 %), of 5 predicted" in " ".join(
        text.split()
    )


def test_labels_are_not_read_as_markup(text_of):
    gold = [gold_post("1", TEXT, ("Bob", "[b]:smile:"))]
    assert "[b]:smile:" in text_of(report_of(as_perfect(gold), gold=gold))


def test_what_is_not_grounded_is_said(text_of):
    gold = [gold_post("1", TEXT, ("Bob", "PER"))]
    report = report_of(as_perfect(gold), gold=gold)
    assert report.triples is None
    assert report.to_dict()["triples"] is None
    assert report.to_dict()["not_grounded"].startswith("1 of 1 gold entities have no 'boxes'")
    text = text_of(report)
    assert "not grounded: 1 of 1 gold entities have no 'boxes'" in text
    assert "GMNER" not in text


def test_without_any_entity_no_triples_are_shown(text_of):
    gold = [gold_post("1", TEXT)]
    text = text_of(report_of(as_perfect(gold), gold=gold))
    assert "not grounded: no entity is annotated, and none is predicted" in text
    assert "GMNER" not in text


def test_a_second_system_is_compared_score_by_score(text_of):
    report = report_of(compared=as_perfect(GOLD))
    found = report.to_dict()["comparison"]
    assert found["predicted"] == "b.jsonl"
    assert found["micro"]["f1"] == 1.0
    assert found["differences"]["micro"]["difference"] == 1 - 4 / 9
    assert 0 <= found["differences"]["micro"]["low"] < found["differences"]["micro"]["high"]
    assert found["differences"]["triples.gmner"]["difference"] == 1 - report.triples["gmner"].score.f1
    # ORG is in the first system only, so there is nothing to compare it with.
    assert set(found["differences"]) == {
        "micro", "span_only", "per_type.LOC", "per_type.PER", "triples.gmner", "triples.visible",
        "triples.invisible", "triples.mner", "triples.eeg", "triples.grounding",
    }  # fmt: skip
    text = text_of(report)
    assert "b.jsonl less a.jsonl" in text
    assert "+55.56" in text


def test_an_error_names_the_prediction_file():
    with pytest.raises(DataError, match=r"b\.jsonl: .*(.|\n)*1 gold post\(s\) without a prediction: '3'"):
        report_of(compared=as_perfect(GOLD[:2]))


def test_the_baseline_of_not_visible_is_the_share_of_gold_without_boxes():
    # Two of four gold entities have no box: "not visible" everywhere has two of four triples right.
    assert report_of().not_visible_baseline == 2 / 4
    perfect = as_perfect(GOLD)
    invisible = [
        said.model_copy(update={"entities": tuple(each.model_copy(update={"boxes": ()}) for each in said.entities)})
        for said in perfect
    ]
    assert report_of(invisible).triples["gmner"].score.f1 == 2 / 4
    ungrounded = [gold_post("1", TEXT, ("Bob", "PER"))]
    assert report_of(as_perfect(ungrounded), gold=ungrounded).not_visible_baseline == 0.0
    nobody = [gold_post("3", "nobody")]
    assert report_of(as_perfect(nobody), gold=nobody).not_visible_baseline == 0.0


def test_what_is_odd_in_the_types_is_said(text_of):
    predicted = [said_post("1", TEXT, ("Bob", "per"), ("Paris", "loc")), *SAID[1:]]
    report = report_of([predicted[0], said_post("2", TEXT), said_post("3", "nobody")])
    note = "no predicted type is one of the gold's; did you mean LOC by loc, PER by per?"
    assert report.notes == (note,)
    assert report.to_dict()["notes"] == [note]
    assert note in text_of(report)
    assert report_of(predicted).notes == (
        "2 of 3 predicted entities have a type that the gold spells otherwise; did you mean LOC by loc, PER by per?",
    )
    assert report_of().notes == ()
    assert report_of().to_dict()["notes"] == []
