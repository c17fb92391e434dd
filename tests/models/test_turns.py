"""Threads that use one object."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from typing import Any

from instruct_mner.engines.engine import Request
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.models.loading import load_model
from instruct_mner.models.turns import turn_at


class _Shared:
    """Object of which threads take turns."""


def test_another_thread_waits_for_this_object_alone() -> None:
    shared, entered, apart = _Shared(), Event(), Event()

    def use(thing: object, event: Event) -> None:
        with turn_at(thing):
            event.set()

    waits, goes = Thread(target=use, args=(shared, entered)), Thread(target=use, args=(_Shared(), apart))
    with turn_at(shared), turn_at(shared):
        waits.start()
        goes.start()
        assert apart.wait(30)
        assert not entered.wait(0.1)
    assert entered.wait(30)
    waits.join()
    goes.join()


def test_prompts_are_padded_while_others_are_counted() -> None:
    engine = TransformersEngine(load_model("starter"))
    chats: list[Any] = [
        Request(messages=[{"role": "user", "content": [{"type": "text", "text": "word " * length}]}], images=())
        for length in (3, 40)
    ]

    def padded() -> list[int]:
        return list(engine.inputs(chats)["input_ids"].shape)

    def counted() -> list[int]:
        return [engine.count_prompt(chat) for chat in chats]

    expected = [padded(), counted()]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: (padded, counted)[number % 2](), range(200)))
    assert found == expected * 100
