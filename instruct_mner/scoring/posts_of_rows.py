"""Posts of the gold that rows of other programs are of.

They are matched by their ids where all are those of the gold, else by their order where each holds the text of its
post, else by their texts, where rows of one text hold the same. Rows with neither ids nor texts have nothing but their
order, and that is told.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from instruct_mner.data.importing.roles import are_tags
from instruct_mner.errors import DataError, listing
from instruct_mner.schema.records import Example
from instruct_mner.scoring.other_texts import squeezed
from instruct_mner.scoring.pairing import named_ids

Row = Mapping[str, Any]

ANSWERS = ("predict", "response", "prediction", "output", "generated_text", "completion")
"""Fields in which answers of models are kept as text."""

_USERS = frozenset({"user", "human"})
_MEND = "score predictions against the file that they were made from"


def is_answer(row: Row) -> bool:
    """Return whether a row holds the answer of a model as text."""
    return answer_of(row) is not None


def answer_of(row: Row) -> str | None:
    """Return the answer of a model in a row; ``None`` where there is none. Tags in a string are no answer."""
    texts = (row[name] for name in ANSWERS if isinstance(row.get(name), str))
    return next((text for text in texts if not are_tags(text)), None)


def match_posts(path: Path, rows: Sequence[Row], posts: Sequence[Example]) -> list[Example]:
    """Return the post of each row.

    Args:
        path: File of the rows, for messages.
        rows: Rows of the file.
        posts: The gold.

    Raises:
        DataError: Ids and texts do not tell which post each row is of, or they contradict each other.
    """
    by_id = {post.id: post for post in posts}
    ids = ["" if row.get("id") is None else str(row["id"]) for row in rows]
    questions = [None if (question := _question(row)) is None else squeezed(question) for row in rows]
    if all(identifier in by_id for identifier in ids):
        _check_questions(path, rows, questions, [by_id[identifier] for identifier in ids], posts)
        return [by_id[identifier] for identifier in ids]
    if any(ids) and (None in questions or (len(rows) != len(posts) and not by_id.keys().isdisjoint(ids))):
        raise DataError(_foreign_ids(path, ids, posts))
    if len(rows) != len(posts):
        raise DataError(
            f"{path}: its {len(rows)} rows have no ids of the gold, which has {len(posts)} posts; rows are matched by "
            "their order and texts, so there must be one for each post"
        )
    texts = [squeezed(post.text) for post in posts]
    wrong = [number for number, question in enumerate(questions) if question is not None
             and texts[number] not in question]  # fmt: skip
    order = _by_text(questions, texts) if wrong else range(len(posts))
    if order is None:
        raise DataError(
            f"{path}: row {wrong[0] + 1} is not that of post {posts[wrong[0]].id!r}, and texts do not tell which post "
            f"each row is of: its question {(_question(rows[wrong[0]]) or '')[-80:]!r} does not hold "
            f"{posts[wrong[0]].text[:60]!r}; {_MEND}"
        )
    if wrong:
        _check_equal_texts(path, rows, order, posts)
    for line in _notes(path, ids, questions, by_id):
        print(line, file=sys.stderr)
    return [posts[number] for number in order]


def _notes(path: Path, ids: Sequence[str], questions: Sequence[str | None], by_id: Mapping[str, Example]) -> list[str]:
    """Return the lines on rows whose posts neither their ids nor their texts tell alone."""
    lines = []
    if num_without := questions.count(None):
        lines.append(f"{path}: {num_without} of {len(ids)} rows hold neither an id nor the text of their post, and are "
                     "taken in the order of the gold")  # fmt: skip
    foreign = [identifier for identifier in ids if identifier not in by_id]
    if any(ids) and len(foreign) < len(ids):
        lines.append(f"{path}: {len(foreign)} of {len(ids)} rows have no id of the gold, the first is {foreign[0]!r}; "
                     "all rows are matched by their texts")  # fmt: skip
    return lines


def _foreign_ids(path: Path, ids: Sequence[str], posts: Sequence[Example]) -> str:
    """Return the message on ids that are not all those of the gold."""
    known = {post.id for post in posts}
    problems = [
        *named_ids("row(s) whose id the gold does not have", (each for each in ids if each and each not in known)),
        *([f"{ids.count('')} row(s) without an id"] if "" in ids else []),
        *named_ids("post(s) of the gold without a row", (post.id for post in posts if post.id not in set(ids))),
    ]
    return (
        f"{path}: its ids are not those of the gold; mend them (without ids, rows are matched by the text of their "
        f"post, one for each post):\n{listing(problems)}"
    )


def _check_questions(
    path: Path, rows: Sequence[Row], questions: Sequence[str | None], matched: Sequence[Example],
    posts: Sequence[Example],
) -> None:  # fmt: skip
    """Refuse rows with ids that were asked about other posts, as many files have the ids 1 and 2.

    A question that holds no text of a post may be cut, or its text changed by the template: that is told.
    """
    # The own text of a row of entities is compared where its entities are placed.
    asked = [(number, question, matched[number]) for number, question in enumerate(questions) if question is not None
             and (is_answer(rows[number]) or not isinstance(rows[number].get("text"), str))]  # fmt: skip
    lacking = [(number, question, post) for number, question, post in asked if squeezed(post.text) not in question]
    if not lacking:
        return
    others = {squeezed(post.text) for post in posts} - {""}
    contradicted = next((each for each in lacking if any(text in each[1] for text in others)), None)
    number, _, post = contradicted or lacking[0]
    first = (
        f"the question of row {number + 1}, {(_question(rows[number]) or '')[-60:]!r}, does not hold "
        f"{post.text[:60]!r} of post {post.id!r}"
    )
    found = f"{path}: {len(lacking)} of {len(asked)} rows were not asked about the post of their id"
    if contradicted or len(lacking) == len(asked):
        raise DataError(f"{found}: {first}; {_MEND}, or take out the ids")
    print(f"{found} as it stands, but scored on it: {first} (is it cut?)", file=sys.stderr)


def _by_text(questions: Sequence[str | None], texts: Sequence[str]) -> Sequence[int] | None:
    """Return the post of each question whose text it holds, the longest; ``None`` where that is no matching."""
    order: list[int] = []
    by_length = sorted(range(len(texts)), key=lambda number: -len(texts[number]))
    taken: set[int] = set()
    for question in questions:
        if question is None:
            return None
        found_at = next((number for number in by_length if number not in taken and texts[number] in question), None)
        if found_at is None:
            return None
        taken.add(found_at)
        order.append(found_at)
    return order


def _check_equal_texts(path: Path, rows: Sequence[Row], order: Sequence[int], posts: Sequence[Example]) -> None:
    """Refuse rows in another order than the gold of which some have one text and different predictions."""
    first_of: dict[str, int] = {}
    for number, place in enumerate(order):
        first = first_of.setdefault(squeezed(posts[place].text), number)
        if _predicted(rows[first]) != _predicted(rows[number]):
            raise DataError(
                f"{path}: rows {first + 1} and {number + 1} have the same text, {posts[place].text[:60]!r}, and "
                f"different predictions, one of them for post {posts[place].id!r}: nothing tells which, as the rows "
                "are not in the order of the gold; give each row the id of its post, or bring them into that order"
            )


def _predicted(row: Row) -> list[Any]:
    return [row.get(name) for name in (*ANSWERS, "entities", "rejected")]


def _question(row: Row) -> str | None:
    """Return the text that a row was asked about, or its own; ``None`` where it holds neither."""
    if isinstance(row.get("prompt"), str):
        return str(row["prompt"])
    messages = row.get("messages")
    if isinstance(messages, list):
        return "\n".join(str(each.get("content", "")) for each in messages
                         if isinstance(each, dict) and each.get("role") in _USERS)  # fmt: skip
    own = [row[name] for name in ("instruction", "input", "query", "text") if row.get(name)]
    return "\n".join(map(str, own)) if own else None
