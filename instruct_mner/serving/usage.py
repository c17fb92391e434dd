"""Usage of a server that is ready: commands that run as they are copied."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote

from instruct_mner.serving.keys import FIRST_KEY
from instruct_mner.vllm_runtime.plan import Plan


def usage(plan: Plan, host: str, port: int, key_variable: str | None, keys: Path | None = None) -> str:
    """Return the address, a ``curl`` line, and a Python snippet; with a file of keys, first how to take one of them.

    Args:
        plan: Plan of the served models; the first one is used.
        host: Address on which it listens.
        port: The port there.
        key_variable: The environment's variable that holds the key, where one must be sent.
        keys: File of the keys, which the variable need not hold.
    """
    host = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 (only compared)
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    post: dict[str, object] = {"text": "Ada Lovelace meets Acme in Lagos"}
    if plan.models[0].manifest.tuning == "none":
        post["labels"] = ["PER", "ORG", "LOC"]
    body = json.dumps(post)
    curl_key = python_key = ""
    if key_variable is not None:
        curl_key = f'-H "Authorization: Bearer ${key_variable}" '
        python_key = f', headers={{"Authorization": "Bearer " + os.environ["{key_variable}"]}}'
    export = ""
    if keys is not None:
        # Without showing it.
        export = f"export {key_variable}=$({FIRST_KEY} {quote(str(keys.resolve()))})\n\n"
    return f"""ready at {address} (a page to try it; documentation at {address}/docs)

{export}curl -s {address}/v1/entities {curl_key}-H 'Content-Type: application/json' -d {quote(body)}

import os, httpx
print(httpx.post("{address}/v1/entities", json={body}{python_key}, timeout=60).json())
"""
