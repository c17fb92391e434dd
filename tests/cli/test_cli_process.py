"""Ends of commands: full disks, closed pipes, Ctrl-C, and encodings that lack a character."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from instruct_mner.cli.file_errors import resumable, when_full
from instruct_mner.cli.process import MENDABLE, escaped, exit_code
from instruct_mner.errors import DataError
from instruct_mner.files import write_error

POST = {"id": "1", "text": "Jordan 😍 … é", "entities": []}


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("a.jsonl: no"), 2, "error: a.jsonl: no\n"),
        (SystemExit(3), 3, ""),
        (SystemExit("bad"), 1, ""),
        (KeyboardInterrupt(), 130, ""),
        (OSError(errno.ENOSPC, "full", "out"), 2, "error: out cannot be written: No space left on device; make room"),
        (OSError(errno.ENAMETOOLONG, "long", f"a/{'n' * 300}/b"), 2, f"error: {'n' * 80}…: the name is too long"),
        (
            RuntimeError("PytorchStreamWriter failed writing file data/0"),
            2,
            "error: the output cannot be written: No space left",
        ),
    ],
)
def test_each_end_has_its_code(
    error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(raising(error)) == code
    assert capsys.readouterr().err.startswith(message)


def test_a_full_disk_is_told_by_number_and_by_words() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "run/out.jsonl")
    assert str(when_full(full)).startswith("run/out.jsonl cannot be written: No space left on device; make room")
    wrapped = RuntimeError("it did not work")
    wrapped.__cause__ = RuntimeError("I/O error: No space left on device (os error 28)")
    assert "No space left" in str(when_full(wrapped))
    assert when_full(ValueError("no")) is None


def test_a_full_disk_in_a_run_is_told_with_the_way_on() -> None:
    """The same command alone is refused, because the folder of the run is no longer empty."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    written = write_error(Path("run/metrics.jsonl"), full)
    for error, message in ((full, "^run cannot be written: "), (written, "^run/metrics.jsonl: cannot be written: ")):
        remedy = "No space left on device; make room, and run the same command again"
        with pytest.raises(DataError, match=f"{message}{remedy} with --resume$"), resumable(Path("run"), resume=False):
            raise error
        with pytest.raises(DataError, match=f"{message}{remedy}$"), resumable(Path("run"), resume=True):
            raise error
    with pytest.raises(KeyError), resumable(Path("run"), resume=False):
        raise KeyError


def test_a_name_that_is_not_utf8_is_told_where_a_file_would_hold_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "instruct_mner", "init", os.fsdecode(b"caf\xe9")]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    message = "error: caf\\udce9: the name is not UTF-8, and would stand in a file that is; give another\n"
    assert (ended.returncode, ended.stderr, list(tmp_path.iterdir())) == (MENDABLE, message, [])
    with pytest.raises(UnicodeEncodeError):
        exit_code(raising(UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")))


def test_streams_that_are_closed_are_told(tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_text(json.dumps(POST) + "\n")

    def ended(command: str) -> tuple[int, str]:
        whole = f"{sys.executable} -m instruct_mner {command}"
        result = subprocess.run(["sh", "-c", whole], cwd=tmp_path, capture_output=True, text=True, check=False)
        return result.returncode, result.stderr.partition(";")[0]

    assert ended("import - <&-") == (2, "error: standard input is closed")
    assert ended("import posts.jsonl >&-") == (2, "error: standard output is closed")
    assert ended("import posts.jsonl -o out.jsonl >&- 2>&-") == (0, "")
    told = "tag: loading starter\nerror: standard output is closed"
    assert ended("tag posts.jsonl --model starter --labels PER -o - >&-") == (2, told)


def test_a_failure_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ValueError, match="ours"):
        exit_code(raising(ValueError("ours")))
    assert exit_code(lambda: None) == 0


def test_what_an_encoding_lacks_is_written_as_json_writes_it() -> None:
    error = UnicodeEncodeError("latin-1", "a😍\ud83d", 1, 3, "no")
    assert escaped(error) == ("\\ud83d\\ude0d\\ud83d", 3)


def command(folder: Path, *arguments: str, stdout: int, encoding: str = "utf-8") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "instruct_mner", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        input=json.dumps(POST).encode(),
        cwd=folder,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )


def test_standard_output_that_is_full_closed_or_of_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_text(json.dumps(POST) + "\n")
    full = os.open("/dev/full", os.O_WRONLY)
    result = command(tmp_path, "import", "posts.jsonl", stdout=full)
    os.close(full)
    assert (result.returncode, result.stderr.count(b"\n")) == (2, 1)
    assert result.stderr.startswith(b"error: the output cannot be written: No space left on device; make room")
    nobody, end = os.pipe()
    os.close(nobody)
    result = command(tmp_path, "import", "posts.jsonl", stdout=end)
    os.close(end)
    assert (result.returncode, result.stderr) == (141, b"")
    result = command(tmp_path, "import", "posts.jsonl", stdout=subprocess.PIPE, encoding="latin-1")
    assert result.returncode == 0
    assert json.loads(result.stdout.decode("latin-1"))["text"] == POST["text"]


def test_a_process_ends_after_what_was_registered_for_its_end() -> None:
    program = (
        "import atexit; from instruct_mner.cli.process import leave; "
        "atexit.register(print, 'removed'); print('done'); leave(3); print('never')"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (3, "done\nremoved\n", "")
