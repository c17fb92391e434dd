r"""FMNERG: the posts of GMNER with two columns of labels, 8 coarse and 51 fine ones.

A raw post, ``train.txt`` (``\t`` is a tab)::

    IMGID:575705
    RT\tO\tO
    ...
    Webber\tB-building\tB-school
    MS\tI-building\tI-school

The user chooses the column. Boxes are read as GMNER's, from the folder that is named, else from ``xml`` beside the
file, or beside its folder where that is ``txt``; without such a folder they are not annotated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from instruct_mner.data.column_layout import Layout
from instruct_mner.data.columns import parse
from instruct_mner.data.conll import to_examples
from instruct_mner.data.dataset import Dataset, Reading, ReadOptions, dataset_name, missing_pictures, picture_folder
from instruct_mner.data.gmner import link_boxes, xml_folder
from instruct_mner.data.tag_schemes import looks_like_tag, types_of
from instruct_mner.files import read_bytes

COLUMNS = ("TOKEN", "COARSE", "FINE")
# Source: https://github.com/NUSTM/FMNERG
COARSE_TYPES = frozenset({"person", "location", "organization", "building", "art", "product", "event", "other"})


def read(path: Path, options: ReadOptions) -> Reading:
    """Read one file; see ``Reader``."""
    folder = path.parent.parent if path.parent.name == "txt" else path.parent
    content = read_bytes(path)
    tag = COLUMNS.index(options.label_column.upper())
    columns = parse(content, path, Layout(columns=COLUMNS, tag=tag))
    posts, problems = columns.posts, columns.problems
    root = picture_folder(folder, options.images)
    joining = columns.joining()
    examples = to_examples(posts, root, options, joining.joiners)
    tolerant = to_examples(posts, root, options, joining.joiners, "tolerant") if options.decode == "strict" else None
    # The column is part of the gold: a coarse and a fine reading of one file must not pass for the same.
    digest = hashlib.sha256(content + options.label_column.encode())
    xml = xml_folder(folder, options.xml)
    if xml is not None:
        examples, reasons = link_boxes(posts, examples, xml, root, digest.update)
        tolerant = tolerant and link_boxes(posts, tolerant, xml, None)[0]
        problems += reasons
    dataset = Dataset(
        name=dataset_name(folder, path.stem),
        format=f"fmnerg-{options.label_column}",
        path=path,
        sha256=digest.hexdigest(),
        examples=examples,
        image_root=root,
        missing_images=missing_pictures(examples, root),
        file_sha256=hashlib.sha256(content).hexdigest(),
        segmentation=joining.segmentation,
        notes=columns.notes,
    )
    return Reading(dataset, tuple(problems), columns.count_entities(), tolerant)


def is_fmnerg(lines: Sequence[str]) -> bool:
    """Return true where the beginning of a file is FMNERG's: its coarse types, and beside them others.

    Three columns of a token, its gold and a prediction look alike; read as FMNERG, the prediction would be the gold.
    """
    rows = [cells for line in lines if len(cells := line.split("\t")) > 1]
    if not rows or any(len(cells) != len(COLUMNS) or not all(map(looks_like_tag, cells[1:])) for cells in rows):
        return False
    coarse, fine = (types_of(cells[column] for cells in rows) for column in (1, 2))
    alike = all(cells[1][:1] == cells[2][:1] for cells in rows)
    return bool(coarse) and alike and coarse <= COARSE_TYPES and fine != coarse
