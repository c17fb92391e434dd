"""``serve``, from top to bottom: check, start vLLM, check it, open the gateway, and leave nothing behind."""

from __future__ import annotations

import os
import re
import secrets
import signal
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from rich.console import Console

from instruct_mner.console import name_work, stop_display
from instruct_mner.errors import ConfigError
from instruct_mner.schema.choices import Restart, ServedMissingImage
from instruct_mner.serving.keys import Client, Keys, check_key
from instruct_mner.serving.limits import Limits
from instruct_mner.serving.log_files import check_logs, engine_log_held
from instruct_mner.serving.self_check import check_post, check_server
from instruct_mner.serving.usage import usage
from instruct_mner.vllm_runtime.command import (
    server_arguments,
    shown_command,
    vllm_command,
    vllm_environment,
)
from instruct_mner.vllm_runtime.plan import Plan, make_plan
from instruct_mner.vllm_runtime.process import VllmProcess, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from instruct_mner.serving.application import Taggers

KEY_VARIABLE = "INSTRUCT_MNER_API_KEY"
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?:(?P<host>[a-z0-9.-]+)|\[(?P<ipv6>[0-9a-f:.]+)\])(?::(?P<port>\d{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_DOMAIN = re.compile(r"[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)*")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Settings of a server; fields are those of the command line."""

    adapters: tuple[str, ...]
    model: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    dtype: str = "auto"
    missing_image: ServedMissingImage = "text"
    remote_domains: tuple[str, ...] = ()
    keys: Path | None = None
    origins: tuple[str, ...] = ()
    access_log: Path | None = None
    max_queued: int | None = None
    max_queued_tokens: int | None = None
    restart: Restart = "never"
    engine_log: Path | None = None
    label_studio: str | None = None
    limits: Limits = field(default_factory=Limits)
    vllm: tuple[str, ...] = ()


def vllm_command_line(settings: ServeSettings) -> str:
    """Return the command that starts vLLM alone, for people who run it themselves."""
    plan = make_plan(settings.adapters, settings.model, settings.dtype)
    return shown_command(_arguments(plan, settings), settings.host, settings.port)


def serve(settings: ServeSettings, console: Console) -> None:
    """Serve until a signal comes.

    Raises:
        MnerError: What is to be served cannot be, vLLM does not start or ends, or it does not do what it must.
    """
    # Such pictures are refused, with a message to those who send them.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    # As Ctrl-C: whatever is under way is left by its way out, which ends vLLM.
    for number in _SIGNALS:
        if signal.getsignal(number) is signal.SIG_IGN:
            continue  # as nohup leaves SIGHUP
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        _serve(settings, console)


def _serve(settings: ServeSettings, console: Console) -> None:
    keys = _keys(settings, console)
    check_logs(access_log=settings.access_log, engine_log=settings.engine_log, keys=settings.keys)
    _check_installed()
    from instruct_mner.serving.application import context_window, make_gateway, make_taggers
    from instruct_mner.serving.connections import ConnectionLimit
    from instruct_mner.serving.gateway import Door
    from instruct_mner.serving.lifecycle import Lifecycle
    from instruct_mner.serving.restarts import RestartPolicy
    from instruct_mner.serving.running import checking, listen, open_gateway, run, wait
    from instruct_mner.serving.task_pictures import KEY_VARIABLE as LABEL_STUDIO_KEY
    from instruct_mner.serving.task_pictures import TaskPictures

    task_pictures = None
    if settings.label_studio is not None:
        label_studio_key = os.environ.get(LABEL_STUDIO_KEY) or None
        task_pictures = TaskPictures(settings.label_studio, label_studio_key, most_bytes=settings.limits.body_bytes)
    with engine_log_held(settings.engine_log), listen(settings.host, settings.port) as listener:
        plan = make_plan(settings.adapters, settings.model, settings.dtype)
        console.print(f"serving {', '.join(model.name for model in plan.models)} ({plan.base}, {plan.dtype})")
        pictureless_of = _generation(plan, settings, console)
        port, private_key = free_port(), secrets.token_urlsafe(32)
        url = f"http://127.0.0.1:{port}"
        command = vllm_command(_arguments(plan, settings), "127.0.0.1", port)
        environment = {**os.environ, **vllm_environment(), "VLLM_API_KEY": private_key}
        with VllmProcess(command, url, environment, settings.engine_log) as vllm:
            wait(vllm, lambda phase: name_work(f"serve: vLLM: {phase.rpartition(' (')[0]}"))
            with checking(vllm):
                window = context_window(url, private_key)
            taggers = make_taggers(plan, url, private_key, window)
            pictureless = pictureless_of(url, private_key, window)

            def check() -> list[str]:
                with checking(vllm):
                    lines = check_server(plan, {name: each for name, (each, _) in taggers.items()}, url, private_key)
                    for name, (tagger, _) in pictureless.items():
                        check_post(name, tagger)
                return lines

            def wait_again() -> None:
                wait(vllm)
                check()

            name_work("serve: checking vLLM")
            for line in check():
                console.print(line, markup=False)
            console.print("self-check passed: adapters change answers, answers keep the grammar")
            limits = settings.limits
            connections = ConnectionLimit(limits.connections, limits.header_seconds, limits.header_bytes)
            lifecycle = Lifecycle()
            door = Door(origins=settings.origins, access_log=settings.access_log, task_pictures=task_pictures)
            lifecycle.note_token()
            gateway = make_gateway(
                plan,
                taggers,
                pictureless,
                vllm,
                private_key,
                keys,
                connections,
                lifecycle,
                limits,
                settings.remote_domains,
                door,
            )
            stop_display()
            key_variable = KEY_VARIABLE if keys is not None else None
            ready = usage(plan, settings.host, settings.port, key_variable, settings.keys)
            run(
                open_gateway(
                    gateway,
                    vllm,
                    listener,
                    connections,
                    lifecycle,
                    limits,
                    lambda: print(ready, flush=True),
                    RestartPolicy(when=settings.restart),
                    wait_again,
                )
            )


def _generation(plan: Plan, settings: ServeSettings, console: Console) -> Callable[[str, str, int], Taggers]:
    """Return what makes the taggers of posts without a picture, where these have others, of vLLM's address and key."""
    if settings.missing_image == "text":
        return lambda url, key, window: {}
    from instruct_mner.serving.generated_pictures import load_generator, make_generating

    console.print("loading the model a second time: it generates the pictures of posts that have none")
    return partial(make_generating, plan, load_generator(plan))


def _keys(settings: ServeSettings, console: Console) -> Keys | None:
    """Return the keys that clients must send: those of the file, or else the one of the environment.

    Raises:
        ConfigError: There are none, and others than this machine could send requests; or they cannot be used.
    """
    key = os.environ.get(KEY_VARIABLE) or None
    if settings.keys is not None:
        keys = Keys.of_file(settings.keys)
        # The printed commands take the first key of the file into that variable, where it may still be.
        if key is not None and keys.client_of(b"Bearer " + os.fsencode(key)) is None:
            console.print(f"the key in {KEY_VARIABLE} is not taken: it is none of those in --keys", markup=False)
        return keys
    if key is None and settings.host not in _LOOPBACK:
        raise ConfigError(
            f"--host {settings.host} lets others ask: set {KEY_VARIABLE} to a key that they must send, give --keys, or "
            "leave --host out"
        )
    if key is None:
        return None
    check_key(key, KEY_VARIABLE)
    return Keys({"client": Client(key=key)})


def checked_domains(domains: Iterable[str]) -> tuple[str, ...]:
    """Return the domains of ``--allow-remote-pictures`` in lower case, as those of addresses are compared.

    Raises:
        ConfigError: One is an address or a pattern, which no domain would ever equal.
    """
    lower = tuple(domain.lower() for domain in domains)
    for domain in lower:
        if not _DOMAIN.fullmatch(domain):
            raise ConfigError(
                f"--allow-remote-pictures {domain}: write a domain alone, such as pictures.example, without https://, "
                "port, path or '*'"
            )
    return lower


def checked_origins(origins: Iterable[str]) -> tuple[str, ...]:
    """Return the origins of ``--cors`` as browsers send them: in lower case, without the default port.

    Raises:
        ConfigError: One is no origin.
    """
    return tuple(origin if origin == "*" else _origin(origin) for origin in origins)


def _origin(origin: str) -> str:
    wrong = f"--cors {origin}: write an origin such as https://pages.example, without a path, or '*'"
    parts = _ORIGIN.fullmatch(origin.lower())
    if parts is None:
        raise ConfigError(wrong)
    scheme, host, ipv6, port = parts.group("scheme", "host", "ipv6", "port")
    try:
        host = host if ipv6 is None else f"[{IPv6Address(ipv6).compressed}]"
    except ValueError:
        raise ConfigError(wrong) from None
    number = _DEFAULT_PORTS[scheme] if port is None else int(port)
    if not 0 < number < 2**16:
        raise ConfigError(f"--cors {origin}: there is no port {number}; ports are 1 to 65535")
    return f"{scheme}://{host}" + ("" if number == _DEFAULT_PORTS[scheme] else f":{number}")


def _check_installed() -> None:
    missing = [name for name in ("vllm", "fastapi", "uvicorn", "httpx", "prometheus_client") if not find_spec(name)]
    if missing:
        raise ConfigError(f"'serve' needs {', '.join(missing)}: pip install 'instruct-mner[serve]'")


def _arguments(plan: Plan, settings: ServeSettings) -> list[str]:
    bounds = (("--max-num-queued-reqs", settings.max_queued), ("--max-num-queued-tokens", settings.max_queued_tokens))
    queue = [word for flag, most in bounds if most is not None for word in (flag, str(most))]
    embeds = ["--enable-mm-embeds"] if settings.missing_image == "generate" else []
    return server_arguments(plan, remote_domains=settings.remote_domains, extra=(*embeds, *queue, *settings.vllm))
