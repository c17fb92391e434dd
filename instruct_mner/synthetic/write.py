"""Writes synthetic posts: JSONL and PNG in the native format, what they were drawn from, and a data card."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from instruct_mner.console import tracked, working
from instruct_mner.data.conversion import check_absent
from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.files import exclusive, replacing, write_error
from instruct_mner.schema.records import Example
from instruct_mner.synthetic.posterior import bound, posterior
from instruct_mner.synthetic.posts import SyntheticPost, posts
from instruct_mner.synthetic.scene import draw_scene
from instruct_mner.synthetic.settings import CUES, Synthesis

CONDITIONS = "given perfect spans and a perfectly seen picture"

_CARD = """\
# Synthetic posts for multimodal named entity recognition

Made by `instruct-mner synth`; nothing in them is real. Names are random syllables, pictures are drawn. A picture shows
one object for each mention (at level 1 others too), and where there are several the text or letters in the picture
say whose is whose. Some pictures belong to another post. Everything is drawn from known distributions, so that the
posterior of each type can be summed exactly, and with it the best F1 that any tagger can reach, {conditions}.

- `SPLIT.jsonl` and `pictures/`: the posts, in the native format, with boxes; `[]` where the picture does not show it.
- `SPLIT.truth.jsonl`: what each post was drawn from, and the exact posterior of each mention's type, with the picture
  (`posterior`) and without (`posterior_text`).

The syllables and sentences of train, dev and test are disjoint.

The model `starter` was trained on posts like these of split train, domains `coarse`, `fine` and `home`, linked by
`places`. It has never seen the domain `held-out` (its names, words and drawings), the names of `renamed`, or the
linking style `winds`.
"""
_TITLE = _CARD.partition("\n")[0]


@dataclass(frozen=True)
class Written:
    """A split that was written.

    Attributes:
        path: JSONL file of the split.
        bounds: Best strict F1 in percent with the picture and without it, for all mentions and by cue.
        files: All files that were made for it.
    """

    path: Path
    bounds: tuple[tuple[str, int, float, float], ...]
    files: tuple[Path, ...]

    def remove(self) -> None:
        """Remove the split, so that the same command can be run again."""
        _remove(self.files)


def synth(folder: Path, synthesis: Synthesis, num: int, seed: int) -> Written:
    """Write one split, whole or not at all.

    Args:
        folder: Folder of the output; other splits may lie there already.
        synthesis: Distribution of the posts.
        num: Number of posts.
        seed: The same seed gives the same bytes.

    Raises:
        ConfigError: A file of the split is there already, or a README.md that is none of these posts.
        DataError: The split cannot be written.
    """
    path, card = folder / f"{synthesis.split}.jsonl", folder / "README.md"
    truths = folder / f"{synthesis.split}.truth.jsonl"
    pictures = [folder / f"pictures/{synthesis.split}-{number:06d}.png" for number in range(num)]
    with exclusive(path), ExitStack() as undo:
        check_absent(path, truths, *pictures)
        check_absent(card, own_mark=_TITLE.encode())
        files = (path, truths, *pictures, *([] if card.exists() else [card]))
        undo.callback(_remove, files)
        made = list(itertools.islice(posts(synthesis, seed), num))
        drawn = tracked(zip(pictures, made, strict=True), f"drawing {path}", num)
        examples = [_with_picture(picture, post) for picture, post in drawn]
        with replacing(truths) as file:
            for example, post in zip(examples, made, strict=True):
                file.write(json.dumps({"id": example.id, **truth(post)}) + "\n")
        with replacing(card) as file:
            file.write(_CARD.format(conditions=CONDITIONS))
        write_jsonl(path, examples)
        with working("finding the best possible scores"):
            written = Written(path, tuple(bounds(made)), files)
        undo.pop_all()
    return written


def _remove(files: Iterable[Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)
        with suppress(OSError):  # there is more in it
            path.parent.rmdir()


def _with_picture(path: Path, post: SyntheticPost) -> Example:
    scene = draw_scene(post)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scene.image.save(path)
    except OSError as error:
        raise write_error(path, error) from None
    return post.example(path.stem, f"{path.parent.name}/{path.name}", scene.boxes)


def truth(post: SyntheticPost) -> dict[str, Any]:
    """Return the values that a post was drawn from, with the posterior of its types."""
    names = [kind.name for kind in post.synthesis.domain.types]
    rows = zip(post.mentions, posterior(post), posterior(post, with_picture=False), strict=True)
    return {
        "related": post.related,
        "objects": [
            {"type": names[each.type], "drawing": each.drawing, "colour": each.colour, "cell": each.cell,
             "letters": each.letters}
            for each in post.objects
        ],
        "mentions": [
            {
                "start": mention.start, "end": mention.end, "cue": mention.cue, "affix": mention.affix,
                "phrase": mention.phrase,
                "posterior": {name: round(float(share), 6) for name, share in zip(names, seen, strict=True)},
                "posterior_text": {name: round(float(share), 6) for name, share in zip(names, read, strict=True)},
            }
            for mention, seen, read in rows
        ],
    }  # fmt: skip


def bounds(made: Sequence[SyntheticPost]) -> list[tuple[str, int, float, float]]:
    """Best strict F1 in percent, with the picture and without: of all mentions, and by what links them to it."""
    rows = []
    for name in (None, *slices()):
        seen, read = bound(made, only=name), bound(made, only=name, with_picture=False)
        if seen.num_mentions:
            rows.append((name or "all", seen.num_mentions, 100 * seen.expected, 100 * read.expected))
    return rows


def slices() -> tuple[str, ...]:
    """Return the names of the slices, as :func:`instruct_mner.synthetic.posts.slice_of` gives them."""
    return (*(f"one mention, {cue}" for cue in CUES), *(f"several, {cue}" for cue in CUES), "unrelated picture")


def bounds_table(written: Written) -> Table:
    """Return the bounds of a split, as the command line prints them."""
    table = Table(title=f"{written.path}: best strict F1, %, {CONDITIONS}", title_justify="left")
    for head in ("mentions", "count", "with the picture", "text alone"):
        table.add_column(head, justify="left" if head == "mentions" else "right")
    for name, count, seen, read in written.bounds:
        table.add_row(name, str(count), f"{seen:.1f}", f"{read:.1f}")
    return table
