"""The only writer of messages: training, tagging, and the training of the starter all take their prompts from here.

The user's message is instruction, pictures, post: the shared beginning is computed once by a server's prefix cache,
and with a causal decoder the post sees the picture, never the reverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.errors import ConfigError
from instruct_mner.prompting.templates import Prompt, Shot, shown_context, shown_text
from instruct_mner.schema.records import Context, Example

Message = dict[str, Any]


def user_messages(
    prompt: Prompt,
    spec: AnswerSpec,
    text: str,
    num_images: int,
    *,
    several_pictures: bool = False,
    examples: Sequence[Shot] = (),
    context: Context | None = None,
) -> list[Message]:
    """Return the chat that asks for the entities of one post.

    Args:
        prompt: Template of the two texts.
        spec: Form of the answer, with the labels.
        text: Text as the model reads it (:func:`~instruct_mner.prompting.templates.shown_text`).
        num_images: Number of pictures of the post; their places stand between instruction and post.
        several_pictures: Whether posts of this data may hold several pictures.
        examples: Few-shot examples.
        context: Captions, tags and OCR of the pictures as the model reads them
            (:func:`~instruct_mner.prompting.templates.shown_context`).

    Raises:
        ConfigError: The template cannot be rendered.
    """
    instruction = prompt.instruction(spec, several_pictures=several_pictures, examples=examples)
    content: list[Message] = [
        {"type": "text", "text": instruction},
        *({"type": "image"} for _ in range(num_images)),
        {"type": "text", "text": prompt.post(text, num_images, context)},
    ]
    return [{"role": "user", "content": content}]


def picture_messages(num_images: int, text: str) -> list[Message]:
    """Return the turn of the user that holds pictures and then a text, for questions about pictures alone."""
    return [
        {"role": "user", "content": [*({"type": "image"} for _ in range(num_images)), {"type": "text", "text": text}]}
    ]


def answer_messages(answer: str) -> list[Message]:
    """Return the turn of the assistant that gives an answer."""
    return [{"role": "assistant", "content": [{"type": "text", "text": answer}]}]


def instruction_text(messages: Sequence[Message]) -> str:
    """Return the text before the pictures of :func:`user_messages`."""
    return str(messages[-1]["content"][0]["text"])


def post_text(messages: Sequence[Message]) -> str:
    """Return the text after the pictures of :func:`user_messages`: the part that holds the post."""
    return str(messages[-1]["content"][-1]["text"])


def answer_text(messages: Sequence[Message]) -> str:
    """Return the answer of :func:`answer_messages`."""
    return str(messages[0]["content"][0]["text"])


def joined_parts(message: Message) -> Message:
    """Return a message whose content is one string: its text parts, joined as they stand."""
    content = message["content"]
    if not isinstance(content, str):
        content = "".join(part["text"] for part in content)
    return {**message, "content": content}


@lru_cache(maxsize=64)
def special_token_of(source: str, special_tokens: tuple[str, ...]) -> str | None:
    """Return a special token that a template holds."""
    return next((token for token in special_tokens if token and token in source), None)


@dataclass(frozen=True, kw_only=True)
class PromptWriter:
    """Writer of the messages about posts: a template with the settings that are the same for all posts of a run.

    Attributes:
        prompt: Template.
        special_tokens: Special tokens of the tokenizer, which are neutralised in posts.
        several_pictures: Whether posts of this data may hold several pictures.
        context: Whether captions, tags and OCR of the pictures are part of the prompt.
    """

    prompt: Prompt
    special_tokens: tuple[str, ...]
    several_pictures: bool
    context: bool

    def __post_init__(self) -> None:
        """Refuse a template that would end the turn, or count as a picture."""
        held = special_token_of(self.prompt.source, self.special_tokens)
        if held is not None:
            raise ConfigError(
                f"prompt template {self.prompt.name} holds {held!r}, a special token of this model; write it in other "
                "words (pictures are put between the blocks)"
            )

    def text(self, example: Example) -> str:
        """Return the text of a post as the model reads it, of the same length."""
        return shown_text(example.text, self.special_tokens)

    def messages(
        self, example: Example, num_images: int, spec: AnswerSpec, examples: Sequence[Shot] = ()
    ) -> list[Message]:
        """Return the chat that asks for the entities of one post.

        Args:
            example: Post.
            num_images: Number of its pictures that the model sees.
            spec: Form of the answer, the same for all posts of a label set, whatever pictures they have.
            examples: Few-shot examples.
        """
        return user_messages(
            self.prompt,
            spec,
            self.text(example),
            num_images,
            several_pictures=self.several_pictures,
            examples=examples,
            context=self._context(example),
        )

    def text_begins(self, example: Example, num_images: int) -> int | None:
        """Return the first character of the post's text in :func:`post_text`; ``None`` where it is not there."""
        return self.prompt.text_begins(self.text(example), num_images, self._context(example))

    def _context(self, example: Example) -> Context | None:
        return shown_context(example.context, self.special_tokens) if self.context else None
