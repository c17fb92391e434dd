"""Standard output, where records are written to it."""

from __future__ import annotations

import sys
from typing import TextIO

from instruct_mner.errors import ConfigError


def standard_output() -> TextIO:
    """Return standard output.

    Raises:
        ConfigError: It is closed.
    """
    if sys.stdout is None:
        raise ConfigError("standard output is closed; open it, or name a file to write with -o")
    return sys.stdout
