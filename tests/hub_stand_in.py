"""A server on this machine that speaks the parts of the hub's HTTP that loading and uploading a model need."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_RESOLVE = re.compile(r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_API = re.compile(r"/api/models/(?P<name>[^/]+/[^/]+)(?:/(?P<what>revision|tree)/(?P<revision>[^/?]+))?(?P<rest>.*)")
_UPLOAD = re.compile(r"/api/models/(?P<name>[^/]+/[^/]+)/(?P<what>preupload|commit)/main")
_LFS = re.compile(r"/(?P<name>[^/]+/[^/]+)\.git/info/lfs/(?P<what>objects/batch|verify)")


@dataclass
class StandIn:
    """The models of the hub, what it refuses, and what it was asked.

    Attributes:
        models: Folder of each model, by its name.
        gated: Names of models that only some may read; `token` opens them.
        private: Names of models that it does not admit to have.
        token: Token that may read gated models.
        missing: Names of files that it does not have although they are listed.
        cuts: Number of times that it breaks off the transfer of a file in its middle, by the name of the file.
        requests: Method, path and ``Range`` of each request.
        uploads: Folder in which repositories are made; ``None`` refuses to make one.
        may_write: Token that may write.
        blobs: Contents of large files by their hash.
        private_made: Visibility of each repository that was made.
    """

    models: dict[str, Path]
    gated: set[str] = field(default_factory=set)
    private: set[str] = field(default_factory=set)
    token: str = "hf_may_read"
    missing: set[str] = field(default_factory=set)
    cuts: dict[str, int] = field(default_factory=dict)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    uploads: Path | None = None
    may_write: str = "hf_may_write"
    blobs: dict[str, bytes] = field(default_factory=dict)
    private_made: dict[str, bool] = field(default_factory=dict)

    def ranges(self, file: str) -> list[str | None]:
        """Return ``Range`` of each request for the content of a file."""
        return [part for method, path, part in self.requests if method == "GET" and path.endswith(f"/{file}")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # Headers and content go out together.
    server: HubServer

    @property
    def hub(self) -> StandIn:
        return self.server.hub

    def log_message(self, format: str, *arguments: object) -> None:
        """Write nothing."""

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def do_PUT(self) -> None:
        self.hub.requests.append((self.command, self.path, None))
        content = self.rfile.read(int(self.headers["Content-Length"]))
        digest = self.path.rpartition("/")[2]
        if hashlib.sha256(content).hexdigest() != digest:
            return self._error(400, "WrongContent", True)
        self.hub.blobs[digest] = content
        return self._json({})

    def do_POST(self) -> None:
        self.hub.requests.append((self.command, self.path, None))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if self.headers.get("Authorization", "").removeprefix("Bearer ") != self.hub.may_write:
            return self._error(403, "Forbidden", True)
        if self.path == "/api/repos/create":
            return self._create(json.loads(body))
        found = _UPLOAD.fullmatch(self.path) or _LFS.fullmatch(self.path)
        if found is None or found["name"] not in self.hub.models:
            return self._error(404, "RepoNotFound", True)
        if found["what"] == "preupload":
            modes = [
                {"path": each["path"], "uploadMode": "lfs" if each["path"].endswith(".safetensors") else "regular",
                 "shouldIgnore": False}
                for each in json.loads(body)["files"]
            ]  # fmt: skip
            return self._json({"files": modes})
        if found["what"] == "objects/batch":
            address = self.server.address
            objects = [
                {**each, "actions": {"upload": {"href": f"{address}/blobs/{each['oid']}"},
                                     "verify": {"href": f"{address}/{found['name']}.git/info/lfs/verify"}}}
                for each in json.loads(body)["objects"]
            ]  # fmt: skip
            return self._json({"transfer": "basic", "objects": objects})
        if found["what"] == "verify":
            return self._json({}) if json.loads(body)["oid"] in self.hub.blobs else self._error(404, "NoBlob", True)
        return self._commit(found["name"], [json.loads(line) for line in body.splitlines()])

    def _create(self, asked: dict) -> None:
        if self.hub.uploads is None:
            return self._error(403, "Forbidden", True)
        name = f"{asked['organization']}/{asked['name']}"
        address = f"{self.server.address}/{name}"
        if name in self.hub.models:
            return self._send(409, json.dumps({"url": address}).encode(), {"Content-Type": "application/json"}, True)
        self.hub.models[name] = self.hub.uploads / name.replace("/", "--")
        self.hub.models[name].mkdir(parents=True)
        self.hub.private_made[name] = asked.get("visibility") == "private"
        return self._json({"url": address})

    def _commit(self, name: str, lines: list[dict]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] not in {"file", "lfsFile"}:
                continue
            path = self.hub.models[name] / value["path"]
            path.parent.mkdir(exist_ok=True)
            is_large = line["key"] == "lfsFile"
            path.write_bytes(self.hub.blobs[value["oid"]] if is_large else base64.b64decode(value["content"]))
        self._json({"success": True, "commitOid": COMMIT, "commitUrl": f"{self.server.address}/{name}/commit/{COMMIT}"})

    def _json(self, value: dict) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"}, True)

    def _answer(self, *, with_content: bool) -> None:
        self.hub.requests.append((self.command, self.path, self.headers.get("Range")))
        found = _RESOLVE.fullmatch(self.path) or _API.fullmatch(self.path)
        if found is None:
            return self._error(404, "EntryNotFound", with_content)
        name, revision = found["name"], found["revision"]
        if name not in self.hub.models or name in self.hub.private:
            return self._error(401, "RepoNotFound", with_content)
        # As on the hub, what a gated model is may be read by all, and its files by few.
        if "file" in found.groupdict() and name in self.hub.gated:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if token != self.hub.token:
                return self._error(403 if token else 401, "GatedRepo", with_content)
        if revision not in {None, "main", COMMIT}:
            return self._error(404, "RevisionNotFound", with_content)
        if "file" in found.groupdict():
            return self._file(self.hub.models[name] / found["file"], with_content)
        return self._about(name, found["what"], found["rest"], with_content)

    def _about(self, name: str, what: str | None, rest: str, with_content: bool) -> None:
        folder = self.hub.models[name]
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        if what == "tree":
            if rest.partition("?")[0].strip("/"):
                return self._error(404, "EntryNotFound", with_content)
            sizes = {file: (folder / file).stat().st_size for file in files}
            listed = [{"type": "file", "path": file, "size": sizes[file], "oid": file} for file in files]
            return self._send(200, json.dumps(listed).encode(), {"Content-Type": "application/json"}, with_content)
        about = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files], "tags": []}
        return self._send(200, json.dumps(about).encode(), {"Content-Type": "application/json"}, with_content)

    def _file(self, path: Path, with_content: bool) -> None:
        if path.name in self.hub.missing or not path.is_file():
            return self._error(404, "EntryNotFound", with_content)
        content = path.read_bytes()
        begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
            "X-Linked-Size": str(len(content)),
            "X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"',
        }
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        cut = with_content and self.hub.cuts.get(path.name, 0) > 0
        if cut:
            self.hub.cuts[path.name] -= 1
        self._send(206 if begin else 200, content[begin:], headers, with_content, cut=cut)

    def _error(self, status: int, code: str, with_content: bool) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code}, with_content)

    def _send(
        self, status: int, content: bytes, headers: dict[str, str], with_content: bool, cut: bool = False
    ) -> None:
        self.send_response(status)
        for header, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(header, value)
        self.end_headers()
        if with_content:
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True


class HubServer(ThreadingHTTPServer):
    """Server of a stand-in, which may be another from test to test: the hub's client keeps the first address."""

    hub: StandIn

    @property
    def address(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def served() -> Iterator[HubServer]:
    """Serve in the block what is put into the server's ``hub``."""
    with HubServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
