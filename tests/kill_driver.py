"""Kills commands at random points, changes what they are made from, and lets them go on; run by `test_kills.py`.

The libraries are imported once, and each command runs in a fork of this process, so that a start costs no imports. A
command is killed (SIGKILL) when it has used a random share of the processor time of an unbroken one.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

from instruct_mner.cli import program
from instruct_mner.models.locations import STARTER_FOLDER
from instruct_mner.synthetic.label_sets import HELD_OUT
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.synthetic.write import synth

NUM_KILLS = 20
_LOG = "log.txt"


def preload() -> None:
    """Import what the commands need, and compute nothing: no thread is there when a fork is made."""
    import transformers.models.idefics3.image_processing_idefics3
    import transformers.models.idefics3.modeling_idefics3
    import transformers.models.idefics3.processing_idefics3  # noqa: F401

    import instruct_mner.engines.transformers
    import instruct_mner.tagging.run
    import instruct_mner.training.finetune  # noqa: F401


def start(log: Path, *arguments: str) -> int:
    """Start a command in a fork that writes to a log, and return its process."""
    child = os.fork()
    if child == 0:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.argv = ["instruct-mner", *arguments]
        program()
    return child


def run(*arguments: str, kill_at: float | None = None) -> tuple[int, float]:
    """Run a command in a fork.

    Args:
        *arguments: Arguments of the command line.
        kill_at: Processor time in seconds at which it is killed.

    Returns:
        Its exit code, -9 where it was killed, and its processor time in seconds.
    """
    child = start(Path(_LOG), *arguments)
    process = psutil.Process(child)
    while kill_at is not None and process.status() != psutil.STATUS_ZOMBIE:
        used = process.cpu_times()
        if used.user + used.system >= kill_at:
            os.kill(child, signal.SIGKILL)
            break
        time.sleep(0.005)
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime


@dataclass
class Proof:
    """A command that is killed again and again.

    Attributes:
        begin: Arguments of the command that begins.
        proceed: Arguments of the one that goes on.
        result: Function that returns what an unbroken run leaves; ``None`` where there is no result.
        clean: Function that removes all that a run leaves.
        half_done: Function that returns whether there is something to go on with.
        inputs: Files whose contents decide the result.
        faults: Faults that were found.
    """

    begin: list[str]
    proceed: list[str]
    result: Callable[[], object]
    clean: Callable[[], None]
    half_done: Callable[[], bool]
    inputs: Iterable[Path]
    faults: list[str] = field(default_factory=list)

    def prove(self, seed: int) -> dict[str, object]:
        """Kill ``NUM_KILLS`` times, going on after each; then change each input before going on."""
        draw = random.Random(seed)
        code, whole = run(*self.begin)
        expected = self.result()
        self._expect(code == 0 and expected is not None, "the unbroken run failed")
        self.clean()
        kills = completions = 0
        arguments = self.begin
        while kills < NUM_KILLS:
            code, _ = run(*arguments, kill_at=draw.uniform(0, whole))
            kills += code == -signal.SIGKILL
            print(f"kill {kills}, {completions} ended, {len(self.faults)} faults", file=sys.stderr)
            if code == 0 or kills == NUM_KILLS:
                if code != 0:
                    code, _ = run(*self.proceed)
                self._expect(code == 0, f"it does not go on after kill {kills}")
                self._expect(self.result() == expected, f"another result after kill {kills}")
                completions += 1
                self.clean()
                arguments = self.begin
            else:
                self._expect(code == -signal.SIGKILL, f"exit code {code} after kill {kills}")
                self._expect(self.result() is None or self.result() == expected, f"half a result at kill {kills}")
                arguments = self.proceed
        changed = [self._change(path, draw, whole, expected) for path in self.inputs]
        return {"kills": kills, "completions": completions, "changed": changed, "faults": self.faults}

    def _change(self, path: Path, draw: random.Random, whole: float, expected: object) -> str:
        """Change a file of a run that was killed half-way: it is refused, and goes on when the file is back."""
        arguments = self.begin
        while not self.half_done():
            run(*arguments, kill_at=draw.uniform(0.3 * whole, 0.95 * whole))
            if self.result() is not None:
                self.clean()
            arguments = self.proceed if self.half_done() else self.begin
            if not self.half_done():
                self.clean()
        content = path.read_bytes()
        path.write_bytes(changed(path, content))
        code, _ = run(*self.proceed)
        self._expect(code == 2 and self.result() is None, f"{path.name} may change: exit code {code}")
        path.write_bytes(content)
        code, _ = run(*self.proceed)
        self._expect(code == 0 and self.result() == expected, f"it does not go on after {path.name} was put back")
        print(f"{path.name} changed, {len(self.faults)} faults", file=sys.stderr)
        self.clean()
        return path.name

    def _expect(self, holds: bool, fault: str) -> None:
        if not holds:
            self.faults.append(f"{fault}: {Path(_LOG).read_text(errors='replace')[-500:]}")


def changed(path: Path, content: bytes) -> bytes:
    """Return a content that can still be read: other words, another last weight, or another colour."""
    if path.suffix == ".jsonl":
        return content.replace(b" the ", b" that ", 1)
    if path.suffix == ".png":
        from PIL import Image

        with Image.open(path) as picture:
            picture.convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)
        return path.read_bytes()
    return content[:-1] + bytes([content[-1] ^ 1])


def remove(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def tagging() -> Proof:
    """Tag with a copy of the starter."""
    output, partial = Path("out.jsonl"), Path("out.jsonl.partial")
    labels = ",".join(HELD_OUT.label_set().names)
    command = ["tag", "made/test.jsonl", "--model", "model", "--labels", labels, "-o", str(output)]
    return Proof(
        begin=command,
        proceed=command,
        result=lambda: output.read_bytes() if output.exists() else None,
        clean=lambda: remove(output, partial),
        half_done=lambda: partial.exists() and not output.exists(),
        inputs=[Path("made/test.jsonl"), Path("made/pictures/test-000000.png"), Path("model/model.safetensors")],
    )


def tuning() -> Proof:
    """Fine-tune a copy of the starter, with a checkpoint every second step."""
    folder = Path("run")
    values = {
        "model": "model",
        "data": {"train": "made/train.jsonl", "dev": "made/dev.jsonl"},
        "optimizer": {"max_steps": 8, "batch_size": 2},
        "evaluation": {"every_steps": 2, "posts": 2},
        "output": str(folder),
    }
    Path("config.yaml").write_text(yaml.safe_dump(values))

    def result() -> object:
        if not (folder / "README.md").exists():
            return None
        metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        steps = [(line["step"], line["loss"]) for line in metrics if "loss" in line]
        return (folder / "adapter" / "adapter_model.safetensors").read_bytes(), steps

    return Proof(
        begin=["finetune", "config.yaml"],
        proceed=["finetune", "config.yaml", "--resume"],
        result=result,
        clean=lambda: remove(folder),
        half_done=lambda: any(folder.glob("checkpoints/*/complete")) and result() is None,
        inputs=[Path("made/train.jsonl"), Path("made/pictures/train-000000.png"), Path("model/model.safetensors")],
    )


def main() -> None:
    """Prove what is named, in the working folder, and print the result as JSON."""
    shutil.copytree(STARTER_FOLDER, "model")
    for split, num in (("train", 12), ("dev", 4), ("test", 150)):
        synth(Path("made"), Synthesis(domain=HELD_OUT, split=split), num, 0)  # type: ignore[arg-type]
    preload()
    proof = {"tag": tagging, "finetune": tuning}[sys.argv[1]]()
    print(json.dumps(proof.prove(seed=int(sys.argv[2]))))


if __name__ == "__main__":
    main()
