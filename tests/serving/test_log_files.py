"""Logs of ``serve`` that would be another file of it, or could not be read again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from instruct_mner.errors import ConfigError
from instruct_mner.serving.log_files import check_logs, engine_log_held

KEYS = "ann a-long-and-random-key\n"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text(KEYS)
    return file


def test_logs_of_their_own_are_made(tmp_path: Path, keys: Path) -> None:
    check_logs(access_log=tmp_path / "access", engine_log=tmp_path / "engine", keys=keys)
    assert (tmp_path / "access").exists()
    assert (tmp_path / "engine").exists()
    check_logs(access_log=tmp_path / "access", engine_log=tmp_path / "engine", keys=keys)
    check_logs(access_log=Path("/dev/null"), keys=Path("/dev/null"))


@pytest.mark.parametrize("flag", ["--access-log", "--engine-log"])
def test_a_log_that_cannot_be_written(flag: str, tmp_path: Path) -> None:
    name = flag.removeprefix("--").replace("-", "_")
    with pytest.raises(ConfigError, match=rf"{flag} .* cannot be written \(No such file"):
        check_logs(**{name: tmp_path / "missing" / "log"})


@pytest.mark.parametrize("name", ["/dev/full", "/dev/zero", "/dev/null"])
def test_a_device_is_no_log_of_vllm(name: str) -> None:
    with pytest.raises(ConfigError, match=f"--engine-log {name}: .* needs a file"):
        check_logs(engine_log=Path(name))


def test_lines_are_not_appended_to_another_file(tmp_path: Path, keys: Path) -> None:
    log, link, hard = tmp_path / "log", tmp_path / "link", tmp_path / "hard"
    link.symlink_to(keys)
    hard.hardlink_to(keys)
    for same in (keys, link, hard, keys.parent / "." / "keys"):
        with pytest.raises(ConfigError, match=r"--access-log .* and --keys .* are one file"):
            check_logs(access_log=same, keys=keys)
        with pytest.raises(ConfigError, match=r"--engine-log .* and --keys .* are one file"):
            check_logs(engine_log=same, keys=keys)
    with pytest.raises(ConfigError, match=r"--engine-log .* and --access-log .* are one file"):
        check_logs(access_log=log, engine_log=log)
    with pytest.raises(ConfigError, match=r"--engine-log, as it is renamed, .*log\.1 and --access-log"):
        check_logs(access_log=tmp_path / "log.1", engine_log=log)
    with pytest.raises(ConfigError, match=r"--engine-log, as it is renamed, .*keys\.1 and --keys"):
        check_logs(engine_log=keys, keys=keys.rename(tmp_path / "keys.1"))
    assert (tmp_path / "keys.1").read_text() == KEYS
    assert not log.exists()


def test_two_servers_do_not_share_a_log_of_vllm(tmp_path: Path) -> None:
    log = tmp_path / "engine"
    with engine_log_held(log), pytest.raises(ConfigError, match="engine is being written by another run"):
        engine_log_held(log).__enter__()
    with engine_log_held(log), engine_log_held(tmp_path / "another"), engine_log_held(None):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [1, 2])
def test_a_log_is_not_the_output_of_the_command(number: int, tmp_path: Path) -> None:
    """``serve --engine-log /dev/stdout > FILE``: the log would go nowhere, and the file be renamed."""
    code = "from pathlib import Path; from instruct_mner.serving.log_files import check_logs\n"
    code += f"check_logs(engine_log=Path('/dev/fd/{number}'))"
    with (tmp_path / "output").open("wb") as output:
        stdout, stderr = (output, subprocess.PIPE) if number == 1 else (subprocess.PIPE, output)
        ended = subprocess.run([sys.executable, "-c", code], stdout=stdout, stderr=stderr, check=False)
    said = (ended.stderr or b"") + (tmp_path / "output").read_bytes()
    assert ended.returncode == 1
    assert f"/dev/fd/{number} and standard {'output' if number == 1 else 'error'} are one file".encode() in said
