"""The tagger called with texts: one or many, arguments of every type, results for other libraries."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from instruct_mner import evaluate
from instruct_mner.errors import ConfigError, MnerError
from instruct_mner.schema.records import Example, PredictedEntity, Prediction
from instruct_mner.synthetic.posts import posts
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.tagging.argument_values import is_table
from instruct_mner.tagging.predictions import Predictions
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.tagging.texts import TextTagger, checked_pictures, checked_texts

EXAMPLE = Example(id="7", text="Zoe left")


class Capitals(TextTagger):
    """A tagger that finds the first capital letter of a text, and keeps what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[str, int]]] = []

    def predict_opened(self, posts: Sequence[Any], labels: Any = None) -> list[Prediction]:
        self.batches.append([(example.text, len(images)) for example, images in posts])
        return [_found(example) for example, _ in posts]


def _found(example: Example) -> Prediction:
    at = next((number for number, letter in enumerate(example.text) if letter.isupper()), None)
    entities = () if at is None else (
        PredictedEntity(start=at, end=at + 1, text=example.text[at], label="CAP", score=0.5),
    )  # fmt: skip
    return Prediction(id=example.id, text=example.text, entities=entities)


def test_one_text_gives_one_prediction_and_many_give_theirs_in_order() -> None:
    tagger = Capitals()
    assert tagger("an Apple").entities[0].text == "A"
    many = tagger([f"text {number} X" for number in range(5)], batch_size=2, progress=False)
    assert [each.text for each in many] == [f"text {number} X" for number in range(5)]
    assert [len(batch) for batch in tagger.batches] == [1, 2, 2, 1]
    assert (len(many), len(many[1:3]), many[-1].id) == (5, 2, "4")
    assert len(tagger(text for text in ("a", "b"))) == 2
    assert len(tagger([])) == 0


def test_a_table_and_a_single_post_are_no_lists() -> None:
    frame = pd.DataFrame({"text": ["Bob in Berlin", "Ann"]})
    for wrong, reason in ((frame, "not DataFrame, whose items are the names"), (EXAMPLE, "not Example; put it into")):
        with pytest.raises(ConfigError, match=reason):
            Capitals()(cast("Any", wrong))
        with pytest.raises(ConfigError, match=reason):
            evaluate(cast("Any", wrong), [])
    assert len(Capitals()(frame["text"])) == 2
    assert is_table(frame)
    assert not any(map(is_table, (frame["text"], [], {}, EXAMPLE, "a")))


def test_results_are_compared_by_what_they_hold() -> None:
    many = Capitals()(["an Apple", "a"])
    assert many == Capitals()(["an Apple", "a"]) == pickle.loads(pickle.dumps(many))
    assert many != Capitals()(["an Apple", "b"])
    assert repr(many) == "Predictions(2: ['A CAP'], [])"


def test_pictures_of_each_text() -> None:
    tagger, picture = Capitals(), Image.new("RGB", (9, 9))
    tagger(["a", "b", "c"], images=[picture, None, [picture, picture]])
    tagger("a", images=picture)
    tagger("a", images=[picture, picture])
    assert tagger.batches == [[("a", 1), ("b", 0), ("c", 2)], [("a", 1)], [("a", 2)]]


def test_a_missing_value_of_pandas_is_no_picture() -> None:
    pandas = pytest.importorskip("pandas")
    picture, nan = Image.new("RGB", (9, 9)), cast("Any", float("nan"))
    for column in ([picture, None], [picture, nan], pandas.Series([picture, pandas.NA])):
        tagger = Capitals()
        tagger(pandas.Series(["a", "b"]), images=pandas.Series(column))
        assert tagger.batches == [[("a", 1), ("b", 0)]]
    tagger = Capitals()
    tagger("a", images=nan)
    assert tagger.batches == [[("a", 0)]]
    with pytest.raises(ConfigError, match=r"images\[0\]\[0\] is no path, bytes or picture but float"):
        tagger(["a"], images=[[nan]])


