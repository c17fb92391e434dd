"""Pictures of requests: addresses, base64, and the pixels that are held at once."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.serving.limits import BusyError, RefusedError
from instruct_mner.serving.pictures import PixelBudget, is_allowed_address, read_base64


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("file:///etc/passwd", "is an address"),
        ("data:image/png,abc", ";base64"),
        ("no base64!", "not base64"),
        ("data:image/png;base64,a", "not base64"),
    ],
)
def test_what_is_no_picture(source: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        read_base64(source, 1)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("https://a.example/x.png", True),
        ("https://a.example:8443/x.png", True),
        ("https://a.example@localhost/x.png", False),
        ("https://b.a.example/x.png", False),
        ("file://a.example/x.png", False),
        ("https://[/x.png", False),
    ],
)
def test_addresses(address: str, allowed: bool) -> None:
    assert is_allowed_address(address, ("a.example",)) == allowed


@given(st.lists(st.tuples(st.integers(0, 10), st.booleans()), max_size=20))
def test_a_budget_is_never_exceeded_and_given_back_whole(wishes: list[tuple[int, bool]]) -> None:
    budget, held, most = PixelBudget(10), [0], [0]

    async def hold(pixels: int) -> None:
        async with budget.reserved(pixels):
            held[0] += pixels
            most[0] = max(most[0], held[0])
            try:
                await asyncio.sleep(0)
            finally:
                held[0] -= pixels

    async def run() -> None:
        tasks = [(asyncio.create_task(hold(pixels)), leaves) for pixels, leaves in wishes]
        await asyncio.sleep(0)
        for task, leaves in tasks:
            if leaves:
                task.cancel()
        await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
        async with asyncio.timeout(5), budget.reserved(10):
            pass

    asyncio.run(run())
    assert most[0] <= 10


def test_more_than_the_budget_is_refused_and_few_may_wait() -> None:
    async def run() -> None:
        budget = PixelBudget(10, most_waiting=0)
        with pytest.raises(RefusedError, match="11 pixels together"):
            async with budget.reserved(11):
                pass
        async with budget.reserved(6):
            with pytest.raises(BusyError):
                async with budget.reserved(5):
                    pass

    asyncio.run(run())
