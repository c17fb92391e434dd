"""The gateway as a process, put together and ended as by ``serve``, before the stand-in as the engine.

    python -m eval.gates.gateway.server --port 8000 --restart on-failure

The first line of its output is a JSON object with the ids of its processes. Exit codes are those of ``serve``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from PIL import Image

from eval.gates.gateway.assembly import PRIVATE_KEY, assemble
from instruct_mner.cli.process import exit_code
from instruct_mner.serving.limits import Limits
from instruct_mner.serving.restarts import RestartPolicy
from instruct_mner.serving.running import SIGNALS, listen, open_gateway, wait
from instruct_mner.serving.running import run as run_gateway
from instruct_mner.vllm_runtime.process import VllmProcess, free_port


def run(arguments: argparse.Namespace) -> None:
    """Serve until a signal comes, or the engine ends for good."""
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    limits = replace(Limits(), drain_seconds=arguments.drain_seconds)
    port = free_port()
    command = [sys.executable, "-m", "eval.gates.gateway.stand_in", "--port", str(port)]
    command += ["--seconds", str(arguments.engine_seconds)]
    environment = {**os.environ, "VLLM_API_KEY": PRIVATE_KEY}
    with suppress(KeyboardInterrupt), listen("127.0.0.1", arguments.port) as listener:
        url = f"http://127.0.0.1:{port}"
        with VllmProcess(command, url, environment, arguments.log) as engine:
            wait(engine)
            built = assemble(url, limits, is_running=lambda: engine.is_running)
            built.lifecycle.note_token()
            policy = RestartPolicy(when=arguments.restart, first_seconds=0.5)

            def say_ready() -> None:
                worker = re.findall(r"worker (\d+)", engine.log.read_text())[-1]
                assert engine._process is not None
                pids = {"gateway": os.getpid(), "guard": engine._process.pid, "worker": int(worker)}
                print(json.dumps(pids), flush=True)

            run_gateway(
                open_gateway(
                    built.app,
                    engine,
                    listener,
                    built.connections,
                    built.lifecycle,
                    limits,
                    say_ready,
                    policy,
                    lambda: wait(engine),
                )
            )


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--restart", choices=("never", "on-failure"), default="never")
    parser.add_argument("--engine-seconds", type=float, default=0.0)
    parser.add_argument("--drain-seconds", type=float, default=30.0)
    parser.add_argument("--log", type=Path, required=True)
    arguments = parser.parse_args()
    sys.exit(exit_code(lambda: run(arguments)))


if __name__ == "__main__":
    main()
