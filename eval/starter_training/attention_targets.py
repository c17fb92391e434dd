"""Targets of the attention losses: words that link a mention to an object, and image tokens of the object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eval.starter_training.architecture import tokens_per_side
from eval.starter_training.vision_pretraining import cell_of
from instruct_mner.schema.boxes import BoxConvention, to_model_units
from instruct_mner.synthetic.posts import SyntheticPost
from instruct_mner.synthetic.scene import draw_scene
from instruct_mner.synthetic.settings import DrawnMention, DrawnObject
from instruct_mner.synthetic.vocabulary import letters


@dataclass(frozen=True)
class WordEnds:
    """Ends of the words that matter for a mention, in characters of the post.

    Attributes:
        cue_end: End of the words that link the mention to an object.
        telling: Ends of the affix and of the phrase that give its type away.
    """

    cue_end: int
    telling: tuple[int, ...]

    @classmethod
    def of(cls, post: SyntheticPost, mention: DrawnMention) -> WordEnds:
        """Return the ends for a mention of a post."""
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
    """Mention with the targets of its attention.

    Attributes:
        mention: Mention of the post.
        look_at: Image tokens that its linking words should attend to.
        words: Ends of its words.
    """

    mention: DrawnMention
    look_at: tuple[int, ...]
    words: WordEnds


def _phrase_end(text: str, mention: DrawnMention) -> int:
    """Return the end of the phrase that points to a type: right before the mention, or after it."""
    phrase = str(mention.phrase).lower()
    before = text[: mention.start].lower().rfind(phrase)
    after = text[mention.end :].lower().find(phrase)
    # The nearer one is meant: another mention may have the same words.
    distance = mention.start - (before + len(phrase)) if before >= 0 else len(text)
    if after >= 0 and after < distance:
        return mention.end + after + len(phrase)
    return before + len(phrase)


def cells(item: DrawnObject, level: int) -> tuple[int, ...]:
    """Return the image tokens of an object's cell."""
    return tuple(token for token in range(tokens_per_side(level) ** 2) if cell_of(token, level) == item.cell)


# Offset of the token right before those of the picture: the target where no object is meant.
NO_OBJECT = (-1,)


def cells_to_look_at(
    post: SyntheticPost, mention: DrawnMention, seen: Sequence[DrawnObject], *, own: bool
) -> tuple[int, ...]:
    """Return the image tokens that the words of a mention lead to; none where the picture does not decide.

    Args:
        post: Post of the mention.
        mention: Mention of the post.
        seen: Objects of the picture in the prompt.
        own: Whether this is the picture of the post.
    """
    unlinked = len(post.mentions) > 1 and mention.cue == "none"
    if own and mention.object_index is not None:
        return () if unlinked else cells(post.objects[mention.object_index], post.synthesis.level)
    if mention.cue == "colour":
        fits = any(each.colour == mention.says and not each.letters for each in seen)
    elif mention.cue == "place":
        fits = any(each.cell == mention.says and not each.letters for each in seen)
    else:
        fits = len(seen) == len(post.mentions) and any(each.letters in (None, letters(mention.core)) for each in seen)
    return () if fits or not seen else NO_OBJECT


def box_answer(post: SyntheticPost, mention: DrawnMention, *, own: bool, step: int = 1) -> str:
    """Return the box of a mention in the form of a grounded answer."""
    if mention.object_index is None or not own:
        return " []"
    return box_of(post, mention.object_index, step)


def box_of(post: SyntheticPost, object_index: int, step: int = 1) -> str:
    """Return the box of an object in the form of a grounded answer, in multiples of a number of the model's units."""
    scene = draw_scene(post)
    box = to_model_units(scene.boxes[object_index], scene.image.size, BoxConvention())
    return f" {[step * round(each / step) for each in box]}"


def slice_name(post: SyntheticPost, mention: DrawnMention, picture: str) -> str:
    """Return the name under which a mention is counted in the log."""
    words = "told" if mention.affix or mention.phrase else "untold"
    if picture != "own":
        return f"{picture} {words}"
    if not post.related:
        return f"unrelated {words}"
    return f"one {mention.cue}" if len(post.mentions) == 1 else f"several {mention.cue}"
