from __future__ import annotations

from pathlib import Path

import pytest

from instruct_mner.data.loading import load, load_split, read
from instruct_mner.data.tag_schemes import why_no_tag
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Context


def write(tmp_path: Path, content: str | bytes, name: str = "train.txt") -> Path:
    path = tmp_path / "set" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def problems(path: Path) -> list[str]:
    [reading] = read(f"conll:{path}").values()
    return [problem.removeprefix(f"{path}:") for problem in reading.problems]


PLAIN = "IMGID:7\nWebber\tB-PER\nMS\tI-PER\nsmiles\tO\n\nIMGID:8\nnothing\tO\n"


@pytest.mark.parametrize("content", ["Anna runs home\n\nBob too\n", "Anna\nBob\n"])
def test_plain_text_is_told_the_way_to_be_read(tmp_path: Path, content: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=f"{path}: its lines look like plain text; .*: instruct-mner import {path} -o"):
        load_split(str(path))


@pytest.mark.parametrize("content", ["Anna\tB-PER\tB-LOC\n", "Anna\tB-PER\n\nBob\n", ""])
def test_columns_with_a_fault_are_not_called_plain_text(tmp_path: Path, content: str) -> None:
    assert problems(path := write(tmp_path, content))
    assert "plain text" not in "".join(problems(path))


def test_a_post(tmp_path: Path) -> None:
    dataset = load_split(str(write(tmp_path, PLAIN)), missing_image="keep")
    assert (dataset.name, dataset.format, len(dataset.sha256)) == ("set/train", "conll", 64)
    first, second = dataset.examples
    assert (first.id, first.text, first.images) == ("7", "Webber MS smiles", ("7.jpg",))
    assert first.tokens == ("Webber", "MS", "smiles")
    assert [(e.start, e.end, e.text, e.label, e.boxes) for e in first.gold] == [(0, 9, "Webber MS", "PER", None)]
    assert second.gold == ()


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.removesuffix("\n"),
        PLAIN + "\n\n\n",
        "\n\n" + PLAIN.replace("\n\n", "\n\n\n   \n"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("IMGID", " IMGID"),
        PLAIN.replace("IMGID:7\n", "IMGID:7\n\n"),
        PLAIN.replace("\n\nIMGID", "\nIMGID"),
        "\ufeff" + PLAIN,
    ],
    ids=["no-end", "end", "blank-lines", "crlf", "space-before-id", "blank-after-id", "no-blank", "bom"],
)
def test_the_same_posts_from_sloppy_files(tmp_path: Path, content: str) -> None:
    right = load_split(str(write(tmp_path, PLAIN)), missing_image="keep").examples
    assert load_split(str(write(tmp_path, content)), missing_image="keep").examples == right


def test_odd_tokens_survive(tmp_path: Path) -> None:
    tokens = [
        "\u00a0",
        "\u0092",
        "\ufffd",
        "\ufe0f",
        "\u200d",
        "\u200b",
        "🏽",
        "&amp",
        ";",
        "#",
        " ",
        "\u2028",
        "\u0085",
    ]
    rows = "".join(f"{token}\tB-X\n" for token in tokens)
    # Not loaded: gold without a letter or digit is a problem of its own.
    [reading] = read(str(write(tmp_path, f"IMGID:1\n{rows}"))).values()
    assert reading.problems == ()
    [example] = reading.dataset.examples
    assert example.tokens == tuple(tokens)
    assert [entity.text for entity in example.gold] == tokens


def test_strict_decoding_is_chosen_and_both_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "IMGID:1\nin\tO\nParis\tI-LOC\nAnn\tB-PER\n")
    [reading] = read(str(path), decode="strict").values()
    assert [entity.text for entity in reading.dataset.examples[0].gold] == ["Ann"]
    assert reading.num_entities == {"tolerant": 2, "strict": 1}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", ["1: the file holds no post"]),
        ("\n\n", ["1: the file holds no post"]),
        (
            "IMGID:1\nAnn\tPER\n",
            [f"2: {why_no_tag('PER', 'Ann')}"],
        ),
        ("IMGID:1\nAnn\tX\n", ["2: tag 'X' of token 'Ann' is for a context, which a <EOS> of the same post must open"]),
        ("IMGID:1\na\tO\n<EOS>\tX\nb\tX\nc\tO\n", ["1: post '1' has tag 'O' after <EOS>, where all tokens are"]),
        ("IMGID:1\n<EOS>\tX\na\tX\n", ["1: post '1' has no token"]),
        ("IMGID:1\na\tO\n<EOS>\tO\nb\tO\nc\tX\n", ["1: post '1' has tag 'X' outside of a context"]),
        ("IMGID:1\na\tO\nAnn B-PER\n", ["3: expected TOKEN<TAB>TAG, found 1 column(s)"]),
        ("IMGID:1\nb\tO\na\tO\nAnn\tNN\tO\n", ["4: expected TOKEN<TAB>TAG, found 3 column(s)"]),
        ("IMGID:1\nAnn\tB-PER,B-PER\n", ["2: tag 'B-PER,B-PER' of token 'Ann' holds several tags in one"]),
        ("IMGID:1\nAnn\tB-PER|B-ORG\n", ["2: tag 'B-PER|B-ORG' of token 'Ann' holds several tags in one"]),
        ("IMGID:1\na\tO\nAnn\tB-PER/B-ORG\n", ["3: tag 'B-PER/B-ORG' of token 'Ann' holds several tags in one"]),
        ("IMGID:1\nAnn\t\n", ["2: tag '' of token 'Ann'"]),
        ("IMGID:1\n\tO\n", ["2: the token is empty"]),
        ("IMGID:1\n\nIMGID:2\na\tO\n", ["1: post '1' has no token"]),
        ("IMGID:\na\tO\n", ["1: 'IMGID:' without an id"]),
        ("IMGID:1\na\tO\n\nb\tO\n", ["4: a post begins without an 'IMGID:<id>' line"]),
        ("IMGID:1\na\tO\n\nIMGID:1\nb\tO\n", ["4: id '1' stands already in line 1"]),
        (b"IMGID:1\ncaf\xe9\tO\n", ["2: byte 0xe9 at position 3 is not UTF-8"]),
        ("IMGID:1\na\tO\n".encode("utf-16"), ["1: the file is UTF-16"]),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, content: str | bytes, found: list[str]) -> None:
    said = problems(write(tmp_path, content))
    assert len(said) == len(found)
    for line, start in zip(said, found, strict=True):
        assert line.startswith(start)


