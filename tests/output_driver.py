"""Runs commands whose disk is full, and commands twice at once on one output; run by `test_outputs.py`.

Each command runs in a fork, as in `kill_driver.py`. A disk of a chosen size is a `tmpfs`, which root alone mounts.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml
from kill_driver import preload, remove, run, start

from instruct_mner.models.locations import STARTER_FOLDER
from instruct_mner.synthetic.label_sets import HELD_OUT
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.synthetic.write import synth

DISK = Path("disk")
_LABELS = ",".join(HELD_OUT.label_set().names)
_SHARES = (0.0, 0.3, 0.9)
"""Sizes of the full disk, as shares of what the output takes."""
_PAGE = 4096


@dataclass(frozen=True)
class Command:
    """A command and its output.

    Attributes:
        arguments: Arguments of the command line; ``OUT`` stands for the output.
        output: Name of the file or folder that it makes.
        proceed: Arguments to go on with after a failure; ``None`` for the same.
        whole: File of an output folder that is written last; ``None``: the output itself.
    """

    arguments: str
    output: str
    proceed: str | None = None
    whole: str | None = None

    def line(self, *, again: bool = False) -> list[str]:
        chosen = self.proceed if again and self.proceed else self.arguments
        return [str(DISK / self.output) if word == "OUT" else word for word in chosen.split()]

    def is_whole(self) -> bool:
        return (DISK / self.output / (self.whole or "")).exists()


COMMANDS = {
    "import": Command("import made/posts.csv -o OUT", "imported.jsonl"),
    "convert to JSONL": Command("convert made/test.jsonl OUT", "test.jsonl"),
    "convert to CSV": Command("convert made/test.jsonl OUT", "test.csv"),
    "convert to Parquet": Command("convert made/test.jsonl OUT", "test.parquet"),
    "synth": Command("synth OUT --num 6", "drawn", whole="train.jsonl"),
    "tag": Command(f"tag made/test.jsonl --model model --labels {_LABELS} -o OUT", "tagged.jsonl"),
    "report": Command("report made/test.jsonl made/test.jsonl -o OUT", "page.html"),
    "context": Command("context made/test.jsonl OUT --captions starter", "context.jsonl"),
    "merge": Command("merge run OUT", "merged", whole="model.safetensors"),
    "finetune": Command("finetune config.yaml", "run", "finetune config.yaml --resume", "README.md"),
}


def content(path: Path) -> dict[str, str]:
    """Return the hash of each file that is the same in each run."""
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    told = {".safetensors", ".jsonl", ".csv", ".png", ".html"} - ({".jsonl", ".html"} if path.name == "run" else set())
    return {
        str(each.relative_to(path)): hashlib.sha256(each.read_bytes()).hexdigest()
        for each in files
        if each.suffix in told and "checkpoints" not in each.parts
    }


def log() -> str:
    return Path("log.txt").read_text(errors="replace")


def full_disk(name: str, command: Command) -> list[str]:
    """Run a command on disks that are too small, then on one that is not, and return the faults."""
    DISK.mkdir(exist_ok=True)
    code, _ = run(*command.line())
    expected = content(DISK / command.output)
    if code != 0 or not command.is_whole():
        return [f"{name}: it does not run at all: {log()[-500:]}"]
    taken = sum(each.stat().st_size for each in DISK.rglob("*") if each.is_file())
    remove(DISK)
    faults = []
    for share in _SHARES:
        DISK.mkdir()
        # A disk of nothing at all is asked for as one page: a size of 0 has no limit.
        size = max(_PAGE, int(taken * share) // _PAGE * _PAGE)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", DISK], check=True)
        try:
            if share == 0:
                (DISK / "filling").write_bytes(b"x" * _PAGE)
            code, _ = run(*command.line())
            errors = [line for line in log().splitlines() if "error:" in line or "Error" in line]
            if code != 2 or len(errors) != 1 or "No space left" not in " ".join(log().split()):
                faults.append(f"{name}, {share:.0%} of its size: exit code {code}: {log()[-800:]}")
            if command.is_whole():
                faults.append(f"{name}, {share:.0%} of its size: half an output: {log()[-800:]}")
            (DISK / "filling").unlink(missing_ok=True)
            subprocess.run(["mount", "-o", "remount,size=200m", DISK], check=True)
            again = command.proceed is not None and (DISK / command.output).exists()
            code, _ = run(*command.line(again=again))
            if code != 0 or content(DISK / command.output) != expected:
                faults.append(
                    f"{name}, {share:.0%} of its size: another output when there is room: {code}: {log()[-800:]}"
                )
        finally:
            subprocess.run(["umount", DISK], check=True)
        remove(DISK)
    return faults


def two_at_once(name: str, command: Command) -> list[str]:
    """Run a command twice at once, and return the faults."""
    DISK.mkdir()
    run(*command.line())
    expected = content(DISK / command.output)
    remove(DISK)
    DISK.mkdir()
    children = [start(Path(f"log{number}.txt"), *command.line()) for number in range(2)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    logs = [Path(f"log{number}.txt").read_text(errors="replace") for number in range(2)]
    faults = []
    if sorted(codes) != [0, 2]:
        faults.append(f"{name}, twice at once: exit codes {codes}: {[each[-400:] for each in logs]}")
    elif not any(word in logs[codes.index(2)] for word in ("another run", "exist")):
        faults.append(f"{name}, twice at once: {logs[codes.index(2)][-400:]}")
    if content(DISK / command.output) != expected:
        faults.append(f"{name}, twice at once: another output")
    remove(DISK)
    return faults


def main() -> None:
    """Prove what is named in the working folder, and print the faults as JSON."""
    shutil.copytree(STARTER_FOLDER, "model")
    for split, num in (("train", 12), ("dev", 4), ("test", 40)):
        synth(Path("made"), Synthesis(domain=HELD_OUT, split=split), num, 0)  # type: ignore[arg-type]
    Path("made/posts.csv").write_text("id,text\n" + "".join(f"{number},Ann in Oslo\n" for number in range(2000)))
    values = {
        "model": "model",
        "data": {"train": "made/train.jsonl", "dev": "made/dev.jsonl"},
        "optimizer": {"max_steps": 4, "batch_size": 2},
        "evaluation": {"every_steps": 2, "posts": 2},
    }
    Path("config.yaml").write_text(yaml.safe_dump({**values, "output": str(DISK / "run")}))
    Path("tuned.yaml").write_text(yaml.safe_dump({**values, "output": "run"}))
    preload()
    code, _ = run("finetune", "tuned.yaml")
    faults = [] if code == 0 else [log()[-800:]]
    prove = {"full": full_disk, "twice": two_at_once}[sys.argv[1]]
    chosen = sys.argv[2:] or list(COMMANDS)
    for name, command in ((name, COMMANDS[name]) for name in chosen):
        faults += prove(name, command)
        print(f"{name}: {len(faults)} faults", file=sys.stderr)
    print(json.dumps(faults))


if __name__ == "__main__":
    main()
