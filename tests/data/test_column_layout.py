from __future__ import annotations

from pathlib import Path

import pytest

from instruct_mner.data.column_layout import Layout, find_tag_columns, id_in_comment, is_columns, tell_layout
from instruct_mner.data.columns import parse
from instruct_mner.data.conll import read
from instruct_mner.data.dataset import ReadOptions
from instruct_mner.data.fmnerg import is_fmnerg
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError, DataError

POST = "Anna B-PER|Bell I-PER|flew O|to O|Oslo B-LOC||nothing O|to O|see O|here O"
GOLD = [("Anna Bell flew to Oslo", [("Anna Bell", "PER"), ("Oslo", "LOC")]), ("nothing to see here", [])]


def rows(text: str, tab: str = "\t") -> str:
    return text.replace(" ", tab).replace("|", "\n") + "\n"


def posts(tmp_path: Path, content: str | bytes, name: str = "a.txt") -> list[tuple[str, list[tuple[str, str]]]]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    examples = load_split(f"conll:{path}", missing_image="keep").examples
    return [(post.text, [(entity.text, entity.label) for entity in post.gold]) for post in examples]


@pytest.mark.parametrize(
    "content",
    [
        rows(POST),
        rows(POST, " "),
        rows(POST, "   "),
        rows(POST).replace("\n", "\r\n"),
        "\ufeff" + rows(POST),
        rows(POST).replace("\n", " \n"),
        rows(POST).replace("\n\n", "\n\t\n"),
        rows(POST).replace("\n\n", "\n \t \n"),
        "# id = 1\n" + rows(POST),
        "# a comment of a tool\n\n" + rows(POST),
        rows(POST).replace("\n\n", "\n\n# sent_id = 2\n"),
        "-DOCSTART-\tO\n\n" + rows(POST),
        "-DOCSTART- -X- -X- O\n\n" + rows(POST.replace(" ", " NN B-NP "), " "),
        rows(POST.replace(" ", " NN B-NP ")),
        rows(POST.replace(" ", " _ _ "), " "),
        rows(POST.replace("I-PER", "E-PER").replace("B-LOC", "S-LOC")),
        rows(POST.replace("I-PER", "L-PER").replace("B-LOC", "U-LOC")),
        rows(POST.replace("B-PER", "I-PER").replace("B-LOC", "I-LOC")),
        "".join(f"{number}\t{row}\n" if row else "\n" for number, row in [
            *enumerate(rows(POST).split("\n\n")[0].split("\n"), 1), (0, ""),
            *enumerate(rows(POST).split("\n\n")[1].strip().split("\n"), 1)]),
    ],
    ids=["tabs", "spaces", "runs-of-spaces", "crlf", "bom", "blank-behind", "lone-tab", "blanks-and-tab", "id",
         "comment", "comment-inside", "docstart", "conll-2003", "four-columns", "underscores", "bioes", "bilou",
         "io", "numbered"],
)  # fmt: skip
def test_the_same_posts_of_every_layout(tmp_path: Path, content: str) -> None:
    assert posts(tmp_path, content) == GOLD


@pytest.mark.parametrize("content", ["O\tthe\nB-PER\tAnna\n", "O the\nB-PER Anna\n"])
def test_tags_may_stand_first(tmp_path: Path, content: str) -> None:
    assert posts(tmp_path, content) == [("the Anna", [("Anna", "PER")])]


def test_tokens_that_could_be_tags_do_not_turn_the_columns_round(tmp_path: Path) -> None:
    assert posts(tmp_path, "O\tO\nB-PER\tAnna\nO\tleft\n") == [("O Anna left", [("Anna", "PER")])]
    assert posts(tmp_path, "O\tO\nAnna\tB-PER\nO\tO\n") == [("O Anna O", [("Anna", "PER")])]
    with pytest.raises(DataError, match=r"tag 'B-PER:0\.9' of token 'Anna' .*a number stands behind its type"):
        posts(tmp_path, "O\tthe\nB-PER:0.9\tAnna\n")


@pytest.mark.parametrize(
    ("header", "identifier", "images"),
    [
        ("IMGID:7", "7", ("7.jpg",)),
        ("IMGID:7\tO", "7", ("7.jpg",)),
        ("IMGID:7 O", "7", ("7.jpg",)),
        ("IMGID:7.jpg", "7", ("7.jpg",)),
        ("IMGID:7.png", "7", ("7.png",)),
        ("IMGID:pics/7.JPG", "7", ("pics/7.JPG",)),
        ("IMGID:7.5", "7.5", ("7.5.jpg",)),
    ],
)
def test_headers(tmp_path: Path, header: str, identifier: str, images: tuple[str, ...]) -> None:
    (tmp_path / "a.txt").write_text(f"{header}\nAnna\tB-PER\n")
    [post] = load_split(f"conll:{tmp_path / 'a.txt'}", missing_image="keep").examples
    assert (post.id, post.images, post.text) == (identifier, images, "Anna")


