"""Longest time in which a verb writes nothing, with a terminal and without, in wall and in processor time.

    python -m eval.gates.silence --output silence.json                  every verb, both ways
    python -m eval.gates.silence --only tag finetune --without-terminal
    python -m eval.gates.silence --list

Each verb runs as a user runs it, on SmolLM2 where it takes a model. Everything that it writes is stamped; a gap is the
time between two pieces of output, from the start to the first, or from the last to the end. On a machine that is busy
with other work the wall time of a gap is too long: the processor time of the process and its children is given beside.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from instruct_mner.files import replacing

MOST_SECONDS = 2.0
"""Longest gap that is allowed."""

_MODEL = "smollm2"
_LABELS = ("--labels", "PER,LOC,ORG,MISC")
_STEP = 0.05

Command = tuple[str, ...]
COMMANDS: dict[str, Command] = {
    "import": ("import", "posts.csv", "-o", "imported.jsonl"),
    "validate": ("validate", "posts.jsonl", "--explain"),
    "convert": ("convert", "posts.jsonl", "converted.jsonl"),
    "synth": ("synth", "synthetic", "--num", "60"),
    "init": ("init", "project"),
    "env": ("env",),
    "evaluate": ("evaluate", "posts.jsonl", "posts.jsonl", "posts.jsonl", "--explain"),
    "finetune --dry-run": ("finetune", "config.yaml", "--dry-run"),
    "finetune": ("finetune", "config.yaml"),
    "finetune --resume": ("finetune", "config.yaml", "--resume"),
    "tag": ("tag", "few.jsonl", "--model", _MODEL, *_LABELS, "-o", "tagged.jsonl"),
    "tag --examples": (
        "tag", "few.jsonl", "--model", _MODEL, *_LABELS, "--examples", "posts.jsonl", "--num-examples", "2",
        "--choose", "nearest", "-o", "few-shot.jsonl",
    ),
    "tag --adapter": ("tag", "few.jsonl", "--adapter", "run", "-o", "tuned.jsonl"),
    "calibrate": ("calibrate", "run", "few.jsonl", "--explain"),
    "merge": ("merge", "run", "merged"),
    "context": ("context", "pictures/posts.jsonl", "described.jsonl", "--captions", "starter"),
    "demo": ("demo", "--output", "demo", "--posts", "40", "--test-posts", "16", "--no-serve"),
    "report": ("report", "posts.jsonl", "posts.jsonl", "-o", "page.html"),
    "serve": ("serve", "run", "--port", "18437"),
}  # fmt: skip
"""Commands by name, in the order in which they run: some go on with what others made."""
_READY = b"ready"


@dataclass(frozen=True)
class Silence:
    """Silence of a command.

    Attributes:
        command: Its arguments.
        terminal: True where its output was a terminal.
        code: Exit code; ``None`` where it was ended after it was ready.
        seconds: Wall time of the whole command.
        processor_seconds: Processor time of the command and its children.
        longest_gap: Longest wall time without output, in seconds.
        longest_processor_gap: Longest processor time without output, in seconds.
        last_words: Last output before the longest gap of processor time.
    """

    command: str
    terminal: bool
    code: int | None
    seconds: float
    processor_seconds: float
    longest_gap: float
    longest_processor_gap: float
    last_words: str


def measure(command: Sequence[str], folder: Path, *, terminal: bool) -> Silence:
    """Run a command and measure its silence.

    Args:
        command: Arguments of the command line.
        folder: Working folder.
        terminal: Whether its output is a terminal.
    """
    reading, writing = pty.openpty() if terminal else os.pipe()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "80"}
    begun = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-m", "instruct_mner", *command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=writing,
    )
    os.close(writing)
    observed = psutil.Process(process.pid)
    last, last_used, used = begun, 0.0, 0.0
    gap = used_gap = 0.0
    words = tail = b""
    ready = False
    while True:
        has_output = bool(select.select([reading], [], [], _STEP)[0])
        piece = _read(reading) if has_output else b""
        used = max(used, _processor_seconds(observed))
        now = time.monotonic()
        gap = max(gap, now - last)
        if used - last_used > used_gap:
            used_gap, words = used - last_used, tail
        if piece:
            last, last_used, tail = now, used, piece[-200:]
            ready = ready or (command[0] == "serve" and _READY in piece)
        if ready or (has_output and not piece) or (not has_output and process.poll() is not None):
            break
    code = None if ready else process.wait()
    if ready:
        _end(process)
    os.close(reading)
    return Silence(
        command=" ".join(command),
        terminal=terminal,
        code=code,
        seconds=round(time.monotonic() - begun, 2),
        processor_seconds=round(used, 2),
        longest_gap=round(gap, 2),
        longest_processor_gap=round(used_gap, 2),
        last_words=words.decode(errors="replace").strip()[-120:],
    )


def _read(reading: int) -> bytes:
    try:
        return os.read(reading, 1 << 16)
    except OSError:  # the end of a terminal
        return b""


def _processor_seconds(process: psutil.Process) -> float:
    """Return the processor time of a process, of its children that live, and of those that have ended."""
    used = 0.0
    with suppress(psutil.Error):
        times = process.cpu_times()
        used += times.user + times.system + times.children_user + times.children_system
        for child in process.children(recursive=True):
            with suppress(psutil.Error):
                times = child.cpu_times()
                used += times.user + times.system
    return used


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(120)
        return
    process.kill()
    process.wait()


def make_inputs(folder: Path) -> None:
    """Write posts, a table, pictures and a config of a few steps into a folder."""
    names = ("Anna Bell", "Bob Reed", "Oslo", "Paris", "Acme")
    labels = ("PER", "PER", "LOC", "LOC", "ORG")
    posts = []
    for number in range(400):
        name, label = names[number % 5], labels[number % 5]
        text = f"{number} times {name} was seen in the news today"
        start = text.index(name)
        entity = {"start": start, "end": start + len(name), "text": name, "label": label}
        posts.append({"id": str(number), "text": text, "entities": [entity]})
    lines = [json.dumps(post) + "\n" for post in posts]
    (folder / "posts.jsonl").write_text("".join(lines))
    (folder / "few.jsonl").write_text("".join(lines[:12]))
    (folder / "posts.csv").write_text("id,text\n" + "".join(f"{post['id']},{post['text']}\n" for post in posts))
    (folder / "config.yaml").write_text(
        f"model: {_MODEL}\ndata: {{train: posts.jsonl, dev: few.jsonl}}\n"
        "optimizer: {max_steps: 4, batch_size: 4}\nevaluation: {every_steps: 2, posts: 4}\noutput: run\n"
    )
    from PIL import Image

    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(3):
        Image.new("RGB", (64, 64), (80 * number, 0, 0)).save(pictures / f"{number}.png")
    rows = ({"id": str(number), "text": "seen", "images": [f"{number}.png"]} for number in range(3))
    (pictures / "posts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the named verbs, or all, and return 1 where one is silent for longer than two seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=COMMANDS, metavar="NAME", help="commands to run; default all")
    parser.add_argument("--skip", nargs="+", choices=COMMANDS, metavar="NAME", default=[], help="commands to leave out")
    parser.add_argument("--without-terminal", action="store_true", help="run with a pipe alone")
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    parser.add_argument("--list", action="store_true", help="print the commands, and run none")
    chosen = parser.parse_args(arguments)
    if chosen.list:
        for name, command in COMMANDS.items():
            print(f"{name:20} instruct-mner {' '.join(command)}")
        return 0
    names = [name for name in chosen.only or COMMANDS if name not in chosen.skip]
    silences = []
    for terminal in (False,) if chosen.without_terminal else (False, True):
        with tempfile.TemporaryDirectory() as place:
            make_inputs(Path(place))
            for name in names:
                silence = measure(COMMANDS[name], Path(place), terminal=terminal)
                silences.append(silence)
                where = "terminal" if terminal else "pipe"
                print(
                    f"{name:20} {where:8} exit {silence.code}  gap {silence.longest_gap:5.2f} s wall, "
                    f"{silence.longest_processor_gap:5.2f} s processor; whole {silence.seconds:.1f} s, "
                    f"{silence.processor_seconds:.1f} s; before it: {silence.last_words!r}",
                    flush=True,
                )
                if chosen.output is not None:
                    with replacing(chosen.output) as file:
                        file.write(json.dumps([asdict(each) for each in silences], indent=2, ensure_ascii=False) + "\n")
    worst = max(silences, key=lambda silence: silence.longest_processor_gap)
    print(f"longest: {worst.longest_processor_gap} s of processor time in {worst.command!r}")
    failed = [silence for silence in silences if silence.code or silence.longest_processor_gap > MOST_SECONDS]
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
