"""A process that decodes pictures and compiles constraints of strangers, and may die of them.

It reads jobs from its standard input and writes replies to its standard output: two lengths of four bytes each, then a
JSON object and a payload of these lengths. ``worker_pool.py`` is at the other end. The process ends with its input.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import re
import resource
import signal
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

from llguidance import LLMatcher, LLTokenizer, grammar_from
from PIL import Image

from instruct_mner.errors import DataError
from instruct_mner.images import image_size, open_image

HEAD = struct.Struct("<II")
_PR_SET_PDEATHSIG = 1  # Source: linux/prctl.h
# vLLM's threads have 8 MB, the default of Linux: what fits into 6 MB here does not overflow there.
_STACK_BYTES = 6 * 2**20
# A progressive JPEG of a camera or an editor has 10 to 12 scans; each costs the work of a whole picture.
_MOST_SCANS = 64
# Source: ITU T.81, B.1.1.3, and libjpeg (jdmarker.c): the end of a picture, and the markers whose length follows.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xdd\xe0-\xef\xfe])")
_SCAN, _END = b"\xda", b"\xd9"

Result = tuple[dict[str, Any], bytes]


def measure_picture(job: dict[str, Any], payload: bytes) -> Result:
    """Return width and height of a picture, without decoding it.

    Raises:
        DataError: Not a picture, too large, or with too many scans.
    """
    scans = _num_scans(payload) if payload.startswith(b"\xff\xd8") else 1
    if scans > _MOST_SCANS:
        raise DataError(f"a JPEG with {scans} scans, more than the {_MOST_SCANS} allowed; save it again as PNG")
    width, height = image_size(payload, max_pixels=job["max_pixels"], max_bytes=max(1, len(payload)))
    return {"size": [width, height]}, b""


def _num_scans(jpeg: bytes) -> int:
    """Return the number of scans that a decoder finds in a JPEG, without those of a preview or behind its end."""
    scans, position = 0, 2
    while (marker := _MARKER.search(jpeg, position)) is not None and marker[1] != _END:
        scans += marker[1] == _SCAN
        position = marker.end() + max(2, int.from_bytes(jpeg[marker.end() : marker.end() + 2]))
    return scans


def decode_picture(job: dict[str, Any], payload: bytes) -> Result:
    """Return the pixels of a picture as RGB, or as a PNG.

    Raises:
        DataError: Too large, or broken.
    """
    image = open_image(payload, max_pixels=job["max_pixels"], max_bytes=max(1, len(payload)))
    if job["format"] == "rgb":
        return {"size": list(image.size)}, image.tobytes()
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return {"size": list(image.size)}, file.getvalue()


def compile_constraint(job: dict[str, Any], payload: bytes) -> Result:
    """Compile a constraint as vLLM's guidance backend does, with bytes in the place of tokens.

    Raises:
        ValueError: llguidance refuses it.
    """
    [(kind, value)] = json.loads(payload).items()
    if kind in {"json", "json_object"}:
        schema = json.dumps({"type": "object"} if kind == "json_object" else value)
        grammar = LLMatcher.grammar_from_json_schema(schema, defaults={"whitespace_flexible": False})
    else:
        grammar = grammar_from(kind, json.dumps(value) if kind == "choice" else value)
    matcher = LLMatcher(LLTokenizer("byte"), grammar, log_level=0)
    if not matcher.is_error():
        matcher.compute_bitmask()
    if matcher.is_error():
        raise ValueError(_why_not_compiled(matcher.get_error()))
    return {}, b""


def _why_not_compiled(error: str) -> str:
    # Source: llguidance 1.7.6 appends its state and the grammar to a reason to stop, which is one word.
    reason = error.partition("\n<state>")[0]
    if reason.startswith("NoExtension"):
        return "no answer is whole under this constraint: is there a rule or a '$ref' that leads to itself alone?"
    return reason


_JOBS: dict[str, Callable[[dict[str, Any], bytes], Result]] = {
    "measure": measure_picture,
    "decode": decode_picture,
    "compile": compile_constraint,
}


def answer(job: dict[str, Any], payload: bytes) -> Result:
    """Do a job, and return its reply; ``refused`` in it says why it cannot be done."""
    try:
        return _JOBS[job["do"]](job, payload)
    except (DataError, ValueError, KeyError, TypeError) as error:
        return {"refused": str(error)[:500]}, b""
    except MemoryError:
        return {"refused": "it needs more memory than is allowed"}, b""


def work(source: BinaryIO, target: BinaryIO, cpu_seconds: float) -> None:
    """Do jobs until there are no more; one that takes too much of the processor ends the process."""
    while len(head := source.read(HEAD.size)) == HEAD.size:
        job_size, payload_size = HEAD.unpack(head)
        job, payload = json.loads(source.read(job_size)), source.read(payload_size)
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        replies: list[Result] = []
        thread = threading.Thread(target=lambda j=job, p=payload, r=replies: r.append(answer(j, p)))
        thread.start()
        thread.join()
        signal.setitimer(signal.ITIMER_PROF, 0)
        head_of_reply, content = replies[0]
        header = json.dumps(head_of_reply).encode()
        target.write(HEAD.pack(len(header), len(content)) + header)
        target.write(content)
        target.flush()


def main(memory_bytes: int, cpu_seconds: float) -> None:
    """Bound this process, keep its output for replies, and work."""
    if sys.platform == "linux":
        # Also in the middle of a job, which does not read that the gateway is gone.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    Image.MAX_IMAGE_PIXELS = None  # its warning; the limits of the job hold
    threading.stack_size(_STACK_BYTES)
    # Libraries that print must not print into a reply.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    work(sys.stdin.buffer, replies, cpu_seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
