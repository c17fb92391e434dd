"""Time and memory of ``import``, on JSONL of posts that are made up.

    python -m eval.benchmarks.bench_import [--posts 20000 200000]

Each number of posts is imported by a process of its own, whose largest memory is that of the whole run. Rows of the
native format, and rows of doccano, which are read by their columns.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

WORDS = [
    "Anna",
    "Bell",
    "flew",
    "to",
    "Oslo",
    "with",
    "her",
    "friends",
    "from",
    "the",
    "old",
    "club",
    "and",
    "saw",
    "Real",
    "Madrid",
    "win",
    "again",
]


def native(number: int, text: str, spans: list[tuple[int, int]]) -> dict[str, object]:
    """Return a row of the native format."""
    entities = [{"start": a, "end": b, "text": text[a:b], "label": "PER"} for a, b in spans]
    return {"id": f"post-{number}", "text": text, "entities": entities}


def doccano(number: int, text: str, spans: list[tuple[int, int]]) -> dict[str, object]:
    """Return a row of doccano."""
    return {"id": number, "text": text, "label": [[a, b, "PER"] for a, b in spans], "Comments": []}


FORMS: dict[str, Callable[[int, str, list[tuple[int, int]]], dict[str, object]]] = {
    "native": native, "doccano": doccano,
}  # fmt: skip


def write_posts(path: Path, num_posts: int, form: str) -> None:
    """Write posts of some 16 words with two entities each."""
    draw = random.Random(0)  # noqa: S311 (no secret)
    with path.open("w", encoding="utf-8") as file:
        for number in range(num_posts):
            words = [draw.choice(WORDS) for _ in range(16)]
            text = " ".join(words)
            second = len(" ".join(words[:8])) + 1
            spans = [(0, len(words[0])), (second, second + len(words[8]))]
            file.write(json.dumps(FORMS[form](number, text, spans)) + "\n")


def measure(path: Path, out: Path) -> tuple[float, float, int]:
    """Import a file and return the seconds, those of the processor, and the largest memory of this process in MiB."""
    from instruct_mner.data.importing.run import import_file
    from instruct_mner.data.importing.writing import ImportOptions

    begin, worked = time.perf_counter(), time.process_time()
    import_file(str(path), out, ImportOptions())
    seconds = time.perf_counter() - begin
    return seconds, time.process_time() - worked, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Print posts a second and memory for each number of posts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.file is not None:
        print(json.dumps(measure(arguments.file, arguments.file.with_suffix(".out.jsonl"))))
        return
    for form in FORMS:
        for num_posts in arguments.posts:
            with TemporaryDirectory() as folder:
                path = Path(folder) / "posts.jsonl"
                write_posts(path, num_posts, form)
                command = [sys.executable, "-m", "eval.benchmarks.bench_import", "--file", str(path)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
                seconds, worked, mebibytes = json.loads(done.stdout)
            print(
                f"{form}: {num_posts:,} posts in {seconds:.1f} s, {num_posts / seconds:,.0f} a second; "
                f"{num_posts / worked:,.0f} a second of the processor; {mebibytes} MiB"
            )


if __name__ == "__main__":
    main()
