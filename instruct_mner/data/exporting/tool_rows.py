r"""Rows of JSON for other tools: Label Studio, doccano, spaCy and ShareGPT; see ``importing`` for their keys.

Gold becomes annotations of Label Studio, predictions become its pre-annotations, with their scores.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from instruct_mner.data.exporting.label_studio import results_of
from instruct_mner.data.exporting.posts import ExportedPosts, Post, json_line
from instruct_mner.errors import DataError
from instruct_mner.schema.certainty import certainty
from instruct_mner.schema.offsets import is_word_character
from instruct_mner.schema.records import Prediction

Row = Mapping[str, object]

# Fields of a task of Label Studio that are the post's own, also where it has no picture.
_TASK_FIELD = re.compile(r"text|post_id|image(_\d+)?")

TEXT_AFTER = "Text of the post:\n"
"""Words of a conversation after which the text stands; ``import`` takes them as ``--text-after``."""


def write_list(rows: Iterator[object]) -> Iterator[str]:
    """Yield a JSON list, one row a line."""
    yield "["
    for number, row in enumerate(rows):
        yield (",\n" if number else "\n") + json.dumps(row, ensure_ascii=False)
    yield "\n]\n"


def doccano(posts: ExportedPosts) -> Iterator[str]:
    """Yield lines of doccano: the text, ``[start, end, label]`` of each entity, and further columns."""
    for post in posts.posts:
        row: dict[str, object] = {"id": post.id, "text": post.text}
        if post.entities is not None:
            row["label"] = [[each.start, each.end, each.label] for each in post.entities]
        yield json_line({**row, **_others(post)})


def spacy(posts: ExportedPosts) -> Iterator[str]:
    """Yield spaCy's training data: a text and ``{"entities": [[start, end, label]]}`` each."""
    yield from write_list(
        [post.text, {} if post.entities is None else {"entities": [[e.start, e.end, e.label] for e in post.entities]}]
        for post in posts.posts
    )


def note_on_tokens(posts: ExportedPosts) -> str | None:
    """Return a line on mentions that a tokenizer of spaCy may not have as tokens; ``None`` where there are none.

    Source: https://spacy.io/api/doc#char_span; ``Example.from_dict`` leaves such mentions out with the warning W030.
    """
    number = sum(
        any(_is_within_word(post.text, index) for index in (entity.start, entity.end))
        for post in posts.posts
        for entity in post.entities or ()
    )
    return (
        f"{posts.name}: {number} mention(s) begin or end between two letters or digits: spaCy leaves them out (W030) "
        "where its tokenizer does not cut there; choose one that does, such as spacy.blank('zh') for Chinese"
        if number
        else None
    )


def _is_within_word(text: str, index: int) -> bool:
    return 0 < index < len(text) and all(map(is_word_character, text[index - 1 : index + 1]))


def with_other_names(meta: Row | None, own: re.Pattern[str]) -> Row:
    """Return ``meta`` whose names are none of the format's own: these get ``meta_`` in front.

    Args:
        meta: Further fields of a post.
        own: Names of the fields that the format has itself.
    """
    named: dict[str, object] = {}
    for name, value in (meta or {}).items():
        other = name
        while own.fullmatch(other) or (other != name and other in (meta or {})):
            other = f"meta_{other}"
        named[other] = value
    return named


def _others(post: Post) -> Row:
    row: dict[str, object] = {"images": list(post.images)} if post.images else {}
    context = getattr(post, "context", None)
    if context is not None:
        row["context"] = context.model_dump(mode="json", exclude_none=True)
    if post.meta is not None:
        row["meta"] = post.meta
    return row


def sharegpt(posts: ExportedPosts) -> Iterator[str]:
    """Yield conversations of ShareGPT, as LLaMA-Factory and ms-swift train on them; answers are lists of entities.

    The instruction names the types of all splits, so that it is the same in each.

    Raises:
        DataError: No post is annotated.
    """
    if all(post.entities is None for post in posts.posts):
        raise DataError(
            f"{posts.name}: ShareGPT holds annotated posts, and none of these is one; choose another format"
        )
    ask = f"List the named entities of the post as JSON, with their types: {', '.join(posts.labels())}."
    yield from write_list(_conversation(post, ask) for post in posts.posts if post.entities is not None)


def _conversation(post: Post, ask: str) -> Row:
    answer = [
        {"text": entity.text, "label": entity.label}
        | ({} if entity.boxes is None else {"boxes": [box.model_dump(mode="json") for box in entity.boxes]})
        for entity in post.entities or ()
    ]
    pictures = "<image>" * len(post.images)
    turns = [("human", f"{pictures}{ask}\n{TEXT_AFTER}{post.text}"), ("gpt", json.dumps(answer, ensure_ascii=False))]
    row: dict[str, object] = {"id": post.id, "conversations": [{"from": who, "value": value} for who, value in turns]}
    if post.images:
        row["images"] = list(post.images)
    return row | ({} if post.meta is None else {"meta": post.meta})


def label_studio(posts: ExportedPosts) -> Iterator[str]:
    """Yield tasks of Label Studio.

    Boxes are in per cent of the sides of their picture, and related to their mention; those on a picture that is not
    there, or of a post with several, are left out. ``meta`` is carried along beside the text and the pictures.
    """
    yield from write_list(_task(post, posts) for post in posts.posts)


def _task(post: Post, posts: ExportedPosts) -> Row:
    names = ["image", *(f"image_{number}" for number in range(2, len(post.images) + 1))]
    own = {"text": post.text, "post_id": post.id, **dict(zip(names, post.images, strict=False))}
    data = {**own, **with_other_names(post.meta, _TASK_FIELD)}
    size = posts.size(post.images[0]) if len(post.images) == 1 else None
    results = results_of(post.entities or (), size)
    task: dict[str, object] = {"id": post.id, "data": data}
    if isinstance(post, Prediction):
        score = certainty(post.entities, post.rejected)
        task["predictions"] = [{"model_version": "instruct-mner", "score": score, "result": results}]
    else:
        task["annotations"] = [] if post.entities is None else [{"result": results}]
    return task
