"""Ids of requests, the access log, and floods."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from conftest import Gateway, running_gateway
from gateway_bodies import post_body
from starlette.responses import PlainTextResponse

from instruct_mner.serving.gateway import Door
from instruct_mner.serving.metrics import Counters
from instruct_mner.serving.request_log import FloodFilter, RefusalSummary, RequestLog, access_log, held_back

ENTITIES = "/v1/entities"


def test_an_id_is_taken_where_it_is_sane_and_made_otherwise(gateway: Gateway) -> None:
    assert gateway.client.get("/livez", headers={"x-request-id": "job-7:a"}).headers["x-request-id"] == "job-7:a"
    for bad in ("a b", "x" * 129, 'a"', "<b>"):
        made = gateway.client.get("/livez", headers={"x-request-id": bad}).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{32}", made)


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [(ENTITIES, {"txt": "a"}, {}), (ENTITIES, post_body(), {"authorization": "Bearer wrong"}), ("/nowhere", {}, {})],
)
def test_errors_hold_the_id(gateway: Gateway, path: str, body: object, headers: dict[str, str]) -> None:
    response = gateway.client.post(path, json=body, headers={"x-request-id": "mine", **headers})
    assert response.is_client_error
    assert (response.json()["error"]["request_id"], response.headers["x-request-id"]) == ("mine", "mine")


def test_the_access_log_holds_no_contents(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    with running_gateway(door=Door(access_log=file)) as gateway:
        gateway.client.post(ENTITIES, json=post_body("Secretperson is here"), headers={"x-request-id": "one"})
        httpx.post(f"{gateway.url}/secret-path?secret=1", content=b"secret", headers={"user-agent": "secret"})
        gateway.client.request("SECRET", "/v1/models")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert "secret" not in file.read_text().lower()
    assert [(each["method"], each["path"], each["status"], each["client"]) for each in lines] == [
        ("POST", ENTITIES, 200, "client"),
        ("POST", "other", 401, None),
        ("other", "/v1/models", 405, "client"),
    ]
    assert lines[0]["id"] == "one"
    assert lines[0]["bytes_received"] == len(json.dumps(post_body("Secretperson is here"), separators=(",", ":")))
    assert lines[0]["bytes_sent"] > 50
    assert 0 < lines[0]["seconds"] < 30


def test_a_flood_of_refusals_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        summary = RefusalSummary(window_seconds=0.01)
        for status in (401,) * 1_000 + (413,) * 5 + (200, 503):
            summary.note(status)
        await asyncio.sleep(0.05)
        summary.note(404)  # one alone is none
        await asyncio.sleep(0.05)

    asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == [
        "1005 requests were refused in 0.01 seconds: 1000 with 401, 5 with 413"
    ]


def test_a_message_is_written_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    logger = logging.getLogger("flood")
    flood = FloodFilter(lambda: now[0])
    logger.addFilter(flood)
    for _ in range(500):
        logger.warning("Invalid HTTP request received.")
    logger.warning("other")
    now[0] = 61.0
    logger.warning("Invalid HTTP request received.")
    logger.removeFilter(flood)
    assert [record.getMessage() for record in caplog.records] == [
        "Invalid HTTP request received.",
        "other",
        "Invalid HTTP request received. (499 more like it were not written)",
    ]


def test_loggers_are_held_back_within_a_block(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("flood.block")
    with held_back("flood.block", "flood.other"):
        for _ in range(3):
            logger.warning("of %d tasks", 1)
    logger.warning("of %d tasks", 2)
    assert [record.getMessage() for record in caplog.records] == ["of 1 tasks", "of 2 tasks"]


def test_a_failure_is_answered_with_its_id_and_logged_without_contents(caplog: pytest.LogCaptureFixture) -> None:
    content = "secret of the client"

    async def failing(scope: object, receive: object, send: object) -> None:
        raise ValueError(content)

    log = RequestLog(failing, Counters(), None, RefusalSummary())
    client = httpx.AsyncClient(transport=httpx.ASGITransport(log), base_url="http://gateway")
    response = asyncio.run(client.get("/livez", headers={"x-request-id": "mine"}))
    assert response.status_code == 500
    assert response.json()["error"]["request_id"] == "mine"
    assert "request mine failed: ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_a_log_may_be_moved_away(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    write = access_log(file)
    write("one")
    file.rename(tmp_path / "access.log.1")  # as logrotate does
    write("two")
    assert ((tmp_path / "access.log.1").read_text(), file.read_text()) == ("one\n", "two\n")


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        access_log(tmp_path / "missing" / "log")


def test_an_access_log_that_cannot_be_written_is_no_matter_of_the_client(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()

    def asked(times: int, write: Callable[[str], None]) -> list[httpx.Response]:
        """Ask so many times; no answer comes before its line is written, as it may from a server."""
        log = RequestLog(PlainTextResponse("alive"), Counters(), write, RefusalSummary())

        async def ask() -> list[httpx.Response]:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(log), base_url="http://gateway") as client:
                return [await client.get("/livez") for _ in range(times)]

        return asyncio.run(ask())

    write = access_log(folder / "log")
    folder.rename(tmp_path / "moved")
    answers = asked(3, write)
    folder.mkdir()
    answers += asked(1, write) + asked(3, access_log(Path("/dev/full")))
    assert [each.status_code for each in answers] == [200] * 7
    assert [
        record.getMessage().partition("/log ")[2] for record in caplog.records if "/log " in record.getMessage()
    ] == [
        "cannot be written (No such file or directory): its lines are dropped until it can be",
        "is written again; it lacks 3 lines so far",
    ]
    assert [record.args for record in caplog.records if "/dev/full" in record.getMessage()] == [
        ("/dev/full", "No space left on device")
    ]
    assert len((folder / "log").read_text().splitlines()) == 1
    assert "Logging error" not in capfd.readouterr().err
