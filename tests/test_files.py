from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from instruct_mner.data.yaml_files import read_yaml
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.files import (
    check_place,
    exclusive,
    is_file,
    is_stream,
    opened,
    read_lines,
    read_text,
    replacing,
    stream_lines,
)


def test_lines_end_at_newlines_only(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffa\u2028b\r\n\u0085\x0c\u00a0\n\n c \r".encode())
    assert read_lines(path) == ["a\u2028b", "\u0085\x0c\u00a0", "", " c "]


def test_bytes_that_are_not_utf8_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"fine\ncaf\xe9\nfine\n\xff\n")
    with pytest.raises(DataError) as error:
        read_lines(path)
    assert f"{path}:2: byte 0xe9 at position 3" in str(error.value)
    assert f"{path}:4: byte 0xff" in str(error.value)
    path.write_bytes("a".encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16"):
        read_lines(path)


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_what_cannot_be_read_is_a_data_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"no such file|cannot be read"):
        read_lines(tmp_path / name)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as file:
        file.write("é\n")
        assert not path.exists()
    assert path.read_bytes() == "é\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyError), replacing(path) as file:
        file.write("new")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "a.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    with replacing(link) as file:
        file.write("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_device_is_written_to_and_not_replaced() -> None:
    with replacing(Path("/dev/null")) as file:
        file.write("gone")
    assert Path("/dev/null").is_char_device()


def test_a_folder_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be written: it is a folder"), replacing(tmp_path):
        pass


_HOLDER = """
import sys
from pathlib import Path
from instruct_mner.files import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_output_is_written_by_one_run_and_a_killed_one_blocks_nobody(tmp_path: Path) -> None:
    output = tmp_path / "new" / "out.jsonl"
    command = [sys.executable, "-c", _HOLDER, str(output)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        message = rf"another run, process {holder.pid} on \S+ since .*; wait"
        with pytest.raises(ConfigError, match=message), exclusive(output):
            pass
        holder.kill()
        holder.wait()
        assert output.with_name(".out.jsonl.lock").exists()
    with exclusive(output):
        output.write_text("x")
    assert list(output.parent.iterdir()) == [output]


def test_a_lock_leaves_no_folder_behind_and_locks_no_device(tmp_path: Path) -> None:
    with exclusive(tmp_path / "a" / "b" / "c"), exclusive(tmp_path / "a" / "d"):
        assert (tmp_path / "a" / "b").is_dir()
        with pytest.raises(ConfigError, match="another run"), exclusive(tmp_path / "a" / "d"):
            pass
    assert list(tmp_path.iterdir()) == []
    with exclusive(Path("/dev/null")), exclusive(Path("/dev/null")):
        assert is_stream("/dev/null")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"), exclusive(tmp_path / "file" / "x"):
        pass


@pytest.mark.parametrize("output", ["link", "link/runs/a"])
def test_a_link_that_leads_nowhere_is_no_place(tmp_path: Path, output: str) -> None:
    (tmp_path / "link").symlink_to("gone")
    with pytest.raises(ConfigError, match="link is a link to gone, which is not there"):
        check_place(tmp_path / output)
    with pytest.raises(ConfigError, match="link is a link to gone, which is not there"), exclusive(tmp_path / output):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_a_folder_that_takes_no_file_is_no_place() -> None:
    with pytest.raises(ConfigError, match="/proc/x: cannot be written, /proc takes no file"):
        check_place(Path("/proc/x"))


def test_a_full_disk_is_told_with_what_to_do() -> None:
    with pytest.raises(DataError, match="make room"), replacing(Path("/dev/full")) as file:
        file.write("x")


def test_a_name_too_long_for_any_file_is_refused_before_work_and_no_file(tmp_path: Path) -> None:
    for name in (tmp_path / ("é" * 128), tmp_path / ("n" * 300) / "out.jsonl"):
        with pytest.raises(ConfigError, match=r"….*: the name is too long for a file, (256|300) bytes; give a shorter"):
            check_place(name)
        assert not is_file(name)
    check_place(tmp_path / ("n" * 255))


def test_a_pipe_is_read_once_or_told_as_such() -> None:
    def pipe() -> Path:
        end, begin = os.pipe()
        os.write(begin, "é: 1\n".encode())
        os.close(begin)
        return Path(f"/dev/fd/{end}")

    with pytest.raises(DataError, match=r"a pipe can be read once only; save it as a file, or give posts on"):
        list(stream_lines(pipe()))
    assert read_text(pipe()) == "é: 1\n"
    assert read_yaml(pipe()) == {"é": 1}


def test_an_error_without_a_number_says_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.touch()
    with pytest.raises(DataError, match=r"a.txt: cannot be read: odd"), opened(path):
        raise OSError("odd")