def test_a_threshold_leaves_entities_out() -> None:
    assert Capitals()("X", threshold=0.6).entities == ()
    assert len(Capitals()("X", threshold=0.5).entities) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            {"texts": {"a", "b"}},
            "texts are a string or a list of strings, not set, whose items have no order; give a list",
        ),
        (
            {"texts": "a", "labels": {"A", "B"}},
            "labels must be a list of names, .*, not set, whose items have no order",
        ),
        ({"texts": 3}, "texts are a string or a list of strings, not 3"),
        ({"texts": b"a"}, "not b"),
        ({"texts": {"a": 1}}, "not dict"),
        ({"texts": ["a", None]}, r"texts\[1\] is no string but NoneType"),
        ({"texts": ["a", "b"], "images": "a.png"}, "images of several texts are a list"),
        ({"texts": ["a", "b"], "images": ["a.png"]}, "2 texts and 1 images"),
        ({"texts": ["a"], "images": [3]}, r"images\[0\] is no path, bytes or picture but int"),
        ({"texts": "a", "images": BytesIO()}, r"picture but BytesIO; give the path of a file, its bytes \(.*getvalue"),
        ({"texts": "a", "images": {"bytes": b"", "path": None}}, "images is no .* but dict; give .*field 'bytes' of"),
        ({"texts": ["a"], "images": [""]}, r"images\[0\] is an empty path; give .*, or None for a text without"),
        ({"texts": "a", "images": ["a.png", ""]}, r"images\[1\] is an empty path"),
        ({"texts": ["a"], "images": [["x.png", 3]]}, r"images\[0\]\[1\] is no path"),
        ({"texts": ["a"], "images": ["nowhere.png"]}, r"images\[0\]: nowhere\.png: there is no such"),
        ({"texts": "a", "threshold": "0.5"}, "threshold must be a number from 0 to 1, not '0.5'"),
        ({"texts": "a", "threshold": 2}, "is no confidence from 0 to 1"),
        ({"texts": "a", "batch_size": 0}, "batch_size must be a whole number from 1 on, not 0"),
        ({"texts": "a", "batch_size": True}, "batch_size must be a whole number from 1 on, not True"),
        ({"texts": "\ud800"}, r"texts\[0\] holds half of a surrogate pair"),
    ],
)
def test_what_is_no_argument_is_told(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(MnerError, match=reason):
        Capitals()(**arguments)


ANY = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=3), st.binary(max_size=3),
    st.just(Path("nowhere.png")), st.just(Image.new("RGB", (9, 9))), st.just(object()),
)  # fmt: skip
NESTED = st.recursive(
    ANY, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner), max_leaves=4
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=NESTED, images=NESTED, threshold=ANY, batch_size=ANY)
def test_every_type_is_understood_or_refused_in_a_message(
    texts: Any, images: Any, threshold: Any, batch_size: Any
) -> None:
    try:
        result = Capitals()(texts, images, threshold=threshold, batch_size=batch_size, progress=False)
    except MnerError as error:
        assert str(error)
        return
    expected = [texts] if isinstance(texts, str) else list(texts)
    results = [result] if isinstance(result, Prediction) else list(result)
    assert [each.text for each in results] == expected


def test_many_texts_at_once_have_the_entities_of_single_calls() -> None:
    tagger = Tagger.from_pretrained("starter", dtype="float32", batch_size=8)
    texts = [post.text for post in islice(posts(Synthesis(split="test"), 5), 10)]
    labels = ("PER", "LOC", "ORG", "OTHER")
    together = tagger(texts, labels=labels, progress=False)
    single = [tagger(text, labels=labels, progress=False) for text in texts]
    assert sum(len(each.entities) for each in single) > 10
    assert [[(each.start, each.end, each.label) for each in one.entities] for one in together] == [
        [(each.start, each.end, each.label) for each in one.entities] for one in single
    ]


