"""Pictures whose bytes stand in their rows, from every tool that writes such rows."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import instruct_mner
from instruct_mner.data.importing.inline_pictures import FOLDER, InlinePictures, is_inline, with_short_pictures
from instruct_mner.data.importing.run import import_and_split, import_file
from instruct_mner.data.importing.sources import Source
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError, DataError

TEXT = "Ann met Bo"
SPAN = {"start": 0, "end": 3, "label": "PER"}
RECTANGLE = {
    "type": "rectanglelabels", "original_width": 40, "original_height": 20,
    "value": {"x": 25, "y": 50, "width": 25, "height": 25, "rectanglelabels": ["PER"]},
}  # fmt: skip


def content_of(form: str = "PNG", size: tuple[int, int] = (40, 20), colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, form)
    return file.getvalue()


def url_of(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def chat(url: str) -> object:
    content = [{"type": "text", "text": f"Post: {TEXT}"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = {"role": "assistant", "content": '[{"text": "Ann", "label": "PER"}]'}
    return {"messages": [{"role": "user", "content": content}, answer]}


def label_studio(url: str) -> object:
    span = {"type": "labels", "value": {**SPAN, "text": "Ann", "labels": ["PER"]}}
    return [{"id": 5, "data": {"text": TEXT, "image": url}, "annotations": [{"result": [span, RECTANGLE]}]}]


def argilla(url: str) -> object:
    responses = {"entities": [{"value": [SPAN], "user_id": "u"}]}
    return [{"id": "7", "fields": {"text": TEXT, "image": url}, "metadata": {}, "suggestions": {},
             "responses": responses, "status": "completed"}]  # fmt: skip


ROWS: dict[str, tuple[str, Callable[[str], object], ImportOptions]] = {
    "native": ("a.jsonl", lambda url: {"id": "1", "text": TEXT, "images": [url], "entities": []}, ImportOptions()),
    "columns": ("a.jsonl", lambda url: {"text": TEXT, "image": url, "entities": [SPAN]}, ImportOptions()),
    "object": ("a.jsonl", lambda url: {"text": TEXT, "image": {"bytes": url, "path": None}}, ImportOptions()),
    "prodigy": ("a.jsonl", lambda url: {"text": TEXT, "spans": [SPAN], "answer": "accept", "image": url},
                ImportOptions()),
    "chat": ("a.jsonl", chat, ImportOptions(text_after="Post:")),
    "label-studio": ("a.json", label_studio, ImportOptions()),
    "argilla": ("a.json", argilla, ImportOptions()),
    "table": ("a.csv", lambda url: f'text,image\n{TEXT},"{url}"\n', ImportOptions()),
}  # fmt: skip


def write(folder: Path, kind: str, url: str) -> Path:
    name, row, _ = ROWS[kind]
    value = row(url)
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value) + "\n")
    return folder / name


@pytest.mark.parametrize("kind", ROWS)
def test_pictures_become_files_beside_the_posts(kind: str, tmp_path: Path) -> None:
    content = content_of()
    imported = import_file(str(write(tmp_path, kind, url_of(content))), tmp_path / "out.jsonl", ROWS[kind][2])
    [picture] = (tmp_path / FOLDER).iterdir()
    assert picture.read_bytes() == content
    assert picture.suffix == ".png"
    assert any("1 picture(s) whose bytes stand in the row are written into" in note for note in imported.notes)
    assert not any("are not there" in note for note in imported.notes)
    dataset = load_split(str(tmp_path / "out.jsonl"))
    [example] = dataset.examples
    assert (example.text, example.images) == (TEXT, (f"{FOLDER}/{picture.name}",))
    if kind == "label-studio":
        [entity] = example.gold
        assert [box.box for box in entity.boxes or ()] == [(10, 10, 20, 15)]


@settings(max_examples=30, deadline=None)
@given(
    form=st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP"]),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    head=st.sampled_from(["data:image/png;base64,", "data:;base64,", "DATA:image/jpeg;name=a.jpg;BASE64,", ""]),
    every=st.integers(20, 90),
)
def test_the_bytes_are_kept_however_they_are_written(
    tmp_path_factory: pytest.TempPathFactory, form: str, size: tuple[int, int], head: str, every: int
) -> None:
    content = content_of(form, size)
    text = base64.b64encode(content).decode()
    lines = head + "\n".join(text[start : start + every] for start in range(0, len(text), every))
    if not head and (form == "BMP" or len(lines) <= 255):
        return  # nothing tells these from the name of a file
    assert is_inline(lines)
    assert is_inline(str(with_short_pictures(lines)))
    folder = tmp_path_factory.mktemp("pictures")
    with InlinePictures(folder) as pictures:
        name = pictures.keep(lines)
        assert name is not None
        assert pictures.keep(lines) == name
        pictures.place()
    assert (folder / name).read_bytes() == content
    assert [path.name for path in folder.iterdir()] == [FOLDER]


@pytest.mark.parametrize(
    "name",
    ["a.png", "/9j/a.jpg", "pics/R0lGOD.gif", f"/9j/{'deep/' * 60}a.jpg", "https://x.org/a.png", "iVBORw0KGgo", ""],
)
def test_names_of_files_are_no_pictures(name: str) -> None:
    assert not is_inline(name)
    assert with_short_pictures([name]) == [name]


@pytest.mark.parametrize(
    "url", ["data:x", "data:image/png;base64,AA", "data:image/png;base64,%%%", "data:image/svg+xml;utf8,<svg/>",
            url_of(content_of()[:60]), url_of(b"%PDF-1.7")]
)  # fmt: skip
def test_what_is_no_picture_is_left_out_and_counted(url: str, tmp_path: Path) -> None:
    imported = import_file(str(write(tmp_path, "prodigy", url)), tmp_path / "out.jsonl", ImportOptions())
    [note] = (note for note in imported.notes if "left out" in note)
    assert note.endswith("left out: 1 picture(s) whose bytes stand in the row and cannot be read")
    assert json.loads((tmp_path / "out.jsonl").read_text())["images"] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "out.jsonl"]


def test_no_box_stays_on_a_picture_that_is_left_out(tmp_path: Path) -> None:
    source = write(tmp_path, "label-studio", url_of(b"%PDF-1.7"))
    with pytest.raises(DataError, match="has boxes, and a picture whose bytes stand in the row and cannot be kept"):
        import_file(str(source), tmp_path / "out.jsonl", ImportOptions())


def test_without_a_file_nothing_can_stand_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path, "prodigy", url_of(content_of()))
    imported = import_file(str(source), None, ImportOptions())
    assert any("left out: 1 picture(s) whose bytes stand in the row; name a file (-o)" in n for n in imported.notes)
    assert json.loads(capsys.readouterr().out)["images"] == []


def test_nothing_is_written_where_a_post_is_wrong(tmp_path: Path) -> None:
    source = write(tmp_path, "columns", url_of(content_of()))
    with source.open("a") as file:
        file.write(json.dumps({"text": TEXT, "image": "", "entities": [{**SPAN, "end": 99}]}) + "\n")
    with pytest.raises(DataError):
        import_file(str(source), tmp_path / "out.jsonl", ImportOptions())
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("")
    source = write(tmp_path, "prodigy", url_of(content_of()))
    with pytest.raises(DataError, match="pictures cannot be written: File exists; choose another output"):
        import_file(str(source), tmp_path / "out.jsonl", ImportOptions())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", FOLDER]


def test_pictures_of_two_splits_lie_in_one_folder(tmp_path: Path) -> None:
    rows = [{"text": f"{TEXT} {n}", "image": url_of(content_of(colour=f"rgb({n},0,0)"))} for n in range(10)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_and_split(str(tmp_path / "a.jsonl"), tmp_path / "out", ImportOptions(), 0.3, 0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dev.jsonl", FOLDER, "train.jsonl"]
    for split, number in (("train", 7), ("dev", 3)):
        dataset = load_split(str(tmp_path / "out" / f"{split}.jsonl"))
        assert len(dataset.examples) == number
        assert not dataset.missing_images


def test_a_split_that_cannot_be_made_leaves_no_picture(tmp_path: Path) -> None:
    source, out = write(tmp_path, "columns", url_of(content_of())), tmp_path / "out"
    with pytest.raises(ConfigError, match="none can be held out"):
        import_and_split(str(source), out, ImportOptions(), 0.1, 0)
    assert not out.exists()
    (out / FOLDER).mkdir(parents=True)
    (out / FOLDER / "own.png").write_bytes(content_of())
    with pytest.raises(ConfigError, match="none can be held out"):
        import_and_split(str(source), out, ImportOptions(), 0.1, 0)
    assert [path.name for path in (out / FOLDER).iterdir()] == ["own.png"]


def test_the_head_of_a_file_holds_only_the_beginnings_of_its_pictures(tmp_path: Path) -> None:
    url = url_of(content_of(size=(3, 3)) + bytes(100_000))
    [row] = Source(write(tmp_path, "prodigy", url)).head
    assert len(row["image"]) < 1_000
    assert is_inline(row["image"])


def test_load_keeps_them_where_they_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    content = content_of()
    [post] = instruct_mner.load(write(tmp_path, "columns", url_of(content)))
    [name] = post.images
    assert Path(name).read_bytes() == content
    assert Path(name).is_relative_to(tmp_path / "cache")
    assert f"are written into {tmp_path / 'cache'}" in capsys.readouterr().err


def test_a_native_file_with_pictures_in_its_rows_says_how_to_read_them(tmp_path: Path) -> None:
    source = write(tmp_path, "native", url_of(content_of()))
    with pytest.raises(DataError, match="their bytes stand in the row, which 'instruct-mner import' writes into files"):
        load_split(str(source))
