"""The gateway while it runs: its socket, its signals, and the engine that it watches."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from uvicorn.loops.auto import auto_loop_factory

from instruct_mner.errors import ConfigError, ServingError
from instruct_mner.serving.connections import ConnectionLimit
from instruct_mner.serving.lifecycle import Lifecycle
from instruct_mner.serving.limits import Limits
from instruct_mner.serving.request_log import ACCESS, held_back
from instruct_mner.serving.restarts import RestartPolicy, keep_running
from instruct_mner.vllm_runtime.process import VllmProcess, describe_status

# Loggers of which a request alone can have a line written.
_FLOODED = ("uvicorn.error", "instruct_mner.serving.label_studio", ACCESS)
# Time from an answer that fails to the end of a vLLM whose engine has ended.
_END_SECONDS = 5.0
_POLL_SECONDS = 0.05
_HOSTS = "give a name or address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of its addresses"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """Hold the socket of the gateway; it is taken now, and listened on when there is somebody to answer.

    Raises:
        ConfigError: The address or the port cannot be taken.
    """
    with ExitStack() as held:
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            listener = held.enter_context(socket.socket(family, kind))
            # Or connections of an earlier server would keep the port for a minute.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            if sys.platform == "linux":
                # There, such sockets share a port until one of them listens; names of this kind are of one process.
                name = f"\0instruct-mner serve {listener.getsockname()}"
                held.enter_context(socket.socket(socket.AF_UNIX)).bind(name)
        except (OSError, UnicodeError) as error:
            raise _refusal(host, port, error) from None
        yield listener


def _refusal(host: str, port: int, error: OSError | UnicodeError) -> ConfigError:
    """Return the error of an address that cannot be listened on."""
    if isinstance(error, UnicodeError):  # empty labels, and such of more than 63 characters
        return ConfigError(f"--host {host}: no host has such a name; {_HOSTS}")
    reason = error.strerror or error
    if error.errno in {errno.EADDRINUSE, errno.EACCES}:
        return ConfigError(f"--host {host} --port {port}: {reason}; choose another port")
    return ConfigError(f"--host {host}: {reason}; {_HOSTS}")


def wait(vllm: VllmProcess, show: Callable[[str], None] = lambda phase: None) -> None:
    """Wait until vLLM answers.

    Args:
        vllm: Process of vLLM.
        show: Function that gets what it does.

    Raises:
        ServingError: It ends instead.
    """
    with httpx.Client(base_url=vllm.url, timeout=5) as client:

        def is_ready() -> bool:
            with suppress(httpx.TransportError):
                return client.get("/health").status_code == 200
            return False

        vllm.wait_until_ready(is_ready, show)


@contextmanager
def checking(vllm: VllmProcess) -> Iterator[None]:
    """Say how vLLM ended, where that is why a check within the block failed.

    Args:
        vllm: Process of vLLM.

    Raises:
        ServingError: The check failed.
    """
    try:
        yield
    except ServingError:
        deadline = time.monotonic() + _END_SECONDS
        while vllm.is_running and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        if vllm.is_running:
            raise
        raise vllm.failure(f"{describe_status(vllm.exit_status)} while it was checked") from None


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run the gateway in the event loop that serves most connections in a time: uvloop's, where it is installed."""
    with held_back(*_FLOODED), asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(work)


async def open_gateway(
    gateway: FastAPI,
    vllm: VllmProcess,
    listener: socket.socket,
    connections: ConnectionLimit,
    lifecycle: Lifecycle,
    limits: Limits,
    say_ready: Callable[[], None],
    policy: RestartPolicy,
    wait_until_ready: Callable[[], None],
) -> None:
    """Answer until a signal comes, or vLLM ends for good.

    Args:
        gateway: Application.
        vllm: Process of vLLM.
        listener: Socket of the gateway.
        connections: Register of connections.
        lifecycle: State of the server.
        limits: Limits of requests.
        say_ready: Function that is called when connections are taken.
        policy: Settings of restarts.
        wait_until_ready: Function that waits until a vLLM that was started again is ready, and checks it.

    Raises:
        ConfigError: Another program listens on the port.
        EngineEndedError: vLLM has ended.
    """

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
        http=connections.protocol(),
        ws="none",
        h11_max_incomplete_event_size=limits.header_bytes,
        # Addresses are those of the connections: what a header says of them, anybody can write.
        proxy_headers=False,
        # Longer than clients and proxies keep a connection that they do not use: who closes first must be they, or a
        # request that is on its way is lost.
        timeout_keep_alive=90,
    )
    server = Server(config)
    try:
        # The event loop says nothing of an error.
        listener.listen(config.backlog)
    except OSError as error:
        host, port, *_ = listener.getsockname()
        raise _refusal(host, port, error) from None
    drains: list[asyncio.Task[None]] = []

    def end() -> None:
        server.should_exit = True

    def drain() -> None:
        """Answer what is under way, then end; a second signal does not wait."""
        if drains:
            end()
            return
        drains.append(asyncio.create_task(lifecycle.drain(limits.drain_seconds)))
        drains[0].add_done_callback(lambda _: end())

    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            asyncio.get_running_loop().add_signal_handler(number, drain)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not running.done():
        await asyncio.sleep(0.05)
    if not server.started:
        await running  # raises what has ended it
        return
    say_ready()
    watcher = asyncio.create_task(keep_running(vllm, policy, wait_until_ready, lifecycle))
    await asyncio.wait([running, watcher], return_when=asyncio.FIRST_COMPLETED)
    end()
    watcher.cancel()
    [outcome] = await asyncio.gather(watcher, return_exceptions=True)
    if lifecycle.is_starting:
        # A thread waits for it to be ready.
        await asyncio.to_thread(vllm.stop)
    await running
    if isinstance(outcome, Exception):
        raise outcome