def test_a_file_without_ids_is_one_of_sentences(tmp_path: Path) -> None:
    dataset = load_split(str(write(tmp_path, "\nAnn\tB-PER\n\n\nb\tO\n")))
    assert [(example.text, example.images, len(example.gold)) for example in dataset.examples] == [
        ("Ann", (), 1),
        ("b", (), 0),
    ]
    prefix = dataset.sha256[:8]
    assert [example.id for example in dataset.examples] == [f"{prefix}-2", f"{prefix}-5"]


def test_the_text_in_a_comment_tells_the_blanks_between_tokens(tmp_path: Path) -> None:
    """As in CoNLL-U and Universal NER; joined with spaces, the post would be another one than people wrote."""
    told = (
        '# sent_id = w-1\n# text = "Ann"  left!\n1\t"\tO\t-\n2\tAnn\tB-PER\t-\n3\t"\tO\t-\n4\tleft\tO\t-\n5\t!\tO\t-\n'
    )
    other = "# sent_id = w-2\n# text = Bob lief\n1\tBob\tB-PER\t-\n2\tleft\tO\t-\n"
    dataset = load_split(f"conll:{write(tmp_path, told + chr(10) + other)}")
    first, second = dataset.examples
    assert (first.id, first.text) == ("w-1", '"Ann"  left!')
    [entity] = first.gold
    assert (entity.start, entity.end, entity.text) == (1, 4, "Ann")
    assert second.text == "Bob left"
    assert any("1 of 2 texts in comments give the blanks between tokens; the other posts" in x for x in dataset.notes)
    assert (
        load_split(f"conll:{write(tmp_path, told)}")
        .notes[-1]
        .endswith("1 of 1 texts in comments give the blanks between tokens")
    )


@pytest.mark.parametrize(("eos", "label"), [("X", "X"), ("B-X", "B-X"), ("O", "X"), ("O", "B-X"), ("X", "I-X")])
def test_what_follows_eos_is_a_context(tmp_path: Path, eos: str, label: str) -> None:
    rows = f"IMGID:1\nAnn\tB-PER\n<EOS>\t{eos}\ntwo\t{label}\nmen\t{label}\n\nIMGID:2\n<EOS>\tO\nb\tO\n"
    first, second = load_split(str(write(tmp_path, rows)), missing_image="keep").examples
    assert (first.text, first.tokens, [entity.text for entity in first.gold]) == ("Ann", ("Ann",), ["Ann"])
    assert first.context == Context(caption="two men")
    assert (second.text, second.context) == ("<EOS> b", None)


def test_an_empty_context_is_none(tmp_path: Path) -> None:
    [example] = load_split(str(write(tmp_path, "IMGID:1\na\tO\n<EOS>\tX\n")), missing_image="keep").examples
    assert (example.text, example.context) == ("a", None)


def test_all_problems_of_all_files_are_said_at_once(tmp_path: Path) -> None:
    train = write(tmp_path, "IMGID:1\na\tx\nb\tY\n")
    dev = write(tmp_path, "IMGID:2\na\tO\n\nIMGID:3\n", "valid.txt")
    with pytest.raises(DataError) as error:
        load(str(train.parent))
    # One of them is the picture of post 2: posts that are spoiled are not looked at any more.
    assert "4 problem(s)" in str(error.value)
    for place in (
        f"{train}:2: ",
        f"{train}:3: ",
        f"{dev}:4: ",
        f"{dev}: 1 of 1 pictures are missing (2.jpg)",
    ):
        assert place in str(error.value)
