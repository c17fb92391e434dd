"""Keys: several with names, read again when the file changes."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from instruct_mner.errors import ConfigError
from instruct_mner.serving.keys import FIRST_KEY, Keys, read_keys


def test_keys_change_without_a_restart(tmp_path: Path) -> None:
    file, now = tmp_path / "keys", [0.0]
    file.write_text("# of the teams\nnews open-sesame\n\ntweets other-key # new\n")
    keys = Keys.of_file(file, lambda: now[0])
    assert keys.num_clients == 2
    assert keys.client_of(b"Bearer open-sesame") == "news"
    assert keys.client_of(b"bearer other-key") == "tweets"
    assert keys.client_of(b"Basic other-key") is None
    # The password of basic authentication, whoever the user is.
    assert keys.client_of(b"Basic " + base64.b64encode(b"anybody:other-key")) == "tweets"
    for wrong in (b"anybody:", b"other-key", b":wrong", b"\xff:\xff"):
        assert keys.client_of(b"Basic " + base64.b64encode(wrong)) is None
    assert keys.client_of(b"Basic \xff") is None
    assert keys.client_of(b"Bearer ") is None
    file.write_text("news changed-key\n")
    assert keys.client_of(b"Bearer open-sesame") == "news"  # looked at once a second
    now[0] = 2.0
    assert keys.client_of(b"Bearer open-sesame") is None
    assert keys.client_of(b"Bearer changed-key") == "news"
    file.write_text("broken\n")
    now[0] = 4.0
    assert keys.client_of(b"Bearer changed-key") == "news"
    file.unlink()
    now[0] = 6.0
    assert keys.client_of(b"Bearer changed-key") == "news"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    ("lines", "keys"),
    [
        ([b"ann ab#cdef", b"bob #1"], None),
        ([b"ann ab#cdef # theirs", b"#bob secret", b"bob\tgh#"], ["ab#cdef", "gh#"]),
        ([b"# of the teams", b" # and more", b"", b"\tann sk-1 rate=2", b"bob sk-2"], ["sk-1", "sk-2"]),
        (["jérôme sk-1".encode()], ["sk-1"]),
    ],
)
def test_comments_begin_behind_a_space_and_the_printed_command_reads_them_so(
    tmp_path: Path, lines: list[bytes], keys: list[str] | None, end: bytes, mark: bytes
) -> None:
    file = tmp_path / "keys"
    file.write_bytes(mark + end.join(lines) + end)
    if keys is None:
        with pytest.raises(ConfigError, match=":2: write a name and a key"):
            read_keys(file)
        return
    clients = read_keys(file)
    assert [each.key for each in clients.values()] == keys
    assert all(name.isalpha() for name in clients)
    assert subprocess.check_output(["/bin/sh", "-c", f"{FIRST_KEY} {file}"], text=True) == f"{keys[0]}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no keys"),
        ("name", ":1: write a name and a key"),
        ("a b c d", ":1: write a name and a key"),
        ("a b c", ":1: the third word: write rate="),
        ("a b rate=0", "write rate="),
        ("a b rate=inf", "write rate="),
        ("a b\na c", ":2: write a name and a key"),
        ("a ключ", "no HTTP header"),
        ("a b#\x1cc", ":1 holds characters that no HTTP header may hold"),
        ("a\u00a0b", ":1: write a name and a key"),
        ("a b\n\nc b rate=2", r":3: the key is that of line 1; give each client a key of its own"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "keys"
    file.write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_keys(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_keys(tmp_path / "missing")
