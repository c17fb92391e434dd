"""Files as posts: their form, their layout, and faults row by row."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from instruct_mner.data.importing.brat import brat_posts
from instruct_mner.data.importing.plain_text import check_plain, is_plain, plain_posts
from instruct_mner.data.importing.posts import Fault, RawPost
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.sources import Source, is_json, is_json_lines
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError, DataError


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "content", "json", "lines", "plain"),
    [
        ("a.json", '{"text": "a"}\n{"text": "b"}\n', True, True, False),
        ("a.json", '[\n{"text": "a"}\n]\n', True, False, False),
        ("a.txt", "\n Anna left\n", False, False, True),
        ("a.txt", "Anna\tB-PER\nleft\tO\n", False, False, False),
        ("a.jsonl", "no JSON\n", False, True, False),
        ("a.txt", "[Anna] left\n{so} she said\n", False, False, True),
        ("a.txt", "[the end] [1] Bo\n", False, False, True),
        ("a.txt", '[\n{"text": "a"}]\n', True, False, False),
        ("a.txt", '[["a", {"entities": []}]]\n', True, False, False),
    ],
)
def test_the_form_is_told_by_the_content(
    name: str, content: str, json: bool, lines: bool, plain: bool, tmp_path: Path
) -> None:
    path = written(tmp_path, name, content)
    assert (is_json(path), is_json_lines(path), is_plain(path)) == (json, lines, plain)


def test_rows_are_posts_or_faults_with_their_place(tmp_path: Path) -> None:
    rows = '{"text": "a"}\n\n{"text": \n{"text": "b", "text": "c"}\n{"text": "d", "new": 1}\n7\n'
    path = written(tmp_path, "a.jsonl", rows)
    source = Source(path)
    items = list(source.items())
    assert [item.where for item in items] == [f"{path}:{number}" for number in (1, 3, 4, 5, 6)]
    assert [item.text for item in items if isinstance(item, RawPost)] == ["a", "d"]
    reasons = [item.reason for item in items if isinstance(item, Fault)]
    assert len(reasons) == 3
    assert reasons[0].startswith("not JSON: ")
    assert "'text'" in reasons[1]
    assert reasons[2] == "expected an object, found '7'"


@pytest.mark.parametrize(
    ("content", "layout", "convention"),
    [
        ('{"text": "a", "answer": "accept"}\n', "prodigy", "characters"),
        ('["a", {"entities": []}]\n["b", {"entities": []}]\n', "spacy", "characters"),
        ('{"messages": []}\n', "chat", None),
        ('{"text": "a"}\n', "columns", None),
    ],
)
def test_the_layout_is_that_of_most_rows(content: str, layout: str, convention: str | None, tmp_path: Path) -> None:
    source = Source(written(tmp_path, "a.jsonl", content))
    assert (source.told_layout, source.convention) == (layout, convention)


def test_rows_that_were_not_accepted_are_counted(tmp_path: Path) -> None:
    row = '{{"text": "a", "spans": [], "answer": "{}"}}\n'
    path = written(tmp_path, "a.jsonl", "".join(map(row.format, ("accept", "reject", "ignore", "reject"))))
    source = Source(path)
    assert len(list(source.items())) == 1
    expected = "1 row(s) with the answer 'ignore', 2 row(s) with the answer 'reject'"
    assert any(expected in note for note in source.notes)


def test_a_list_in_a_wrapper_is_its_posts(tmp_path: Path) -> None:
    path = written(tmp_path, "a.json", '{"version": 1, "data": [{"text": "a"}, {"text": "b"}]}')
    assert [item.where for item in Source(path).items()] == [f"{path}: item 1", f"{path}: item 2"]
    with pytest.raises(DataError, match=r"not JSON: .*is the file cut"):
        list(Source(written(tmp_path, "b.json", '[{"text": "a"},')).items())


def test_json_by_columns_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a.json", '{"text": {"0": "Anna", "1": "Bob"}, "id": {"0": 1, "1": 2}}')
    with pytest.raises(DataError, match=r"written by columns.*to_json\(…, orient='records'\)"):
        list(Source(path).items())
    assert len(list(Source(written(tmp_path, "b.json", '{"text": "Anna", "meta": {"0": 1}}')).items())) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("Anna\tB-PER\n".encode("utf-16"), "the file is UTF-16; save it as UTF-8"),
        (b"An\0na\tB-PER\n", "it begins with zero bytes"),
        (b"Anna\tB-PER\rleft\tO\r", "its lines end with a carriage return alone"),
    ],
)
@pytest.mark.parametrize("name", ["a.conll", "a.txt", "a.bio"])
def test_a_file_that_is_no_text_is_told_as_such(content: bytes, reason: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f":1: .*{reason}"):
        import_file(str(tmp_path / name), tmp_path / "out.jsonl", ImportOptions())


def test_returns_in_cells_count_unless_offsets_fit_only_without_them(tmp_path: Path) -> None:
    rows = 'text,entities\r\n"你好\r\n北京很大","[[{},{},""LOC""]]"\r\n"Anna\r\nBell","[[{},{},""PER""]]"\r\n'
    for at, text, note in (((4, 6, 6, 10), "Anna\r\nBell", False), ((3, 5, 5, 9), "Anna\nBell", True)):
        path = tmp_path / f"{note}.csv"
        path.write_bytes(rows.format(*at).encode())
        notes = import_file(str(path), path.with_suffix(".jsonl"), ImportOptions()).notes
        [city, person] = load_split(str(path.with_suffix(".jsonl"))).examples
        assert [city.gold[0].text, person.gold[0].text] == ["北京", "Bell"]
        assert person.text == text
        assert any("read as newlines alone" in each for each in notes) == note


def test_plain_text_is_a_post_a_line(tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", "Anna left \n \n\tBob\n")
    assert [(item.where, item.text) for item in plain_posts(path) if isinstance(item, RawPost)] == [
        (f"{path}:1", "Anna left"),
        (f"{path}:3", "Bob"),
    ]


def test_brat_needs_both_files(tmp_path: Path) -> None:
    text = written(tmp_path, "a.txt", "Anna")
    assert brat_posts(text, []) is None
    assert brat_posts(tmp_path, []) is None
    written(tmp_path, "a.ann", "T1\tPER 0 4\tAnna\n")
    for path in (text, text.with_suffix(".ann"), tmp_path):
        read = brat_posts(path, [])
        assert read is not None
        assert [item.where for item in read()] == [str(text)]
    written(tmp_path, "c.TXT", "Anna")
    read = brat_posts(written(tmp_path, "c.ANN", "T1\tPER 0 4\tAnna\n"), [])
    assert read is not None
    assert [item.where for item in read()] == [str(tmp_path / "c.TXT")]
    with pytest.raises(ConfigError, match=r"put b\.txt into the same folder"):
        brat_posts(written(tmp_path, "b.ann", ""), [])


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_the_tokens_of_all_rows_tell_how_those_of_each_are_joined(name: str, tmp_path: Path) -> None:
    texts = ["张伟去北京", "NBA赛", "OK"]
    rows = [json.dumps({"tokens": list(text)}) for text in texts]
    cells = [f"{number},{token},O" for number, text in enumerate(texts) for token in text]
    contents = {
        "a.jsonl": "\n".join(rows),
        "a.json": f"[{', '.join(rows)}]",
        "a.csv": "\n".join(["sentence_id,word,tag", *cells]),
    }
    import_file(str(written(tmp_path, name, contents[name])), tmp_path / "out.jsonl", ImportOptions())
    assert [post.text for post in load_split(str(tmp_path / "out.jsonl")).examples] == texts


def test_the_rows_behind_the_first_tell_it_too(tmp_path: Path) -> None:
    latin, chinese = (json.dumps({"tokens": list(text)}) + "\n" for text in ("OK", "张伟去北京"))
    first = next(Source(written(tmp_path, "a.jsonl", latin * 2100 + chinese * 2100)).items())
    assert isinstance(first, RawPost)
    assert first.joiner == ""


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (["Anna B-PER", "left 0", "for 0", "Oslo B-LOC"], "'Anna B-PER'"),
        (["Anna B-PER", "left -", "", "Bo B-PER", "came -"], "'Anna B-PER'"),
        (["Anna=B-PER", "left=O", "for=O", "a=O", "Oslo=B-LOC"], "'Anna=B-PER'"),
        (["Anna left", "B-PER O", "", "Bo came", "B-PER O"], "'B-PER O'"),
        (["Anna 1", "left 0", "for 0", "good 0"], "'… 0'"),
        (["Happy B-day", "see you", "at ten", "or later"], None),
        (["Anna left", "Bo left", "all left"], None),
        (["hello there"] * 5, None),
        (["Anna", "Bo", "Anna", "Anna"], None),
    ],
)
def test_lines_of_tokens_with_tags_are_no_posts(lines: list[str], shown: str | None, tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", "\n".join(lines))
    if shown is None:
        check_plain(path)
        return
    with pytest.raises(DataError, match=re.escape(f"look like tokens with tags ({shown})")):
        check_plain(path)


@pytest.mark.parametrize(
    ("line", "mark"),
    [
        ("<PER>Anna</PER> left", "'<PER>Anna</PER>'"),
        ("Anna_B-PER left_O", "'Anna_B-PER'"),
        ("Anna=B-PER left=O", "'Anna=B-PER'"),
        ("saw [Anna Bell](person) there", "'[Anna Bell](person)'"),
        ("[Anna | PER] left", "'[Anna | PER]'"),
        ("[Anna] left (so)", None),
        ("see [this](https://x.org/a) and <br> a < b > c", None),
        ("a <b>", None),
    ],
)
def test_texts_with_marked_entities_are_no_posts(line: str, mark: str | None, tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", f"{line}\n\nBo came\n")
    if mark is None:
        check_plain(path)
        return
    with pytest.raises(DataError, match=re.escape(f"1 of the first 2 lines hold marks such as {mark}")):
        check_plain(path)
    # Few of them may be meant so.
    check_plain(written(tmp_path, "b.txt", f"{line}\n" + "Bo came\n" * 3))
