"""Makers of training samples by kind: share with a picture, label names, posts."""

from __future__ import annotations

from collections.abc import Callable

from eval.starter_training.auxiliary_samples import boxes, define, describe, questions, repeat
from eval.starter_training.sample_makers import SampleMaker
from eval.starter_training.samples import LabelSetPrompt, Sample
from eval.starter_training.train import BATCH, SampleBatchMaker
from instruct_mner.synthetic.label_sets import COARSE, FINE, HOME, Domain

AT_ONCE = 4
"""Number of batches whose samples are made together, so that they can be sorted by length."""

SHARES = {0: {COARSE: 1.0}, 1: {COARSE: 0.5, FINE: 0.25, HOME: 0.25}}
"""Share of each domain at each level."""


def curriculum(maker: SampleMaker, batch: int | None = None) -> dict[str, SampleBatchMaker]:
    """Return, for each kind of sample, a function that makes some batches of it."""
    rng, count = maker.rng, (batch or BATCH) * AT_ONCE
    shares = SHARES[maker.posts[0].synthesis.level]

    def domain() -> Domain:
        return rng.choices(list(shares), list(shares.values()))[0] if len(shares) > 1 else next(iter(shares))

    def order(of: Domain) -> list[int]:
        return rng.sample(range(len(of.types)), len(of.types))

    def label_set_prompt(*, grounded: bool = False) -> LabelSetPrompt:
        types = domain()
        return maker.ask(types, order=order(types), defined=rng.random() < 0.3, grounded=grounded)

    def renamed() -> LabelSetPrompt:
        types = domain()
        names = maker.random_names(len(types.types))
        return maker.ask(types, names=names, order=order(types), defined=True)

    def picture(own: float) -> str:
        return "own" if rng.random() < own else "other"

    def rich(of: Domain) -> int:
        return maker.pick(rng.choices(("lettered", "several", "shown"), (0.4, 0.45, 0.15))[0], of)

    def shared(
        ask: Callable[[], LabelSetPrompt], one: Callable[[LabelSetPrompt], Sample]
    ) -> Callable[[], list[Sample]]:
        def make() -> list[Sample]:
            prompt = ask()
            return [one(prompt) for _ in range(count)]

        return make

    def single(one: Callable[[], Sample]) -> SampleBatchMaker:
        return lambda: [one() for _ in range(count)]

    def tag(ask: LabelSetPrompt, pictures: str) -> Sample:
        return maker.tag(maker.pick("any", ask.domain), ask, picture=pictures)

    return {
        "grounded": shared(lambda: label_set_prompt(grounded=True), lambda ask: tag(ask, picture(0.85))),
        "shown": shared(
            lambda: label_set_prompt(grounded=True), lambda ask: maker.tag(maker.pick("shown", ask.domain), ask)
        ),
        "tag": shared(label_set_prompt, lambda ask: tag(ask, picture(0.8))),
        "text": shared(label_set_prompt, lambda ask: tag(ask, "none")),
        "linked": shared(label_set_prompt, lambda ask: maker.linked(rich(ask.domain), ask)),
        "retag": shared(renamed, lambda ask: tag(ask, picture(0.85))),
        "retext": shared(renamed, lambda ask: tag(ask, "none")),
        "relinked": shared(renamed, lambda ask: maker.linked(rich(ask.domain), ask)),
        "questions": single(lambda: questions(maker, rich(domain()))),
        "boxes": single(lambda: boxes(maker, rich(domain()))),
        "describe": single(lambda: describe(maker, maker.pick("shown", domain()))),
        "repeat": single(lambda: repeat(maker)),
        "define": single(lambda: define(maker, domain())),
    }
