"""Answers: what the model writes, and how it is read back.

An :class:`AnswerSpec` is everything on which the two sides must agree. It renders gold answers for training,
parses completions, and makes the grammar that lets a model write nothing but answers that parse. How entities are
written is one class a format: :class:`Lines` and :class:`Json`.
"""

from instruct_mner.answers.answer import Answer, AnswerEntity
from instruct_mner.answers.json_array import Json
from instruct_mner.answers.lines import NO_ENTITIES, Lines
from instruct_mner.answers.spec import AnswerSpec, FormatName

__all__ = ["NO_ENTITIES", "Answer", "AnswerEntity", "AnswerSpec", "FormatName", "Json", "Lines"]
