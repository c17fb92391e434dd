"""Bodies of ``/v1/entities``: one post or several go in, their entities come out."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    StringConstraints,
    Tag,
    ValidationError,
)

from instruct_mner.schema.choices import Segmentation
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Context, PredictedEntity, Rejected
from instruct_mner.schema.validation_messages import causes, explained
from instruct_mner.serving.http_models import Closed, ErrorDetail

MOST_CHARACTERS_OF_A_LABEL = 200
Name = Annotated[str, StringConstraints(min_length=1, max_length=MOST_CHARACTERS_OF_A_LABEL)]
Definition = Annotated[str, StringConstraints(max_length=2000)]


def _kind_of_labels(labels: object) -> str | None:
    return "definitions" if isinstance(labels, dict) else "names" if isinstance(labels, list) else None


def _usable(labels: list[str] | dict[str, str | None]) -> list[str] | dict[str, str | None]:
    """Return labels as they are, if an answer can hold them.

    Raises:
        ValueError: It cannot.
    """
    try:
        LabelSet.of(labels)
    except ValidationError as error:
        raise ValueError("; ".join(explained(each) for each in causes(error)[:3])) from None
    return labels


Labels = Annotated[
    # By their kind, so that an error is that of the kind that was sent.
    Annotated[list[Name], Tag("names")] | Annotated[dict[Name, Definition | None], Tag("definitions")],
    Discriminator(
        _kind_of_labels,
        custom_error_type="labels",
        custom_error_message="expected a list of names, or a mapping NAME: definition",
    ),
    Field(min_length=1),
    AfterValidator(_usable),
]
Images = Annotated[list[str], Field(max_length=16)]
_EXAMPLE: dict[str, JsonValue] = {"text": "Ada meets Acme in Lagos"}


class Post(Closed):
    """A post.

    Attributes:
        text: Text of the post.
        images: Pictures of the post, as base64 or as data URLs.
        context: Description of the pictures in words, for models that were tuned with it.
    """

    text: str
    images: Images = Field(default=[])
    context: Context | None = None


class EntitiesSettings(Closed):
    """Settings of an answer.

    Attributes:
        labels: Entity types, where they are not those of the tuning: names, or names with definitions.
        threshold: Score below which entities are left out.
        segmentation: Places where a mention may begin and end: ``words`` (and every character of scripts without
            spaces) or ``characters`` (anywhere); without it, as tuned.
        model: Name of the served model; without it the first.
    """

    labels: Labels | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.0
    segmentation: Segmentation | None = None
    model: str | None = None


class EntitiesRequest(EntitiesSettings, Post):
    """A post, with the settings of its answer."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})


class PostsRequest(EntitiesSettings):
    """Several posts, with the settings of their answers.

    Attributes:
        posts: Posts; each is answered, or has an error of its own. A wrong field in one refuses all.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"posts": [_EXAMPLE]}]})

    posts: Annotated[list[Post], Field(min_length=1, max_length=1024)]


class EntitiesResponse(BaseModel):
    """Entities of a post.

    Attributes:
        model: Name of the model that answered.
        entities: Entities in text order. Offsets are characters, end exclusive; boxes are pixels of the picture that
            was sent, ``null`` where the model writes none, empty where an entity is not seen.
        rejected: Items of the model's answer that were no entity.
        windows: Number of windows that the text was cut into because it does not fit into the model's context.
    """

    model: str
    entities: list[PredictedEntity]
    rejected: Rejected
    windows: int = 1


class PostError(BaseModel):
    """Reason why a post among others has no answer."""

    error: ErrorDetail


class PostsResponse(BaseModel):
    """Answers to several posts.

    Attributes:
        model: Name of the model that answered.
        posts: Answer to each post, or its error, in the order of the posts.
    """

    model: str
    posts: list[EntitiesResponse | PostError]


def _number_of_posts(body: object) -> str:
    several = "posts" in body if isinstance(body, dict) else isinstance(body, PostsRequest)
    return "several" if several else "single"


OneOrSeveral = Annotated[
    Annotated[EntitiesRequest, Tag("single")] | Annotated[PostsRequest, Tag("several")],
    Discriminator(_number_of_posts),
    Body(),
]
