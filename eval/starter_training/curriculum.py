"""Which exercises a lesson is made of: how often with a picture, under which names, about which posts."""

from __future__ import annotations

from collections.abc import Callable

from eval.starter_training.auxiliary_samples import define, describe, questions, repeat
from eval.starter_training.sample_makers import Teacher
from eval.starter_training.samples import Asked, Exercise
from eval.starter_training.train import BATCH
from instruct_mner.synthetic.label_sets import COARSE, FINE, HOME, Domain

# Exercises are made so many batches at a time, to be sorted by length.
AT_ONCE = 4


# Shares of the domains at each level.
SHARES = {0: {COARSE: 1.0}, 1: {COARSE: 0.5, FINE: 0.25, HOME: 0.25}}


def curriculum(teacher: Teacher) -> dict[str, Callable[[], list[Exercise]]]:
    """What makes the exercises of each lesson, some batches at a time."""
    rng, count = teacher.rng, BATCH * AT_ONCE
    shares = SHARES[teacher.posts[0].synthesis.level]

    def domain() -> Domain:
        return rng.choices(list(shares), list(shares.values()))[0] if len(shares) > 1 else next(iter(shares))

    def order(of: Domain) -> list[int]:
        return rng.sample(range(len(of.types)), len(of.types))

    def asked(*, grounded: bool = False) -> Asked:
        types = domain()
        return teacher.ask(types, order=order(types), defined=rng.random() < 0.3, grounded=grounded)

    def renamed() -> Asked:
        types = domain()
        names = teacher.random_names(len(types.types))
        return teacher.ask(types, names=names, order=order(types), defined=True)

    def picture(own: float) -> str:
        return "own" if rng.random() < own else "other"

    def rich(of: Domain) -> int:
        return teacher.pick(rng.choices(("lettered", "several", "shown"), (0.4, 0.45, 0.15))[0], of)

    def shared(ask: Callable[[], Asked], one: Callable[[Asked], Exercise]) -> Callable[[], list[Exercise]]:
        def make() -> list[Exercise]:
            prompt = ask()
            return [one(prompt) for _ in range(count)]

        return make

    def single(one: Callable[[], Exercise]) -> Callable[[], list[Exercise]]:
        return lambda: [one() for _ in range(count)]

    def tag(ask: Asked, shown: str) -> Exercise:
        return teacher.tag(teacher.pick("any", ask.domain), ask, picture=shown)

    return {
        "grounded": shared(lambda: asked(grounded=True), lambda ask: tag(ask, picture(0.85))),
        "tag": shared(asked, lambda ask: tag(ask, picture(0.8))),
        "text": shared(asked, lambda ask: tag(ask, "none")),
        "linked": shared(asked, lambda ask: teacher.linked(rich(ask.domain), ask)),
        "retag": shared(renamed, lambda ask: tag(ask, picture(0.85))),
        "retext": shared(renamed, lambda ask: tag(ask, "none")),
        "relinked": shared(renamed, lambda ask: teacher.linked(rich(ask.domain), ask)),
        "questions": single(lambda: questions(teacher, rich(domain()))),
        "describe": single(lambda: describe(teacher, teacher.pick("shown", domain()))),
        "repeat": single(lambda: repeat(teacher)),
        "define": single(lambda: define(teacher, domain())),
    }
