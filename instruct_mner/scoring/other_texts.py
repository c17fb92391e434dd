"""Predictions on a text that differs from that of the gold in its blanks, as tokens joined again do."""

from __future__ import annotations

from itertools import accumulate

from instruct_mner.schema.records import Example, PredictedEntity, Prediction


def squeezed(text: str) -> str:
    """Return a text without its blanks."""
    return "".join(text.split())


def on_text_of(prediction: Prediction, post: Example) -> Prediction:
    """Return a prediction with its entities where they are in the text of a post.

    Args:
        prediction: Prediction on the text of the post, but for blanks.
        post: The post.

    Raises:
        ValueError: The texts differ in more than blanks.
    """
    if prediction.text == post.text:
        return prediction
    if squeezed(prediction.text) != squeezed(post.text):
        raise ValueError(
            f"its text {prediction.text[:60]!r} is not that of post {post.id!r}, {post.text[:60]!r}; score predictions "
            "against the file that they were made from"
        )
    # Number of the characters before each place that are no blanks.
    before = [0, *accumulate(not character.isspace() for character in prediction.text)]
    places = [place for place, character in enumerate(post.text) if not character.isspace()]

    def moved(entity: PredictedEntity) -> PredictedEntity:
        if not entity.text.strip():
            raise ValueError(f"entity {entity.start}:{entity.end} is blank")
        start, end = places[before[entity.start]], places[before[entity.end] - 1] + 1
        return entity.model_copy(update={"start": start, "end": end, "text": post.text[start:end]})

    entities = tuple(moved(entity) for entity in prediction.entities)
    return prediction.model_copy(update={"text": post.text, "entities": entities})
