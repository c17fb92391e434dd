"""Pictures of tasks from a stand-in of Label Studio: its files alone, with its token, bounded, and no other host."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from gateway_bodies import png

from instruct_mner.errors import ConfigError
from instruct_mner.serving.task_pictures import TaskPicture, TaskPictures

PICTURE = png(8, 4)
TOKEN, PERSONAL = "0123456789abcdef", "eyJhbGciOi.eyJ0b2tlbl90.c2ln"


@dataclass
class LabelStudio:
    """Stand-in of Label Studio.

    Attributes:
        url: Address of the stand-in.
        asked: Method, path and authorization of each request.
    """

    url: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)


@pytest.fixture
def label_studio() -> Iterator[LabelStudio]:
    stand_in = LabelStudio()
    let_go = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

        def _send(self, status: int, content: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def _note(self) -> str:
            stand_in.asked.append((self.command, self.path, self.headers.get("authorization", "")))
            return self.path.rpartition("/")[2]

        def do_POST(self) -> None:
            self._note()
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            right = body == {"refresh": PERSONAL}
            self._send(200 if right else 401, json.dumps({"access": "short"} if right else {}).encode())

        def do_GET(self) -> None:
            name = self._note()
            if name == "moved.png":
                self._send(302, location="http://169.254.169.254/latest")
            elif name == "secret.png":
                self._send(401)
            elif name == "endless.png":
                let_go.wait(10)
            else:
                self._send(200, b"x" * 5000 if name == "large.png" else PICTURE)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield stand_in
    let_go.set()
    server.shutdown()
    server.server_close()


def read(base: str, *addresses: str, key: str | None = TOKEN, seconds: float = 10.0) -> list[TaskPicture]:
    pictures = TaskPictures(base, key, most_bytes=4000, seconds=seconds)

    async def held() -> list[TaskPicture]:
        async with pictures.held(addresses) as result:
            return result

    return asyncio.run(held())


def test_files_are_read_with_the_token_by_path_or_whole_address(label_studio: LabelStudio) -> None:
    both = read(label_studio.url, "/data/upload/1/a%20b.png", f"{label_studio.url}/data/local-files/?d=x/c.png")
    assert [base64.b64decode((each.content or "").partition(",")[2]) for each in both] == [PICTURE] * 2
    assert sorted(label_studio.asked) == [
        ("GET", "/data/local-files/?d=x/c.png", f"Token {TOKEN}"),
        ("GET", "/data/upload/1/a%20b.png", f"Token {TOKEN}"),
    ]


def test_a_label_studio_below_a_path_keeps_it(label_studio: LabelStudio) -> None:
    assert all(each.content for each in read(f"{label_studio.url}/ls/", "/data/a.png", "/ls/data/b.png"))
    assert sorted(path for _, path, _ in label_studio.asked) == ["/ls/data/a.png", "/ls/data/b.png"]


def test_a_personal_token_is_exchanged_first(label_studio: LabelStudio) -> None:
    [picture] = read(label_studio.url, "/data/a.png", key=PERSONAL)
    assert picture.content
    assert label_studio.asked == [("POST", "/api/token/refresh", ""), ("GET", "/data/a.png", "Bearer short")]
    [refused] = read(label_studio.url, "/data/a.png", key=f"{PERSONAL}x")
    assert refused.reason == "Label Studio answers with status 401; is LABEL_STUDIO_API_KEY right?"


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data", "http://127.0.0.1:1/data/a.png", "https://{host}/data/a.png",
        "http://user@{host}/data/a.png", "http://{host}@evil.example/data/a.png", "//evil.example/data/a.png",
        "s3://bucket/data/a.png", "file:///data/a.png", "http://[", "/api/projects", "/data/../api/token",
        "/data/%2e%2e/api", "/data/..\\api", "/data/a b", "/data/a#b", "/user/logout", "data", "/database",
        "http://{host}.evil.example/data/a.png",
    ],
)  # fmt: skip
def test_nothing_else_is_asked(address: str, label_studio: LabelStudio) -> None:
    host = label_studio.url.removeprefix("http://")
    [picture] = read(label_studio.url, address.format(host=host))
    assert picture.content is None
    assert (picture.reason or "").startswith("its address is ")
    assert not label_studio.asked


def test_redirects_refusals_and_large_files_have_their_reasons(label_studio: LabelStudio) -> None:
    names = ("moved", "secret", "a")
    moved, secret, right = read(label_studio.url, *(f"/data/{name}.png" for name in names))
    assert moved.reason == "Label Studio sends on to another address, which is not followed"
    assert secret.reason == "Label Studio answers with status 401; is LABEL_STUDIO_API_KEY right?"
    assert right.content
    [large] = read(label_studio.url, "/data/large.png")
    assert large.reason == "the pictures of the request are larger together than --max-body"
    together = read(label_studio.url, *(f"/data/{number}.png" for number in range(4000 // len(PICTURE) + 1)))
    assert sum(each.content is None for each in together) == 1


def test_a_server_that_does_not_answer_is_left(label_studio: LabelStudio) -> None:
    [late] = read(label_studio.url, "/data/endless.png", seconds=0.2)
    assert late.reason == "Label Studio did not send it in 0.2 seconds"
    [nobody] = read("http://127.0.0.1:1", "/data/a.png")
    assert nobody.reason == "Label Studio cannot be reached (ConnectError)"


@pytest.mark.parametrize("base", ["localhost:8080", "ftp://a", "http://", "http://a?b=c", "http://u:p@a", "http://a:x"])
def test_an_address_that_is_none_is_refused_before_anything_starts(base: str) -> None:
    with pytest.raises(ConfigError, match=r"--label-studio .*: write the address of Label Studio"):
        TaskPictures(base, None, most_bytes=1)
