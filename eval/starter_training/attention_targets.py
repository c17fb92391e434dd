"""What ties a mention to its object and to its type: where the words stand, and which image tokens are meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eval.starter_training.architecture import tokens_per_side
from eval.starter_training.vision_pretraining import cell_of
from instruct_mner.schema.boxes import BoxConvention, to_model_units
from instruct_mner.synthetic.posts import Post
from instruct_mner.synthetic.scene import draw_scene
from instruct_mner.synthetic.settings import Mention, Shown
from instruct_mner.synthetic.vocabulary import letters


@dataclass(frozen=True)
class Words:
    """Where the words stand that matter for a mention, as ends: those that link it, and those that tell its type."""

    cue_end: int
    telling: tuple[int, ...]

    @classmethod
    def of(cls, post: Post, mention: Mention) -> Words:
        """Of a mention of a post."""
        telling = []
        if mention.affix is not None:
            surface = post.text[mention.start : mention.end]
            in_front = surface.lower().startswith(mention.affix.lower())
            telling.append(mention.start + len(mention.affix.rstrip()) if in_front else mention.end)
        if mention.phrase is not None:
            telling.append(_phrase_end(post.text, mention))
        return cls(mention.cue_end, tuple(telling))


@dataclass(frozen=True)
class Link:
    """A mention, the image tokens that its linking words ought to look at, and where its words stand."""

    mention: Mention
    look_at: tuple[int, ...]
    words: Words


def _phrase_end(text: str, mention: Mention) -> int:
    """Where the words that point to a type end: right before the mention, or after it."""
    phrase = str(mention.phrase).lower()
    before = text[: mention.start].lower().rfind(phrase)
    after = text[mention.end :].lower().find(phrase)
    # The nearer one is meant: another mention may have the same words.
    distance = mention.start - (before + len(phrase)) if before >= 0 else len(text)
    if after >= 0 and after < distance:
        return mention.end + after + len(phrase)
    return before + len(phrase)


def cells(shown: Shown, level: int) -> tuple[int, ...]:
    """The image tokens of an object's cell."""
    return tuple(token for token in range(tokens_per_side(level) ** 2) if cell_of(token, level) == shown.cell)


# The token right before those of the picture: where to look if nothing in the picture is meant.
NOWHERE = (-1,)


def cells_to_look_at(post: Post, mention: Mention, seen: Sequence[Shown], *, own: bool) -> tuple[int, ...]:
    """The image tokens that the words of a mention lead to; none where the picture does not decide.

    Args:
        post: The post of the mention.
        mention: The mention.
        seen: The objects of the picture that is shown.
        own: Whether this is the picture of the post.
    """
    unlinked = len(post.mentions) > 1 and mention.cue == "none"
    if own and mention.shown is not None:
        return () if unlinked else cells(post.objects[mention.shown], post.synthesis.level)
    if mention.cue == "colour":
        fits = any(each.colour == mention.says and not each.letters for each in seen)
    elif mention.cue == "place":
        fits = any(each.cell == mention.says and not each.letters for each in seen)
    else:
        fits = len(seen) == len(post.mentions) and any(each.letters in (None, letters(mention.core)) for each in seen)
    return () if fits or not seen else NOWHERE


def box_answer(post: Post, mention: Mention, *, own: bool) -> str:
    """The box of a mention as a grounded answer writes it."""
    if mention.shown is None or not own:
        return " []"
    scene = draw_scene(post)
    return f" {list(to_model_units(scene.boxes[mention.shown], scene.image.size, BoxConvention()))}"


def slice_name(post: Post, mention: Mention, picture: str) -> str:
    """The name under which a mention is counted in the log."""
    told = "told" if mention.affix or mention.phrase else "untold"
    if picture != "own":
        return f"{picture} {told}"
    if not post.related:
        return f"unrelated {told}"
    return f"one {mention.cue}" if len(post.mentions) == 1 else f"several {mention.cue}"
