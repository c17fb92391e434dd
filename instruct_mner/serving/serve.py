"""``serve``, from top to bottom: check, start vLLM, check it, open the gateway, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING

import httpx
from PIL import Image
from rich.console import Console

from instruct_mner.engines.endpoint import Endpoint, EndpointEngine
from instruct_mner.errors import ConfigError
from instruct_mner.serving.limits import Limits
from instruct_mner.serving.self_check import check_server
from instruct_mner.serving.usage import usage
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.vllm_runtime.command import (
    seeds_are_fatal,
    server_arguments,
    shown_command,
    vllm_command,
    vllm_environment,
)
from instruct_mner.vllm_runtime.plan import Plan, make_plan
from instruct_mner.vllm_runtime.process import VllmProcess, free_port

if TYPE_CHECKING:
    from fastapi import FastAPI

KEY_VARIABLE = "INSTRUCT_MNER_API_KEY"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WATCH_SECONDS = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Taggers = dict[str, tuple[Tagger, EndpointEngine]]


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Settings of a server; fields are those of the command line."""

    adapters: tuple[str, ...]
    model: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    dtype: str = "auto"
    remote_domains: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    vllm: tuple[str, ...] = ()


def vllm_command_line(settings: ServeSettings) -> str:
    """Return the command that starts vLLM alone, for people who run it themselves."""
    plan = make_plan(settings.adapters, settings.model, settings.dtype)
    return shown_command(_arguments(plan, settings), settings.host, settings.port)


def serve(settings: ServeSettings, console: Console) -> None:
    """Serve until it is told to end.

    Raises:
        MnerError: What is to be served cannot be, vLLM does not start or ends, or it does not do what it must.
    """
    # Such pictures are refused, with a message to those who send them.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    # As Ctrl-C: whatever is under way is left by its way out, which ends vLLM.
    for number in _SIGNALS:
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        _serve(settings, console)


def _serve(settings: ServeSettings, console: Console) -> None:
    key = _key(settings.host)
    _check_installed()
    with _listener(settings.host, settings.port) as listener:
        plan = make_plan(settings.adapters, settings.model, settings.dtype)
        names = ", ".join(model.name for model in plan.models)
        console.print(f"serving {names} ({plan.base}, {plan.dtype})")
        port, private_key = free_port(), secrets.token_urlsafe(32)
        url = f"http://127.0.0.1:{port}"
        command = vllm_command(_arguments(plan, settings), "127.0.0.1", port)
        environment = {**os.environ, **vllm_environment(), "VLLM_API_KEY": private_key}
        with VllmProcess(command, url, environment) as vllm:
            _wait(vllm, console)
            taggers = _taggers(plan, url, private_key, _window(url, private_key))
            check_server(plan, {name: tagger for name, (tagger, _) in taggers.items()}, url, private_key)
            console.print("self-check passed: adapters change answers, answers keep the grammar")
            gateway = _gateway(plan, taggers, vllm, private_key, key, settings)
            ready = usage(plan, settings.host, settings.port, KEY_VARIABLE if key is not None else None)
            asyncio.run(_open(gateway, vllm, listener, lambda: print(ready, flush=True)))


def _key(host: str) -> str | None:
    """Return the key that clients must send.

    Raises:
        ConfigError: There is none, and others than this machine could ask.
    """
    key = os.environ.get(KEY_VARIABLE) or None
    if key is None and host not in _LOOPBACK:
        raise ConfigError(
            f"--host {host} lets others ask: set {KEY_VARIABLE} to a key that they must send, or leave --host out"
        )
    if key is not None and (not key.isascii() or not key.isprintable() or " " in key):
        raise ConfigError(f"{KEY_VARIABLE} holds characters that no HTTP header may hold; choose letters and digits")
    return key


def _check_installed() -> None:
    missing = [name for name in ("vllm", "fastapi", "uvicorn", "httpx", "prometheus_client") if not find_spec(name)]
    if missing:
        raise ConfigError(f"'serve' needs {', '.join(missing)}: pip install 'instruct-mner[serve]'")


