r"""Conversations: UniversalNER's questions are known; elsewhere the user says where the text stands.

UniversalNER, and a row of ShareGPT, LLaMA-Factory or ms-swift (shortened)::

    {"conversations": [{"from": "human", "value": "Text: Anna left"}, {"from": "gpt", "value": "I've read this text."},
      {"from": "human", "value": "What describes PER in the text?"}, {"from": "gpt", "value": "[\"Anna\"]"}]}
    {"instruction": "List the entities.", "input": "Anna left", "output": "[{\"text\": \"Anna\", \"label\": \"PER\"}]"}
    {"messages": [{"role": "user", "content": "<image>Types: PER. Post: Anna left"},
      {"role": "assistant", "content": "[{\"text\": \"Anna\", \"label\": \"PER\", \"box\": <bbox>}]"}],
      "images": ["7.jpg"], "objects": {"ref": ["Anna"], "bbox": [[10, 20, 60, 80]]}}

A message of the user that the assistant answers directly is a post, where it holds the text; what is of no post is
counted. The prompt around the text is not read. Boxes of ms-swift's ``objects`` are those of the mention that ``ref``
names, or stand where ``<bbox>`` does.

Source: https://universal-ner.github.io, https://github.com/hiyouga/LLaMA-Factory/tree/main/data,
https://swift.readthedocs.io/en/latest/Customization/Custom-dataset.html
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from instruct_mner.data.importing import grounding
from instruct_mner.data.importing.bare_answers import THINKS, bare_answer
from instruct_mner.data.importing.chat_pictures import pictures_of, without_places
from instruct_mner.data.importing.chat_turns import ASSISTANT, LISTS, SYSTEM, USER, Turn, turns_of
from instruct_mner.data.importing.generic import as_id, flat_meta
from instruct_mner.data.importing.marks import marks_of_type, to_marks
from instruct_mner.data.importing.posts import Mark, RawPost
from instruct_mner.data.lenient import loads

_READ = frozenset({"images", "image", "id", "objects"})
_PROMPT = frozenset({"system", "tools"})
_UNREAD = ("videos", "audios", "rejected_response")
_QUESTION = re.compile(r"What describes (.+?) in the text\?")
_TEXT = "Text: "
HOW_TO_SAY = (
    "say what stands before the text of the post: --text-after 'Post: ', or --text-after '' where the message is the "
    'text alone (instruct-mner import); its answer must be a JSON list, [{"text": "Anna", "label": "PER"}]'
)


class _Read(NamedTuple):
    """A post of a conversation.

    Attributes:
        turn: Number of the turn with its text.
        text: Text of the post.
        marks: Entities of the answer.
        used: Numbers of all turns that it was read from.
    """

    turn: int
    text: str
    marks: tuple[Mark, ...]
    used: frozenset[int]


def of_chat(row: Mapping[str, Any], where: str, text_after: str | None, left_out: Counter[str]) -> list[RawPost]:
    """Read the posts of a conversation.

    Args:
        row: The row.
        where: File and row, for messages.
        text_after: Words in the message of the user after which the text of a post begins; empty where the message is
            the text.
        left_out: Counts of what is not read, which are added to.

    Raises:
        ValueError: Where text and answer stand is not known, a text has no answer or none that is a list of entities,
            or nobody can tell of which post a picture is.
    """
    objects = grounding.objects_of(row)
    turns, columns = turns_of(row, left_out)
    turns = grounding.filled(turns, objects)
    if text_after or (text_after is not None and not row.get("input")):
        read = _behind(text_after, turns)
    elif text_after is None and _is_universal(turns):
        read = _universal(turns)
    else:
        read = [_of_input(row, turns)]
    if objects and len(read) > 1:
        raise ValueError(f"of which of the {len(read)} posts of the conversation its 'objects' are nobody can tell; "
                         "write a conversation for each post")  # fmt: skip
    used = frozenset().union(*(each.used for each in read))
    others = (who for number, (who, _) in enumerate(turns) if number not in used and who != SYSTEM)
    left_out.update(f"message(s) of {who!r} that are of no post" for who in others)
    left_out.update(f"field(s) {name!r}" for name in _UNREAD if row.get(name))
    known = columns | _READ | _PROMPT | {*_UNREAD}
    meta = flat_meta({name: value for name, value in row.items() if name not in known and value is not None})
    ids = _ids(as_id(row.get("id")), len(read))
    pictures = pictures_of(row, turns, [each.turn for each in read])
    return [
        RawPost(
            where=where,
            id=identifier,
            text=each.text,
            marks=grounding.with_boxes(each.marks, objects),
            images=images,
            meta=meta,
        )
        for each, identifier, images in zip(read, ids, pictures, strict=True)
    ]


def _ids(identifier: str | int | None, number: int) -> Sequence[str | int | None]:
    """Return the id of each post of a conversation, which are numbered where there are several."""
    if identifier is None or number == 1:
        return [identifier] * number
    return [f"{identifier}-{each}" for each in range(1, number + 1)]


def _behind(words: str, turns: Sequence[Turn]) -> list[_Read]:
    """Read a post of each message of the user that holds the words (none: of each), and of the answer behind it."""
    read = []
    for number, (who, message) in enumerate(turns):
        if who != USER or words not in message:
            continue
        text = message.partition(words)[2] if words else message
        if words and words in text:
            raise ValueError(
                f"a message holds {words!r} {message.count(words)} times, and behind which of them the text begins "
                "nobody can tell; say more of what stands before it (--text-after), or take the row out"
            )
        marks = _marks(_answer(turns, number))
        read.append(_Read(number, without_places(text).strip(), marks, frozenset({number, number + 1})))
    if not read:
        raise ValueError(f"no message of the user{f' holds {words!r}' if words else ''}; {HOW_TO_SAY}")
    return read


def _is_universal(turns: Sequence[Turn]) -> bool:
    questions = [message for who, message in turns if who == USER]
    return bool(questions) and questions[0].startswith(_TEXT) and any(map(_QUESTION.search, questions))


def _universal(turns: Sequence[Turn]) -> list[_Read]:
    """Read a post of each text, with the answers to the questions about it."""
    read: list[_Read] = []
    for number, (who, message) in enumerate(turns):
        question = _QUESTION.search(message)
        if who != USER:
            continue
        if message.startswith(_TEXT):
            confirmed = {number + 1} if _is_answered(turns, number) else set()
            read.append(_Read(number, without_places(message[len(_TEXT) :]), (), frozenset({number} | confirmed)))
        elif question is not None:
            marks = _surfaces(_answer(turns, number), question.group(1))
            last = read[-1]
            read[-1] = last._replace(marks=last.marks + marks, used=last.used | {number, number + 1})
    for each in read:
        if max(each.used) <= each.turn + 1:
            raise ValueError(f"no question follows the text {each.text[:60]!r}; take it out, or ask for its entities")
    return read


def _of_input(row: Mapping[str, Any], turns: Sequence[Turn]) -> _Read:
    """Read the input of an instruction, and its output."""
    text = row.get("input")
    if not isinstance(text, str) or not text.strip() or "output" not in row or any(map(row.get, LISTS)):
        raise ValueError(f"where in this conversation the text stands nobody can tell; {HOW_TO_SAY}")
    number = len(turns) - 2
    return _Read(number, without_places(text), _marks(_answer(turns, number)), frozenset({number, number + 1}))


def _is_answered(turns: Sequence[Turn], number: int) -> bool:
    return number + 1 < len(turns) and turns[number + 1][0] == ASSISTANT


def _answer(turns: Sequence[Turn], number: int) -> str:
    """Return the answer to a message, without a thought before it and a fence around it."""
    message = turns[number][1]
    if not _is_answered(turns, number):
        raise ValueError(f"the message {message[-60:]!r} is not followed by an answer of the assistant; add it, or "
                         "take the message out")  # fmt: skip
    answer = bare_answer(turns[number + 1][1])
    if answer is None:
        raise ValueError(f"the answer to {message[-60:]!r} ends within {THINKS}; take the message out")
    return answer


def _marks(answer: str) -> tuple[Mark, ...]:
    try:
        return to_marks(loads(answer))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the answer {answer[:60]!r} is no JSON list of entities ({error}); {HOW_TO_SAY}") from None


def _surfaces(answer: str, label: str) -> tuple[Mark, ...]:
    try:
        return marks_of_type(label, loads(answer))
    except (ValueError, RecursionError):
        raise ValueError(f"the answer {answer[:60]!r} is no JSON list of texts") from None
