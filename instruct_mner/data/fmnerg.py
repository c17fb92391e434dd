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
from pathlib import Path

from instruct_mner.data.columns import Layout, count_entities, parse, to_example
from instruct_mner.data.conll import picture_of
from instruct_mner.data.dataset import Dataset, Reading, ReadOptions, dataset_name, missing_pictures, picture_folder
from instruct_mner.data.gmner import link_boxes, xml_folder
from instruct_mner.files import read_bytes

COLUMNS = ("TOKEN", "COARSE", "FINE")


def read(path: Path, options: ReadOptions) -> Reading:
    """Reads one file; see ``Reader``."""
    folder = path.parent.parent if path.parent.name == "txt" else path.parent
    content = read_bytes(path)
    tag = COLUMNS.index(options.label_column.upper())
    posts, problems = parse(content, path, Layout(columns=COLUMNS, tag=tag))
    root = picture_folder(folder, options.images)
    examples = [to_example(post, picture_of(post, root), options.decode) for post in posts]
    # The column is part of the gold: a coarse and a fine reading of one file must not pass for the same.
    digest = hashlib.sha256(content + options.label_column.encode())
    xml = xml_folder(folder, options.xml)
    if xml is not None:
        examples, reasons = link_boxes(posts, examples, xml, digest.update)
        problems += reasons
    dataset = Dataset(
        name=dataset_name(folder, path.stem),
        format=f"fmnerg-{options.label_column}",
        path=path,
        sha256=digest.hexdigest(),
        examples=tuple(examples),
        image_root=root,
        missing_images=missing_pictures(examples, root),
        file_sha256=hashlib.sha256(content).hexdigest(),
    )
    return Reading(dataset, tuple(problems), count_entities(posts))
