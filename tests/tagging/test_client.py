"""The client of a server: what it sends, and what it makes of answers and refusals."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from instruct_mner.engines.endpoint import Endpoint
from instruct_mner.errors import ConfigError, DataError, ServingError
from instruct_mner.images import open_image
from instruct_mner.schema.records import Example
from instruct_mner.serving.limits import Limits
from instruct_mner.tagging import request_posts
from instruct_mner.tagging.client import Client

SQUEEZED = b"what is not compressed"
DRIPS = b"{}"


class StandIn(HTTPServer):
    """A server that answers with what it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, Any]] = []
        self.enough = threading.Event()
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
        if answer is SQUEEZED:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if answer is DRIPS:
            while not self.server.enough.wait(0.01):
                self.wfile.write(b" ")
                self.wfile.flush()
        self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield made
        made.enough.set()
        made.shutdown()


ENTITY = {
    "start": 0,
    "end": 3,
    "text": "Ann",
    "label": "PER",
    "score": 0.5,
    "boxes": [{"image": 0, "box": [1, 2, 3, 4]}],
}
FOUND_AS_TEXT = {"entities": [{**ENTITY, "boxes": None}]}
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
        ((200, {"posts": []}), r"does not answer as 'instruct-mner serve' does \(posts: 0 answers to 1 posts\)"),
        ((200, [1]), r"does not answer as 'instruct-mner serve' does \(expected .*\); check the address"),
        ((200, {"posts": ["x"]}), r"does not answer as 'instruct-mner serve' does \(posts\.0: "),
        ((200, {"posts": [None]}), r"does not answer as 'instruct-mner serve' does \(posts\.0: "),
        ((200, {"posts": [{}]}), r"\(posts\.0: .*neither entities nor an error\)"),
        ((200, {"posts": [{"entities": 3}]}), r"\(posts\.0\.entities: "),
        ((200, b"no JSON"), r"\(it is no JSON\)"),
        ((200, b"[" * 200_000), r"\(it is no JSON\)"),
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


def test_an_answer_that_does_not_end_is_told_as_such(server: StandIn, pauses: list[float]) -> None:
    server.answers = [(200, DRIPS)]
    with pytest.raises(ServingError, match=r"did not answer within 0\.2 seconds, 1 times; give fewer texts at once"):
        Client(server.url, max_retries=0, timeout_seconds=0.2)("a")


def test_an_answer_that_cannot_be_read_is_told(server: StandIn) -> None:
    server.answers = [(200, SQUEEZED)]
    with pytest.raises(ServingError, match="it is no JSON"):
        Client(server.url)("a")


def picture_file(form: str, size: tuple[int, int] = (90, 60)) -> bytes:
    file = io.BytesIO()
    Image.effect_noise(size, 90).convert("RGB").save(file, form)
    return file.getvalue()


def test_files_of_pictures_are_sent_as_they_are(server: StandIn, tmp_path: Path) -> None:
    jpeg, bitmap = picture_file("JPEG"), picture_file("BMP")
    (tmp_path / "a.jpg").write_bytes(jpeg)
    server.answers = [(200, {"posts": [NONE]})]
    opened = open_image(bitmap)
    Client(server.url)("a", images=[tmp_path / "a.jpg", str(tmp_path / "a.jpg"), jpeg, bitmap, opened])
    *files, third, fourth = [base64.b64decode(each) for each in server.requests[0][0]["posts"][0]["images"]]
    assert files == [jpeg] * 3
    assert third == fourth
    assert open_image(third).tobytes() == opened.tobytes()
    (tmp_path / "b.jpg").write_bytes(jpeg[:100])
    with pytest.raises(DataError, match=r"images\[1\]: .*b\.jpg"):
        Client(server.url)(["a", "b"], images=[None, tmp_path / "b.jpg"])


def test_a_body_is_no_larger_than_a_server_takes(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits()
    assert limits.body_bytes > request_posts.BODY_BYTES
    assert Client.texts_at_once <= limits.num_posts
    jpeg = picture_file("JPEG")
    monkeypatch.setattr(request_posts, "BODY_BYTES", 3 * len(jpeg))
    server.answers = [(200, {"posts": [FOUND_AS_TEXT, NONE]}), (200, {"posts": [NONE, NONE]}), (200, {"posts": [NONE]})]
    found = Client(server.url)(["Ann"] * 5, images=[jpeg] * 5)
    assert [len(each.entities) for each in found] == [1, 0, 0, 0, 0]
    assert [len(body["posts"]) for body, _ in server.requests] == [2, 2, 1]


def test_a_server_that_is_not_there_is_told(server: StandIn, pauses: list[float]) -> None:
    address = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(ServingError, match="cannot be reached"):
        Client(address, max_retries=2)("a")
    assert len(pauses) == 2


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "file:///etc",
        3,
        "http://localhost:8000/?a=1",
        "http://localhost:8000/#a",
        "http://a:99999",
    ],
)
def test_an_address_that_is_none_is_refused(url: Any) -> None:
    with pytest.raises(ConfigError, match="of the server is none"):
        Client(url)


@pytest.mark.parametrize(
    "url", ["http://ann:pass@localhost:8000", "http://ann@localhost:8000", "ftp://:pass@localhost:8000"]
)
def test_an_address_with_a_password_is_refused_without_it(url: str) -> None:
    for use in (Client, lambda address: Endpoint(address, "m").base_url):
        with pytest.raises(ConfigError, match="address of the server localhost:8000 holds a name or password") as error:
            use(url)
        assert "pass@" not in str(error.value)
