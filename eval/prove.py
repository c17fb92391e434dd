"""Command that runs the gates and writes what they measured to ``eval/results/gates.json``.

    python -m eval.prove                     all gates
    python -m eval.prove offsets help-time   these gates; the other entries of gates.json stay
    python -m eval.prove --list              names and what each gate shows

A gate whose input is not on this machine is skipped: it is printed and recorded as skipped, never as passed.
The exit code is 1 when a gate fails.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from eval.gates.common import ROOT, Result, SkippedGateError
from eval.gates.registry import GATES
from instruct_mner.console import quiet_libraries
from instruct_mner.files import replacing

OUTPUT = ROOT / "eval" / "results" / "gates.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named gates, or all, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="gates to run; default all")
    parser.add_argument("--list", action="store_true", help="print the names of the gates, and run none")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.names) - set(GATES))
    if unknown:
        parser.error(f"no such gate: {', '.join(unknown)}; there are {', '.join(GATES)}")
    if chosen.list:
        for name, gate in GATES.items():
            print(f"{name:22} {str(gate.__doc__).splitlines()[0]}")
        return 0
    quiet_libraries()
    failed = False
    for name in chosen.names or GATES:
        entry = run_gate(name)
        failed = failed or not (entry["passed"] or _is_skipped(entry))
        # After each gate, so that a run that is stopped keeps its results.
        _write({**_read(), name: entry})
    return int(failed)


def run_gate(name: str) -> dict[str, Any]:
    """Run one gate, print its result, and return its entry."""
    print(f"{name} …", flush=True)
    commit, begin = _commit(), time.perf_counter()
    try:
        result = GATES[name]()
    except SkippedGateError as reason:
        result = Result(value=f"skipped: {reason}", bound="its input is here", passed=False)
    except Exception as error:
        # A gate that breaks off has not passed; the others are to run all the same.
        result = Result(value=f"broke off: {error!r}", bound="runs through", passed=False)
    entry = {
        "gate": name,
        "value": result.value,
        "bound": result.bound,
        "passed": result.passed,
        "commit": commit,
        "machine": _machine(),
        "seconds": round(time.perf_counter() - begin, 1),
    }
    verdict = "SKIPPED" if _is_skipped(entry) else "passed" if result.passed else "FAILED"
    print(f"  {verdict} in {entry['seconds']} s; {result.bound}", flush=True)
    print(f"  {json.dumps(result.value, ensure_ascii=False)}", flush=True)
    return entry


def _is_skipped(entry: dict[str, Any]) -> bool:
    return str(entry["value"]).startswith("skipped: ")


def _machine() -> str:
    system = f"{platform.system()} {platform.machine()}"
    return f"{system}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


def _commit() -> str:
    """Return the short hash of the checkout, with ``-dirty`` where more than the result file is changed."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        finished = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 (git)
        return finished.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", ".", f":!{OUTPUT.relative_to(ROOT)}")
        return git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _read() -> dict[str, dict[str, Any]]:
    return {entry["gate"]: entry for entry in json.loads(OUTPUT.read_text("utf-8"))} if OUTPUT.exists() else {}


def _write(entries: dict[str, dict[str, Any]]) -> None:
    """Write all entries in the order of the gates; the file is replaced whole, or left as it is."""
    ordered = [entries[name] for name in GATES if name in entries]
    with replacing(OUTPUT) as file:
        file.write(json.dumps(ordered, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
