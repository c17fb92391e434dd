"""A server that speaks OpenAI's chat completions and answers by rule: what is tested is the protocol."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]
Reply = Callable[[Body, int], tuple[int, Any]]


def post_of(body: Body) -> str:
    return body["messages"][0]["content"][-1]["text"].partition("Post: ")[2]


def chat(text: str | None, *, logprobs: list[Body] | None = None, finish: str = "stop") -> Body:
    """A chat completion."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": finish,
        "logprobs": None if logprobs is None else {"content": logprobs},
    }
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}


def token(text: str, logprob: float = -0.5, *, raw: bytes | None = None) -> Body:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode() if raw is None else raw), "top_logprobs": []}


def first_word_is_a_person(body: Body, number: int) -> tuple[int, Body]:
    """``[{"text":WORD,"label":"PER"}]``, in four tokens and an end of the turn."""
    word = post_of(body).split()[0]
    pieces = ['[{"text":"', word, '","label":"', "PER", '"}]', "<|im_end|>"]
    logprobs = [token(piece, -0.5 if piece == word else -0.25 if piece == "PER" else -9.0) for piece in pieces]
    return 200, chat("".join(pieces[:-1]), logprobs=logprobs)


class FakeServer(ThreadingHTTPServer):
    """Notes what it is asked, and how much of it at once."""

    daemon_threads = True
    # Connections that wait to be accepted; with the usual 5, those of several clients on a busy machine are lost.
    request_queue_size = 128

    def __init__(self, reply: Reply, delay: Callable[[Body], float]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply, self.delay = reply, delay
        self.text_type = "text/html"
        self.lock = threading.Lock()
        self.models: list[Body] | None = None
        self.bodies: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0
        # Is called where a client goes while it is answered.
        self.on_closed: Callable[[], None] | None = None
        # Where it is set, everything waits for it, as for a process that was stopped.
        self.hold: threading.Event | None = None
        self.metrics: Callable[[], str] = lambda: "vllm:up 1.0\n"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: FakeServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self._wait()
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            number = len(self.server.bodies)
            self.server.bodies.append(body)
            self.server.headers.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        if self.server.on_closed is not None:
            threading.Thread(target=self._watch, args=(self.server.on_closed,), daemon=True).start()
        time.sleep(self.server.delay(body))
        status, said = self.server.reply(body, number)
        with self.server.lock:
            self.server.at_once -= 1
        content = said.encode() if isinstance(said, str) else json.dumps(said).encode()
        try:
            self.send_response(status)
            self.send_header("content-type", self.server.text_type if isinstance(said, str) else "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            pass  # the client has given up, which is what some tests want

    def _wait(self) -> None:
        if self.server.hold is not None:
            self.server.hold.wait(30)

    def _watch(self, on_closed: Callable[[], None]) -> None:
        with suppress(OSError):
            if not self.connection.recv(1, socket.MSG_PEEK):
                on_closed()

    def do_GET(self) -> None:
        self._wait()
        content, kind = self.server.metrics().encode(), "text/plain"
        if self.path.endswith("/models") and self.server.models is not None:
            content, kind = json.dumps({"object": "list", "data": self.server.models}).encode(), "application/json"
        with suppress(OSError):  # the client has given up
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def serving(
    reply: Reply = first_word_is_a_person, delay: Callable[[Body], float] = lambda body: 0
) -> Iterator[FakeServer]:
    server = FakeServer(reply, delay)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
