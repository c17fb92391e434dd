"""The client of a server: what it sends, and what it makes of answers and refusals."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from PIL import Image

from instruct_mner.errors import ConfigError, ServingError
from instruct_mner.schema.records import Example
from instruct_mner.tagging.client import Client


class StandIn(HTTPServer):
    """A server that answers with what it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, Any]] = []
        self.requests: list[tuple[dict[str, Any], str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((body, self.headers.get("Authorization")))
        status, answer = self.server.answers.pop(0)
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield made
        made.shutdown()


ENTITY = {
    "start": 0,
    "end": 3,
    "text": "Ann",
    "label": "PER",
    "score": 0.5,
    "boxes": [{"image": 0, "box": [1, 2, 3, 4]}],
}
NONE = {"model": "m", "entities": [], "rejected": {"malformed": 1}, "windows": 2}
FOUND = {"model": "m", "entities": [ENTITY], "rejected": {}, "windows": 1}


def test_texts_and_pictures_are_sent_and_answers_are_predictions(server: StandIn) -> None:
    server.answers = [(429, {}), (200, {"model": "m", "posts": [FOUND, NONE]})]
    ask = Client(f"{server.url}/v1", model="m", api_key="secret")
    first, second = ask(
        ["Ann left", "b"], images=[Image.new("RGB", (9, 9)), None], labels={"PER": "people"}, threshold=0.2
    )
    assert [(each.text, each.label, each.score) for each in first.entities] == [("Ann", "PER", 0.5)]
    assert (second.entities, second.rejected.malformed) == ((), 1)
    assert (first.windows, second.windows) == (None, 2)
    assert len(server.requests) == 2
    body, key = server.requests[-1]
    assert (body["labels"], body["model"], key) == ({"PER": "people"}, "m", "Bearer secret")
    assert [sorted(post) for post in body["posts"]] == [["images", "text"], ["text"]]
    # As those of a tagger in this process.
    assert (first.images, second.images) == (("picture 0",), ())


def test_a_post_without_names_has_one_for_each_of_its_pictures(server: StandIn) -> None:
    server.answers = [(200, {"posts": [{"entities": [{**ENTITY, "boxes": [{"image": 1, "box": [1, 2, 3, 4]}]}]}]})]
    post = (Example(id="1", text="Ann left"), (Image.new("RGB", (9, 9)),) * 2)
    [found] = Client(server.url).predict_opened([post])
    assert found.images == ("picture 0", "picture 1")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((422, {"error": "no"}), r"refused the request \(422\)"),
        ((200, {"posts": [{"error": {"code": 413, "message": "too long"}}]}), r"no answer to texts\[0\].*too long"),
        ((200, {"posts": []}), "is it 'instruct-mner serve'"),
        ((200, [1]), "is it 'instruct-mner serve'"),
        ((200, {"posts": [{"entities": [{**ENTITY, "start": 9}]}]}), r"no prediction of texts\[0\]"),
        ((200, {"posts": [FOUND]}), r"no prediction of texts\[0\]: .* has a box on picture 0, the post has 0 picture"),
    ],
)
def test_refusals_are_told(answer: tuple[int, Any], reason: str, server: StandIn) -> None:
    server.answers = [answer]
    with pytest.raises(ServingError, match=reason):
        Client(server.url)("Ann left")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses that are not made."""
    made: list[float] = []
    monkeypatch.setattr("instruct_mner.tagging.client.time.sleep", made.append)
    return made


def test_a_busy_server_is_asked_a_few_times(server: StandIn, pauses: list[float]) -> None:
    server.answers = [(429, {})] * 3
    with pytest.raises(ServingError, match=r"\(429\)"):
        Client(server.url, max_retries=2)("a")
    assert len(server.requests) == 3
    # As those of all requests: twice as long each, give or take a half.
    first, second = pauses
    assert 0.25 <= first <= 0.75
    assert 0.5 <= second <= 1.5


def test_a_server_that_is_away_for_a_moment_ends_nothing(server: StandIn, pauses: list[float]) -> None:
    server.answers = [(502, {}), (200, {"model": "m", "posts": [NONE]})]
    assert Client(server.url)("a").entities == ()
    assert len(pauses) == 1


def test_a_server_that_is_not_there_is_told(server: StandIn, pauses: list[float]) -> None:
    address = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(ServingError, match="cannot be reached"):
        Client(address, max_retries=2)("a")
    assert len(pauses) == 2


@pytest.mark.parametrize("url", ["", "localhost:8000", "file:///etc", 3])
def test_an_address_that_is_none_is_refused(url: Any) -> None:
    with pytest.raises(ConfigError, match="of the server is none"):
        Client(url)
