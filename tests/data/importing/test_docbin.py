"""spaCy's DocBin: a file that spaCy 3.8 wrote, and files that are none."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.data.importing import docbin
from instruct_mner.data.importing.docbin import hash_of, posts
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.loading import load_split
from instruct_mner.errors import DataError

# spaCy 3.8.18: four documents of `spacy.blank("en")`, the last without annotation; GPE and "mark" are symbols of spaCy.
WRITTEN = base64.b64decode(
    "eJzrXF6WWlScmZ+32EDPcGliSUlR8VxHZ08vbx9fP/+As4xHzjIePct4bFlJfnZqXvFRDoWH3+I+ClS0TVuRefHL177XfxgIAGYobed5qOZn60"
    "trmDgjAX03fUOP7OJKUAoU23uz0O56GiF7YOah20MI7GCcuLcg+vZnGE1IPROxBqOBCT8VGDdZzjOB0bSyx7DEVzvi6GbpwoeGa+KufXpLSD0s"
    "fhoJRQgasNd7tKjSVmAfjCakHpd/CFlLr3BzXHt/86mEhqUwmlb2ZBdtjZrRu5UVRtPKnod1ZyqPnSr5nrzp9mTdfWs0ybWHUPz4ak/rvfBkkz"
    "SMJtceQoBP1Fi34HtPAYymlT2CP9wOfbbKLIPRtLLnzbUXF74Zin9343cWWjNn63JC6mH5tIHEfCr2d8PiNP0/j2E0IfXk+oexX5Zz1/0XB2A0"
    "rexZzohK08qetY+taiyTRT/BaFrZs3XuDCeuE2ZsMJpMYwjmU+Vrqevjquo1YDS59hACy4oLEpNTi4+IMAIBAwxDGAzLc1Lz0ksyio8IgMo9Fi"
    "DmZIAE3fLikqLMvPTiOwwyCxYqLFIvXuKYl5e4xCk1J2exe4DrIs+8xT7+zit8D+/JKy5JLVriX5yTvzjANWhJIlDZSiCRX5JYkpqyJAmoYUly"
    "YnHqkrSc1PIlGalFqYsy85bkJhZlr8iFal4MVLwciDOAFi7JBxlUnJq6BMgtXlSSv7g8P2/Jh/kzGoCmlBRPaWhoXJh42v4DxHMNS9NyEtOLpz"
    "Ruykgsji/Ny87LL8+Lh/j4EIWCq4F0Xnx6UX5pQfGUI4wT4AgA2INCWA=="
)

# Two documents: one of no words, and "Bob x".
WITH_AN_EMPTY_ONE = base64.b64decode(
    "eJzrXF6WWlScmZ+32EDPcGliSUlR8VxHZ08vbx9fP/+As4xHzjIePct4bFlJfnZqXvGRC1cn64tFdq1mmiLqPnet+6wjDGQCRgLy567J65zdFD"
    "sLRpNrDyGwrLggMTm1+AgTI8PynNS89JKM4iMcIAkmIF5eXFKUmZdePGXBYqf8pMVJ+UkLK5YkJ5YUT2poWJqWk5hePKlxU0ZicXxpXnZefnle"
    "PMSww9gED60G0nnx6UX5pQXFk44wTgAiAIlvWck="
)


def test_an_empty_document_is_an_empty_text(tmp_path: Path) -> None:
    (tmp_path / "a.spacy").write_bytes(WITH_AN_EMPTY_ONE)
    assert [(post.text, post.marks) for post in posts(tmp_path / "a.spacy", [])] == [("", None), ("Bob x", None)]


def test_a_file_of_spacy(tmp_path: Path) -> None:
    (tmp_path / "a.spacy").write_bytes(WRITTEN)
    import_file(str(tmp_path / "a.spacy"), tmp_path / "out.jsonl", ImportOptions())
    read = load_split(str(tmp_path / "out.jsonl")).examples
    assert [(post.text, post.entities and [(e.start, e.end, e.label) for e in post.entities]) for post in read] == [
        ("Anna Bell flew to Oslo", [(0, 9, "PER"), (18, 22, "LOC")]),
        ("nothing to see here", ()),
        ("In this case  Münster's \U0001f600 mark won", [(14, 21, "GPE")]),
        ("not annotated", None),
    ]
    assert [post.meta for post in read] == [None, None, {"cats": {"a": 1.0}}, None]


def test_words_without_their_spaces_are_joined_as_those_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = list("张伟去北京NBA赛")
    documents = docbin._Bin(
        attrs=[65, 77, 78],
        tokens=np.array([[number, 2, len(words)] for number in range(len(words))], dtype=np.uint64),
        spaces=np.ones(len(words), dtype=np.bool_),
        lengths=[5, 4],
        strings=dict(enumerate([*words, ""])),
        cats=[],
        unknown_spaces=[True, True],
    )
    monkeypatch.setattr(docbin, "_checked", lambda content: documents)
    (tmp_path / "a.spacy").write_bytes(WRITTEN)
    assert [post.text for post in posts(tmp_path / "a.spacy", [])] == ["张伟去北京", "NBA赛"]


def test_hashes_are_those_of_spacy() -> None:
    assert hash_of("coffee") == 3197928453018144401  # https://spacy.io/usage/spacy-101#vocab


@given(st.binary(max_size=40), st.booleans())
def test_other_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes, packed: bool) -> None:
    path = tmp_path_factory.mktemp("bin") / "a.spacy"
    path.write_bytes(zlib.compress(content) if packed else content)
    with pytest.raises(DataError, match="no DocBin of spaCy 3"):
        list(posts(path, []))


@given(st.integers(0, len(WRITTEN) - 1))
def test_a_file_that_is_cut_is_refused(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    path = tmp_path_factory.mktemp("bin") / "a.spacy"
    path.write_bytes(WRITTEN[:size])
    with pytest.raises(DataError, match="no DocBin of spaCy 3"):
        list(posts(path, []))
