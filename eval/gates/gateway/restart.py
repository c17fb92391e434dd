"""500 posts at once through our own client, with one restart of the server in between: all are answered.

    python -m eval.gates.gateway.restart --posts 500

Twice: the server is ended by SIGTERM and started again by somebody else; the engine is killed, and started again by the
server (``--restart on-failure``).
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from eval.gates.gateway.assembly import KEY
from eval.gates.gateway.harness import Server, report, start
from eval.gates.gateway.stand_in import MODEL
from instruct_mner import Tagger
from instruct_mner.engines.endpoint import Endpoint
from instruct_mner.schema.records import Example
from instruct_mner.vllm_runtime.process import free_port


def _tag(tagger: Tagger, num: int) -> tuple[int, float]:
    """Tag posts at once, and return how many of the answers are right, and the time."""
    begin = time.perf_counter()
    posts = [(Example(id=str(number), text=f"Name{number} is here"), ()) for number in range(num)]
    predictions = tagger.predict_opened(posts, ["PER", "LOC"])
    right = sum(
        [each.text for each in prediction.entities] == [f"Name{number}"]
        for number, prediction in enumerate(predictions)
    )
    return right, round(time.perf_counter() - begin, 1)


def _run(num: int, *, kill: bool, pause: float) -> dict[str, Any]:
    os.environ["OPENAI_API_KEY"] = KEY
    port = free_port()
    flags = ("--engine-seconds", "1.0", "--restart", "on-failure")
    with tempfile.TemporaryDirectory() as folder:
        servers = [start(port, Path(folder), *flags)]

        def disturb() -> None:
            time.sleep(pause)
            if kill:
                os.kill(servers[0].pids["engine"], signal.SIGKILL)
                return
            servers[0].end()
            servers.append(start(port, Path(folder), *flags))

        disturber = threading.Thread(target=disturb)
        tagger = Tagger.connect(Endpoint(servers[0].url, MODEL, concurrency=num, timeout_seconds=120))
        # A server that has never answered is not waited for.
        warm = _tag(tagger, 8)[0]
        disturber.start()
        right, seconds = _tag(tagger, num)
        disturber.join()
        codes = [_end(each) for each in servers]
    passed = right == num and warm == 8 and codes == [0] * len(codes)
    return {
        "posts": num,
        "right": right,
        "seconds": seconds,
        "servers": len(servers),
        "exit codes": codes,
        "passed": passed,
    }


def _end(server: Server) -> int:
    code = server.process.poll()
    return server.end() if code is None else code


def prove(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run both."""
    results = {
        "the server is ended and started again": _run(arguments.posts, kill=False, pause=arguments.pause),
        "the engine is killed, and started again by the server": _run(
            arguments.posts, kill=True, pause=arguments.pause
        ),
    }
    return {**results, "passed": all(each["passed"] for each in results.values())}


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=500)
    parser.add_argument("--pause", type=float, default=1.5, help="seconds before the restart")
    report(parser, prove)


if __name__ == "__main__":
    main()
