"""Worker processes: what they refuse, and that they may die without harm."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from gateway_bodies import bomb, many_scans, png, rule_chain
from PIL import Image
from uvicorn.loops.auto import auto_loop_factory

from instruct_mner.serving.limits import BusyError, RefusedError
from instruct_mner.serving.worker import answer
from instruct_mner.serving.worker_pool import WorkerPool

MEASURE = {"do": "measure", "max_pixels": 10_000}


def in_pool(work: Callable[[WorkerPool], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        pool = WorkerPool(1, **{"memory_bytes": 2**31, **settings})
        try:
            await work(pool)
        finally:
            await pool.close()

    # The gateway's own loop, whose pipes have other errors than asyncio's.
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(run())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a picture"),
        (bomb(), "pixels"),
        (png(101, 100), "101 x 100 pixels"),
        (many_scans(), "scans, more than the 64"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "not a picture"),
    ],
)
def test_pictures_that_are_not_decoded(content: bytes, message: str) -> None:
    head, rest = answer(MEASURE, content)
    assert message in head["refused"]
    assert not rest


def test_scans_are_those_of_the_picture_alone() -> None:
    """A phone's photo with a preview in its EXIF, and with a film behind it."""
    jpeg, hidden = many_scans(scans=20), b"\xff\xda" * 70
    preview = b"\xff\xe1" + (2 + len(hidden)).to_bytes(2) + hidden
    photo = jpeg[:2] + preview + b"\xff\xff" + jpeg[2:] + b"\x00\x00\x00\x18ftypmp42" + hidden
    head, _ = answer(MEASURE, photo)
    assert head == {"size": [64, 64]}


@pytest.mark.parametrize("cover", [b"\xff\x02\xff\xff", b"\xff\xd0\xff\xff", b"\xff\x00\xff\xff", b"\xff\xe0\x00\x00"])
def test_scans_are_not_hidden_behind_what_a_decoder_passes_over(cover: bytes) -> None:
    scans = many_scans()
    first = scans.index(b"\xff\xda", scans.index(b"\xff\xda") + 2)
    head, _ = answer(MEASURE, scans[:first] + cover + scans[first:])
    assert "scans, more than the 64" in head["refused"]


@pytest.mark.parametrize("form", ["rgb", "png"])
def test_a_picture_is_decoded_upright(form: str) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30), "red").save(file, "PNG", exif=exif)
    head, content = answer({"do": "decode", "max_pixels": 10_000, "format": form}, file.getvalue())
    assert head["size"] == [30, 40]
    image = Image.frombytes("RGB", (30, 40), content) if form == "rgb" else Image.open(io.BytesIO(content))
    assert image.size == (30, 40)
    assert image.getpixel((3, 3)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("constraint", "accepted"),
    [
        ({"grammar": 'start: "a"'}, True),
        ({"grammar": "start: nothing_of_this_name"}, False),
        ({"grammar": 'start: "a'}, False),
        ({"regex": "[a-z]+"}, True),
        ({"regex": "("}, False),
        ({"choice": ["a", 'b\n"c']}, True),
        ({"json_object": True}, True),
        ({"json": {"type": "object", "properties": {"a": {"type": "string"}}}}, True),
        ({"json": {"type": "no type"}}, False),
        ({"json": {"type": "string", "pattern": "("}}, False),
    ],
)
def test_constraints_are_compiled(constraint: dict[str, Any], accepted: bool) -> None:
    head, _ = answer({"do": "compile"}, json.dumps(constraint).encode())
    assert ("refused" not in head) == accepted, head


@pytest.mark.parametrize(
    "constraint",
    [
        {"json": {"$ref": "#"}},
        {"json": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}},
        {"grammar": 'start: start "a"'},
    ],
)
def test_a_constraint_that_never_ends_is_refused_without_the_state_of_the_compiler(constraint: dict[str, Any]) -> None:
    head, _ = answer({"do": "compile"}, json.dumps(constraint).encode())
    assert head == {
        "refused": "no answer is whole under this constraint: is there a rule or a '$ref' that leads to itself alone?"
    }


def test_the_limit_of_pictures_is_that_of_the_job_alone() -> None:
    """Above and below the limit of other doors, and named with its own number."""
    head, _ = answer({"do": "measure", "max_pixels": 20_000}, bomb(200, 101))
    assert head["refused"].endswith("200 x 101 pixels, more than the 20000 allowed; make it smaller")
    head, _ = answer({"do": "measure", "max_pixels": 25_000_000}, bomb(8_100, 8_100))
    assert "more than the 25000000 allowed" in head["refused"]
    head, _ = answer({"do": "measure", "max_pixels": 90_000_000}, bomb(9_000, 9_000))
    assert head == {"size": [9_000, 9_000]}


def test_a_constraint_that_ends_its_process_is_refused_and_the_next_is_compiled() -> None:
    async def work(pool: WorkerPool) -> None:
        for number in range(2):
            with pytest.raises(RefusedError, match="more time or memory"):
                await pool.run({"do": "compile"}, json.dumps({"grammar": rule_chain(6000)}).encode())
            assert await pool.run({"do": "compile"}, b'{"regex": "a"}') == ({}, b""), number

    in_pool(work)


def test_a_process_that_was_killed_while_it_had_nothing_to_do_is_replaced() -> None:
    async def work(pool: WorkerPool) -> None:
        await pool.run(MEASURE, png(9, 9))
        [idle] = pool._idle
        idle.kill()
        await idle.wait()
        head, _ = await pool.run(MEASURE, png(9, 9))
        assert head["size"] == [9, 9]
        # Where the death is not noticed before, the job is refused; it is no error of the gateway.
        [idle] = pool._idle
        idle.kill()
        with suppress(RefusedError):
            await pool.run(MEASURE, png(9, 9))

    in_pool(work)


def test_a_job_has_a_deadline() -> None:
    async def work(pool: WorkerPool) -> None:
        with pytest.raises(RefusedError, match="longer than 0 seconds"):
            await pool.run(MEASURE, png(9, 9))

    in_pool(work, wall_seconds=0.0)


def test_a_job_may_use_so_much_of_the_processor() -> None:
    async def work(pool: WorkerPool) -> None:
        with pytest.raises(RefusedError, match="more time or memory"):
            await pool.run({"do": "decode", "max_pixels": 10**9, "format": "png"}, png(6000, 6000))

    in_pool(work, cpu_seconds=0.01)


def test_a_client_that_goes_leaves_no_reply_behind() -> None:
    async def work(pool: WorkerPool) -> None:
        gone = asyncio.create_task(pool.run(MEASURE, png(50, 50)))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        head, _ = await pool.run(MEASURE, png(9, 9))
        assert head["size"] == [9, 9]

    in_pool(work)


def test_only_so_many_jobs_wait() -> None:
    async def work(pool: WorkerPool) -> None:
        jobs = [asyncio.create_task(pool.run(MEASURE, png(9, 9))) for _ in range(4)]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        assert sum(isinstance(each, BusyError) for each in results) == 2

    in_pool(work, most_waiting=1)
