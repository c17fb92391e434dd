"""Which exercises a lesson is made of: how often with a picture, under which names, about which posts."""

from __future__ import annotations

from collections.abc import Callable

from instruct_mner.starter.domains import COARSE
from instruct_mner.starter.exercises import Asked, Exercise
from instruct_mner.starter.learning import BATCH
from instruct_mner.starter.lessons import Teacher
from instruct_mner.starter.questions import define, describe, questions, repeat

# Exercises are made so many batches at a time, to be sorted by length.
AT_ONCE = 4


def curriculum(teacher: Teacher) -> dict[str, Callable[[], list[Exercise]]]:
    """What makes the exercises of each lesson, some batches at a time."""
    rng, count = teacher.rng, BATCH * AT_ONCE

    def asked() -> Asked:
        return teacher.ask(COARSE, order=rng.sample(range(4), 4), defined=rng.random() < 0.3)

    def renamed() -> Asked:
        return teacher.ask(COARSE, names=teacher.random_names(4), order=rng.sample(range(4), 4), defined=True)

    def located() -> Asked:
        return teacher.ask(COARSE, order=rng.sample(range(4), 4), defined=rng.random() < 0.3, grounded=True)

    def picture(own: float) -> str:
        return "own" if rng.random() < own else "other"

    def rich() -> int:
        return teacher.pick(rng.choices(("lettered", "several", "shown"), (0.4, 0.45, 0.15))[0])

    def shared(ask: Callable[[], Asked], one: Callable[[Asked], Exercise]) -> Callable[[], list[Exercise]]:
        def make() -> list[Exercise]:
            prompt = ask()
            return [one(prompt) for _ in range(count)]

        return make

    def single(one: Callable[[], Exercise]) -> Callable[[], list[Exercise]]:
        return lambda: [one() for _ in range(count)]

    return {
        "grounded": shared(located, lambda ask: teacher.tag(teacher.pick("any"), ask, picture=picture(0.85))),
        "tag": shared(asked, lambda ask: teacher.tag(teacher.pick("any"), ask, picture=picture(0.8))),
        "text": shared(asked, lambda ask: teacher.tag(teacher.pick("any"), ask, picture="none")),
        "linked": shared(asked, lambda ask: teacher.linked(rich(), ask)),
        "retag": shared(renamed, lambda ask: teacher.tag(teacher.pick("any"), ask, picture=picture(0.85))),
        "retext": shared(renamed, lambda ask: teacher.tag(teacher.pick("any"), ask, picture="none")),
        "relinked": shared(renamed, lambda ask: teacher.linked(rich(), ask)),
        "questions": single(lambda: questions(teacher, rich())),
        "describe": single(lambda: describe(teacher, teacher.pick("shown"))),
        "repeat": single(lambda: repeat(teacher)),
        "define": single(lambda: define(teacher, COARSE)),
    }
