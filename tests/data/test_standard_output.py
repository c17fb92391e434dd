from __future__ import annotations

import sys

import pytest

from instruct_mner.data.standard_output import standard_output
from instruct_mner.errors import ConfigError


def test_standard_output_is_refused_where_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert standard_output() is sys.stdout
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(ConfigError, match="standard output is closed; open it, or name a file to write with -o"):
        standard_output()
