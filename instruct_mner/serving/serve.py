"""``serve``, from top to bottom: check, start vLLM, check it, open the gateway, and leave nothing behind."""

from __future__ import annotations

import os
import secrets
import signal
import warnings
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from PIL import Image
from rich.console import Console

from instruct_mner.console import name_work, stop_display
from instruct_mner.serving.log_files import check_logs, engine_log_held
from instruct_mner.serving.settings import KEY_VARIABLE, ServeSettings, check_installed, keys_of
from instruct_mner.vllm_runtime.named import read_named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from instruct_mner.serving.application import Taggers
    from instruct_mner.serving.keys import Keys
    from instruct_mner.vllm_runtime.named import Named
    from instruct_mner.vllm_runtime.plan import Plan

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def vllm_command_line(settings: ServeSettings) -> str:
    """Return the command that starts vLLM alone, for people who run it themselves."""
    named = read_named(settings.adapters, settings.model)
    from instruct_mner.vllm_runtime.command import shown_command
    from instruct_mner.vllm_runtime.plan import plan_of

    plan = plan_of(named, settings.model, settings.dtype)
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
    keys = keys_of(settings, console)
    check_logs(access_log=settings.access_log, engine_log=settings.engine_log, keys=settings.keys)
    check_installed()
    named = read_named(settings.adapters, settings.model)
    # What this imports takes many seconds, and is not needed to say what is wrong above.
    _start(settings, named, keys, console)


def _start(settings: ServeSettings, named: Sequence[Named], keys: Keys | None, console: Console) -> None:
    from instruct_mner.serving.application import context_window, make_gateway, make_taggers
    from instruct_mner.serving.connections import ConnectionLimit
    from instruct_mner.serving.gateway import Door
    from instruct_mner.serving.lifecycle import Lifecycle
    from instruct_mner.serving.restarts import RestartPolicy
    from instruct_mner.serving.running import checking, listen, open_gateway, run, wait
    from instruct_mner.serving.self_check import check_post, check_server
    from instruct_mner.serving.task_pictures import KEY_VARIABLE as LABEL_STUDIO_KEY
    from instruct_mner.serving.task_pictures import TaskPictures
    from instruct_mner.serving.usage import usage
    from instruct_mner.vllm_runtime.command import vllm_command, vllm_environment
    from instruct_mner.vllm_runtime.plan import plan_of
    from instruct_mner.vllm_runtime.process import VllmProcess, free_port

    task_pictures = None
    if settings.label_studio is not None:
        label_studio_key = os.environ.get(LABEL_STUDIO_KEY) or None
        task_pictures = TaskPictures(settings.label_studio, label_studio_key, most_bytes=settings.limits.body_bytes)
    with engine_log_held(settings.engine_log), listen(settings.host, settings.port) as listener:
        plan = plan_of(named, settings.model, settings.dtype)
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
            lines = [*check(), "self-check passed: adapters change answers, answers keep the grammar"]
            console.print("\n".join(lines), markup=False)
            limits = settings.limits
            connections = ConnectionLimit(limits.connections, limits.header_seconds, limits.header_bytes)
            lifecycle = Lifecycle()
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
                Door(origins=settings.origins, access_log=settings.access_log, task_pictures=task_pictures),
            )
            stop_display()
            variable = None if keys is None else KEY_VARIABLE
            ready = usage(plan, settings.host, settings.port, variable, settings.keys)
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


def _arguments(plan: Plan, settings: ServeSettings) -> list[str]:
    from instruct_mner.vllm_runtime.command import server_arguments

    bounds = (("--max-num-queued-reqs", settings.max_queued), ("--max-num-queued-tokens", settings.max_queued_tokens))
    queue = [word for flag, most in bounds if most is not None for word in (flag, str(most))]
    embeds = ["--enable-mm-embeds"] if settings.missing_image == "generate" else []
    return server_arguments(plan, remote_domains=settings.remote_domains, extra=(*embeds, *queue, *settings.vllm))
