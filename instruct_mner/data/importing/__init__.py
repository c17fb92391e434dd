"""Exports of other tools to ``Example``: formats told by content, every column accounted for."""