def test_texts_are_given_to_the_engine_together_unless_their_pictures_are_still_to_be_opened(tmp_path: Path) -> None:
    picture = Image.new("RGB", (9, 9))
    picture.save(tmp_path / "a.png")
    tagger = Capitals()
    tagger(["a"] * 100)
    tagger(["a"] * 100, images=[picture, *[None] * 99], progress=False)
    tagger(["a"] * 100, images=[tmp_path / "a.png", *[None] * 99], progress=False)
    assert [len(batch) for batch in tagger.batches] == [100, 100, 64, 36]


def test_pieces() -> None:
    assert checked_texts(("a", "b")) == ["a", "b"]
    assert checked_pictures(None, 2, single=False) == [(), ()]
    assert checked_pictures(["a.png", "b.png"], 1, single=True) == [("a.png", "b.png")]


@pytest.fixture
def found() -> Predictions:
    return Capitals()(["a <b> X", "nothing", "Y"])


def test_a_table_has_a_row_for_each_entity(found: Predictions) -> None:
    pytest.importorskip("pandas")
    table = found.to_pandas()
    assert list(table["post"]) == [0, 2]
    assert list(table["text"]) == ["X", "Y"]
    assert list(Predictions([]).to_pandas().columns) == list(table.columns)


def test_documents_of_spacy(found: Predictions) -> None:
    pytest.importorskip("spacy")
    documents = found.to_spacy()
    assert [[(ent.text, ent.label_) for ent in document.ents] for document in documents] == [
        [("X", "CAP")],
        [],
        [("Y", "CAP")],
    ]
    assert documents[0].user_data["scores"] == [0.5]


def predicted(text: str, *entities: tuple[str, str, float]) -> Prediction:
    marks = [
        PredictedEntity(
            start=(at := text.index(surface)), end=at + len(surface), text=surface, label=label, score=score
        )
        for surface, label, score in entities
    ]
    return Prediction(id="1", text=text, entities=tuple(marks))


@pytest.mark.parametrize("text", ["安娜在北京。", "安娜在北京。  (*安娜-Bo*)\n x"])
def test_a_token_is_cut_where_an_entity_begins_or_ends(text: str) -> None:
    pytest.importorskip("spacy", reason="spaCy, an optional extra, is not installed")
    [document] = Predictions([predicted(text, ("安娜", "PER", 0.9), ("北京", "LOC", 0.2))]).to_spacy()
    assert [(ent.text, ent.label_) for ent in document.ents] == [("安娜", "PER"), ("北京", "LOC")]
    assert document.user_data["scores"] == [0.9, 0.2]
    assert document.text == text


def test_of_entities_of_one_token_the_surest_is_kept_with_its_score() -> None:
    spacy = pytest.importorskip("spacy", reason="spaCy, an optional extra, is not installed")
    found = Predictions(
        [predicted("Ann: 安娜在北京。", ("安娜", "PER", 0.2), ("北京", "LOC", 0.9), ("Ann", "PER", 0.4))]
    )
    with pytest.warns(UserWarning, match=r"left out, .*: '安娜' \(PER\) in 'Ann: 安娜在北京。'; choose a tokenizer"):
        [document] = found.to_spacy(spacy.blank("xx"))
    assert [(ent.text, ent.label_) for ent in document.ents] == [("Ann", "PER"), ("安娜在北京", "LOC")]
    assert document.user_data["scores"] == [0.4, 0.9]


@pytest.mark.parametrize(("module", "method"), [("pandas", "to_pandas"), ("spacy", "to_spacy")])
def test_a_library_that_is_not_there_is_named(
    module: str, method: str, found: Predictions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=f"pip install {module}"):
        getattr(found, method)()


def test_notebooks_show_marks_and_no_markup_of_a_text(found: Predictions) -> None:
    page = found._repr_html_()
    assert page.count("<mark ") == 2
    assert "a &lt;b&gt; <mark " in page
    assert "<b>" not in page
