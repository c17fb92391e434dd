"""``/``: a page on which anybody can try the served models. It loads nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from instruct_mner.report import assets

_FOLDER = Path(__file__).parent


def playground() -> tuple[str, str]:
    """Return the page and its content policy, which lets this one script run and no other."""
    script = "\n".join((assets.MARKS.read_text("utf-8"), (_FOLDER / "playground.js").read_text("utf-8")))
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string((_FOLDER / "playground.html.jinja").read_text("utf-8"))
    # Both are files of the package.
    style, code = (Markup(text) for text in (assets.STYLE.read_text("utf-8"), script))  # noqa: S704
    page = template.render(style=style, script=code)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    )
    return page, policy
