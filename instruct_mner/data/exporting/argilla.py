r"""Records of Argilla, as ``dataset.records.from_json`` of its SDK 2 takes them: spans as suggestions.

A record (shortened)::

    {"id": "7", "fields": {"text": "Anna left", "image": "7.png"}, "metadata": {"images": ["7.png"]},
     "suggestions": {"entities": {"value": [{"label": "PER", "start": 0, "end": 4}], "score": [0.9], "agent": "…"}},
     "responses": {}, "vectors": {}, "status": "pending"}

Several spans need a list of scores, of the same length. Argilla has no rectangles, so boxes are left out.

Source: https://docs.argilla.io/latest/how_to_guides/import_export, and ``Record.from_dict`` and
``DatasetRecords.from_json`` of argilla 2.8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from instruct_mner.data.exporting.posts import ExportedPosts, Post
from instruct_mner.data.exporting.tool_rows import with_other_names, write_list
from instruct_mner.schema.records import Prediction

QUESTION = "entities"
"""Name of the span question that suggestions are for."""
GOLD_AGENT = "instruct-mner gold"
"""Agent of suggestions that are annotations; an export of Argilla tells the type of an agent by nothing else."""
_MODEL_AGENT = "instruct-mner"
_IMAGES = re.compile("images")
# Characters beyond these are two units of JavaScript's strings.
_LAST_OF_ONE_UNIT = 0xFFFF


def write(posts: ExportedPosts) -> Iterator[str]:
    """Yield a JSON list of records."""
    yield from write_list(map(_record, posts.posts))


def shifted_note(posts: ExportedPosts) -> str | None:
    """Return a line on mentions that Argilla's page shows at another place; ``None`` where there are none.

    Source: https://github.com/argilla-io/argilla/issues/5729. Can go when Argilla counts characters.
    """
    number = sum(
        any(ord(character) > _LAST_OF_ONE_UNIT for character in post.text[: entity.end])
        for post in posts.posts
        for entity in post.entities or ()
    )
    return (
        f"{posts.name}: {number} mention(s) stand after an emoji or another character that is two units of UTF-16, "
        "which Argilla's page counts: it shows them shifted; look at these"
        if number
        else None
    )


def _record(post: Post) -> Mapping[str, object]:
    names = ["image", *(f"image_{number}" for number in range(2, len(post.images) + 1))]
    record: dict[str, object] = {
        "id": post.id,
        "fields": {"text": post.text, **dict(zip(names, post.images, strict=False))},
        "metadata": {**with_other_names(post.meta, _IMAGES), **({"images": list(post.images)} if post.images else {})},
        "suggestions": {},
        "responses": {},
        "vectors": {},
        "status": "pending",
    }
    if post.entities is not None:
        spans = [{"label": each.label, "start": each.start, "end": each.end} for each in post.entities]
        suggestion: dict[str, object] = {"value": spans, "agent": GOLD_AGENT}
        if isinstance(post, Prediction):
            suggestion = {"value": spans, "score": [each.score for each in post.entities], "agent": _MODEL_AGENT}
        record["suggestions"] = {QUESTION: suggestion}
    return record
