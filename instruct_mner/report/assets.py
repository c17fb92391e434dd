"""Files that pages share: styles, and the marking of entities in a text."""

from __future__ import annotations

from pathlib import Path

STYLE = Path(__file__).with_name("style.css")
"""Colours, tables, boxes and marks, light and dark."""
MARKS = Path(__file__).with_name("marks.js")
"""Functions ``element`` and ``pieces``."""
