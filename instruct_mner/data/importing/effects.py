"""Options of an import that have no effect on what is read: refused, because else they would seem to have one."""

from __future__ import annotations

from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.errors import ConfigError

_FLAGS = {
    "--column": "columns",
    "--offsets": "offsets",
    "--layout": "layout",
    "--text-after": "text_after",
    "--label-names": "label_names",
}
_OF_COLUMNS = frozenset({"columns", "offsets", "layout", "label_names"})
_USED = {
    "conll": frozenset({"columns"}),
    "hub": frozenset({"columns", "offsets", "label_names"}),
    "brat": frozenset({"offsets"}),
    "columns": _OF_COLUMNS,
    "instruct-uie": _OF_COLUMNS,
    "chat": frozenset({"offsets", "layout", "text_after"}),
    **dict.fromkeys(("label-studio", "argilla", "prodigy", "spacy", "coco"), frozenset({"offsets", "layout"})),
}


def refuse_without_effect(source: str, form: str, options: ImportOptions) -> None:
    """Refuse options that a format does not have.

    Args:
        source: File or folder, as the user names it.
        form: Format or layout in which it is read.
        options: Options of the user.

    Raises:
        ConfigError: One has no effect.
    """
    used = _USED.get(form, frozenset())
    if form == "conll" and not all(column.startswith("tags=") for column in options.columns):
        used = frozenset()  # columns without names, of which only that of the tags can be chosen
    idle = [flag for flag, name in _FLAGS.items() if getattr(options, name) and name not in used]
    if idle:
        other = f", or name a data set of Hugging Face, hub:{source}" if form == "parquet" else ""
        raise ConfigError(f"{idle[0]} has no effect on {source}, which is read as {form}; leave it out{other}")
