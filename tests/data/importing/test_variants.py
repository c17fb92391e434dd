"""Variants of all kinds of misreadings: each file is read right, or refused with a word of the reason."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from door_variants import Variant, offsets, tables, tags

from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.errors import MnerError

VARIANTS = (*offsets.VARIANTS, *tags.VARIANTS, *tables.VARIANTS)


@pytest.mark.parametrize("variant", [pytest.param(each, id=f"{each.kind}: {each.name}") for each in VARIANTS])
def test_a_variant_is_read_right_or_refused(variant: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("set")
    files = {variant.file: variant.content} if isinstance(variant.content, str | bytes) else variant.content
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    options = ImportOptions(images=folder / "images" if "images" in variant.options else None)
    out = Path("out.jsonl")
    if variant.refused is not None:
        with pytest.raises(MnerError) as refused:
            import_file(str(folder / variant.file), out, options)
        assert re.search(variant.refused, str(refused.value)), refused.value
        assert not out.exists()
        return
    notes = "\n".join(import_file(str(folder / variant.file), out, options).notes)
    posts = [json.loads(line) for line in out.read_text().split("\n") if line]
    read = [
        (
            post["text"],
            [(each["start"], each["end"], each["label"]) for each in post["entities"]] if "entities" in post else None,
        )
        for post in posts
    ]
    assert read == variant.right
    assert variant.note is None or re.search(variant.note, notes), notes
    assert variant.pictures is None or tuple(posts[0]["images"]) == variant.pictures


def test_each_kind_has_many_variants() -> None:
    """What was searched: the kinds, and the number of variants of each."""
    kinds = Counter(each.kind for each in VARIANTS)
    assert len({(each.kind, each.name) for each in VARIANTS}) == len(VARIANTS)
    assert min(kinds.values()) >= 7, kinds
    assert len(VARIANTS) >= 250