def test_ids_in_comments_are_taken_where_each_post_has_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("# id = x1\nAnna\tB-PER\n\n# id = x2\nb\tO\n")
    dataset = load_split(f"conll:{tmp_path / 'a.txt'}")
    assert [post.id for post in dataset.examples] == ["x1", "x2"]
    assert "2 comment line(s), the first '# id = x1', are no tokens" in dataset.notes[0]


@pytest.mark.parametrize(
    ("line", "identifier"),
    [("# id = 1", "1"), ("# sent_id=a-b", "a-b"), ("# id 7f3 domain=en", "7f3"), ("# text = id", None), ("#1", None)],
)
def test_id_in_comment(line: str, identifier: str | None) -> None:
    assert id_in_comment(line) == identifier


def test_hash_signs_are_tokens(tmp_path: Path) -> None:
    assert posts(tmp_path, "#\tO\n#Anna\tB-PER\n")[0][0] == "# #Anna"
    assert posts(tmp_path, "# O\n#Anna B-PER\n")[0][0] == "# #Anna"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (rows("a B-PER O|b O O"), "columns 2 and 3 hold tags that differ"),
        (rows("a B-PER O|b O O", " "), "columns 2 and 3 hold tags that differ"),
        (rows("a NN O B-PER"), "columns 3 and 4 hold tags that differ"),
        (rows("a NN B-NP|b VB B-VP"), "column 3 holds tags of phrases"),
        (rows("a B-NP|b B-VP"), "its tags are those of phrases"),
        (rows("a NN x|b VB y"), "none of the 3 columns holds tags"),
        (rows("a B-PER,B-PER|b O"), "holds several tags in one"),
        (rows("a B-PER|B-ORG").replace("\n", "|", 1), "holds several tags in one"),
        (rows("a O|b B-PER/B-ORG"), "holds several tags in one"),
        (rows("a O|b B-PER;LOC"), "holds several tags in one"),
        (rows("a O,O|b O,O"), "holds several tags in one"),
    ],
)
def test_what_may_be_read_in_two_ways_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=reason):
        load_split(f"conll:{path}", missing_image="keep")


def test_a_column_of_tags_is_chosen_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(rows("a B-PER O|b O O"))
    for number, entities in (("2", 1), ("3", 0)):
        reading = read(path, ReadOptions(columns={"tags": [number]}))
        assert sum(len(post.gold) for post in reading.dataset.examples) == entities
    assert "there is no column 9 of tags" in read(path, ReadOptions(columns={"tags": ["9"]})).problems[0]
    with pytest.raises(ConfigError, match="chosen by number, counted from 1"):
        read(path, ReadOptions(columns={"tags": ["gold"]}))


def test_columns_that_agree_are_one(tmp_path: Path) -> None:
    assert posts(tmp_path, rows("a B-PER B-PER|b O O")) == [("a b", [("a", "PER")])]


def test_find_tag_columns() -> None:
    assert find_tag_columns(rows("a NN B-PER O|b VB O O").split("\n")) == [2, 3]
    assert find_tag_columns(["Anna left"]) == []


@pytest.mark.parametrize(
    ("content", "columns"),
    [(rows(POST), True), (rows(POST, " "), True), ("Anna Bell flew to Oslo\nnothing to see here\n", False),
     ("I got an O\nvitamin B-12 is fine\nand more\nand more\n", False), ("", False),
     ("Anna\u00a0B-PER\nflew\u00a0O\n", True), ("Anna,B-PER\nflew,O\n", True), ("Anna b-per\nhome o\n", True),
     ("Anna B_PER\nBell I_PER\n", True), ("Anna\tPER\nflew\tO\n", True), ("Hello World\nGood Bye\n", False)],
)  # fmt: skip
def test_columns_are_told_from_plain_text(tmp_path: Path, content: str, columns: bool) -> None:
    (tmp_path / "a.txt").write_text(content)
    assert is_columns(tmp_path / "a.txt") == columns


def test_gold_beside_a_prediction_is_not_fmnerg() -> None:
    assert is_fmnerg(rows("a B-building B-school|b O O").split("\n")[:2])
    assert not is_fmnerg(rows("a B-PER B-ORG|b O O").split("\n")[:2])
    assert not is_fmnerg(rows("a B-person B-person|b O O").split("\n")[:2])
    assert not is_fmnerg(rows("a B-person O|b O O").split("\n")[:2])


def test_the_layout_of_an_empty_file_is_the_usual_one() -> None:
    assert tell_layout([], Path("a"), Layout()).columns == ("TOKEN", "TAG")
    assert "holds no post" in parse(b"", Path("a"), Layout()).problems[0]
