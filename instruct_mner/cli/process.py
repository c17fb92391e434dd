"""Ways in which a command ends: full disks, closed pipes, Ctrl-C, and characters that an encoding does not have."""

from __future__ import annotations

import atexit
import codecs
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

from instruct_mner.data.standard_input import named
from instruct_mner.errors import MnerError

MENDABLE = 2
"""Exit code of what the user can mend."""
INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of the signal, as shells give it."""
CLOSED_PIPE = 141
"""Exit code where nobody reads the output any more (``| head``)."""

_ESCAPES = "instruct-mner-escapes"


def escaped(error: UnicodeError) -> tuple[str, int]:
    r"""Return what cannot be encoded as the escapes of JSON, ``\u2026``: lines of JSON stay what they are."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2] for at in range(0, len(units), 2))
    return "".join(f"\\u{pair.hex()}" for pair in pairs), error.end


def prepare_streams() -> None:
    """Let no character end a command that standard output or error cannot encode."""
    codecs.register_error(_ESCAPES, escaped)
    if sys.stderr is None:  # closed: what goes to it is for people, and nobody is there
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (to the end of the process)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_ESCAPES)


def exit_code(command: Callable[[], object]) -> int:
    """Run a command to its end and return its exit code; of what the user can mend, one message is printed."""
    try:
        try:
            command()
        finally:
            if sys.stdout is not None:  # as where a command begins with it closed
                sys.stdout.flush()
    except MnerError as error:
        return _mendable(str(error), error.exit_code)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        drop_output()
        return CLOSED_PIPE
    except Exception as error:
        from instruct_mner.cli.file_errors import remedy_of

        message = remedy_of(error)
        if message is None:
            raise
        drop_output()
        return _mendable(message)
    return 0


def leave(code: int) -> NoReturn:
    """End the process at once, after what was registered for its end.

    Python would take every library down module by module, for seconds where torch is loaded, in which a command that
    has written its last line seems to hang.

    Args:
        code: Exit code.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
    os._exit(code)


def _mendable(message: str, code: int = MENDABLE) -> int:
    with suppress(OSError):  # standard error may be what is full
        print(f"error: {named(message)}", file=sys.stderr, flush=True)
    return code


def drop_output() -> None:
    """Let what Python still has to write go nowhere: it would fail again at the end of the process."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
