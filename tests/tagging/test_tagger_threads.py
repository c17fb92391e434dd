"""One tagger, several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from instruct_mner.tagging.tagger import Tagger

POSTS = {
    "PER, LOC": ["Jordan dunks in Chicago today", "Ann met Bo in Rome ."],
    "PERSON, PLACE, ORG": ["Microsoft buys Github for much money", "Visit the Louvre with Tom", "Sam sings"],
}


@pytest.mark.slow
def test_threads_take_turns_at_a_model_and_get_what_each_would_get_alone() -> None:
    tagger = Tagger.from_pretrained("starter", dtype="float32")

    def tagged(labels: str) -> list[Any]:
        return [each.entities for each in tagger(POSTS[labels], labels=labels.split(", "), progress=False)]

    alone = {labels: tagged(labels) for labels in POSTS}
    engine: Any = tagger.engine
    decoder, inside, most = engine.loaded.decoder, [0], [0]

    def begins(*_: object) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])

    def ends(*_: object) -> None:
        inside[0] -= 1

    decoder.register_forward_pre_hook(begins)
    decoder.register_forward_hook(ends)
    together = Barrier(4)

    def work(labels: str) -> list[Any]:
        together.wait(timeout=60)
        return tagged(labels)

    with ThreadPoolExecutor(4) as pool:
        jobs = [*POSTS, *POSTS]
        assert list(pool.map(work, jobs)) == [alone[labels] for labels in jobs]
    assert most == [1]
    assert "forward" not in vars(decoder)