def _listener(host: str, port: int) -> socket.socket:
    """Return the socket of the gateway; it is taken now, and listened on when there is somebody to answer."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise ConfigError(f"--host {host} --port {port}: {error.strerror or error}; choose another port") from None
    return listener


def _arguments(plan: Plan, settings: ServeSettings) -> list[str]:
    return server_arguments(plan, remote_domains=settings.remote_domains, extra=settings.vllm)


def _wait(vllm: VllmProcess, console: Console) -> None:
    """Wait until vLLM answers; on a terminal its phase is displayed."""
    with httpx.Client(base_url=vllm.url, timeout=5) as client, console.status("starting vLLM") as status:

        def is_ready() -> bool:
            with suppress(httpx.TransportError):
                return client.get("/health").status_code == 200
            return False

        phases = [""]

        def show(phase: str) -> None:
            status.update(f"vLLM: {phase}")
            phase_name = phase.rpartition(" (")[0]
            if not console.is_terminal and phase_name != phases[0]:
                phases[0] = phase_name
                console.print(f"vLLM: {phase}")

        vllm.wait_until_ready(is_ready, show)


def _window(url: str, private_key: str) -> int:
    """Return tokens of prompt and answer that vLLM takes, by the model, by its flags or by the memory."""
    answer = httpx.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {private_key}"}, timeout=60)
    return int(answer.raise_for_status().json()["data"][0]["max_model_len"])


def _taggers(plan: Plan, url: str, private_key: str, window: int) -> Taggers:
    """Return a tagger on vLLM for each model, by name."""
    taggers = {}
    for model in plan.models:
        # vLLM is ours: what it cannot do now, it cannot do at another try.
        engine = EndpointEngine(Endpoint(url, model.name, max_retries=0, window=window), model.description, private_key)
        taggers[model.name] = (Tagger(engine, model.manifest, model.prompt), engine)
    return taggers


def _gateway(
    plan: Plan, taggers: Taggers, vllm: VllmProcess, private_key: str, key: str | None, settings: ServeSettings
) -> FastAPI:
    from instruct_mner.serving.entities_route import EntityService
    from instruct_mner.serving.gateway import build_gateway
    from instruct_mner.serving.metrics import Counters
    from instruct_mner.serving.openai_routes import Upstream

    counters, limits = Counters(), settings.limits
    processor = plan.whole.description.processor
    special_tokens = {token for model in plan.models for token in model.description.special_tokens}
    placeholders = [token for token in special_tokens if token in _placeholders(processor)]
    client = httpx.AsyncClient(
        base_url=vllm.url,
        headers={"authorization": f"Bearer {private_key}"},
        timeout=httpx.Timeout(600, connect=30),
        limits=httpx.Limits(max_connections=None),
    )
    names = [model.name for model in plan.models]
    upstream = Upstream(
        client,
        names,
        sorted(special_tokens),
        placeholders,
        limits,
        plan.max_images,
        settings.remote_domains,
        without_seed=seeds_are_fatal(),
    )
    engine = taggers[plan.whole.name][1]
    service = EntityService(taggers, engine.client(), limits, counters)
    return build_gateway(service, upstream, counters, key=key, limits=limits, is_running=lambda: vllm.is_running)


def _placeholders(processor: object) -> set[str]:
    """Return tokens that stand for pictures and videos."""
    names = ("image_token", "video_token", "boi_token", "image_token_fake", "fake_image_token", "global_image_token")
    return {str(getattr(processor, name)) for name in names if hasattr(processor, name)}


async def _open(gateway: FastAPI, vllm: VllmProcess, listener: socket.socket, say_ready: Callable[[], None]) -> None:
    """Answer until it is told to end, or vLLM ends."""
    import uvicorn

    class Server(uvicorn.Server):
        """uvicorn, without its own way with signals: it raises them again at the end."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        gateway,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=10,
        # Longer than clients and proxies keep a connection that they do not use: who closes first must be they, or a
        # request that is on its way is lost.
        timeout_keep_alive=90,
    )
    server = Server(config)

    def end() -> None:
        server.should_exit = True

    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, end)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not running.done():
        await asyncio.sleep(0.05)
    say_ready()
    while not running.done() and vllm.is_running:
        await asyncio.wait([running], timeout=_WATCH_SECONDS)
    vllm_ended = not running.done()
    end()
    await running
    if vllm_ended:
        raise vllm.failure("ended")
