"""A client of ``instruct-mner serve``: called as a tagger is, with the model in another process."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

import httpx
from pydantic import BaseModel, ValidationError, model_validator

from instruct_mner.engines.address import check_no_credentials, is_address
from instruct_mner.engines.event_loop import run_in_thread
from instruct_mner.engines.retries import Pauses, may_pass, retry_after
from instruct_mner.errors import ConfigError, ServingError
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.schema.validation_messages import reasons
from instruct_mner.tagging.arguments import checked
from instruct_mner.tagging.examples import Post
from instruct_mner.tagging.question import Labels
from instruct_mner.tagging.request_posts import in_requests
from instruct_mner.tagging.texts import GivenPost, TextTagger

KEY_VARIABLE = "INSTRUCT_MNER_API_KEY"
_FIRST_PAUSE_SECONDS = 0.5


class _PostAnswer(BaseModel):
    """Answer to a post, whose entities are checked where they become a prediction."""

    entities: list[Any] | None = None
    rejected: dict[str, Any] = {}
    windows: int = 1
    error: Any = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.entities is None and self.error is None:
            raise ValueError("neither entities nor an error")
        return self


class _Answer(BaseModel):
    posts: list[_PostAnswer]


class Client(TextTagger):
    """Client of a server; called with one text or many, as :class:`~instruct_mner.tagging.tagger.Tagger` is.

    Args:
        url: Address of the server, such as ``http://127.0.0.1:8000``.
        model: Name of the served model; without it, the first.
        api_key: Key of the server; without it, that in the environment variable ``INSTRUCT_MNER_API_KEY``.
        timeout_seconds: Timeout of one request, from its beginning to the end of the answer, in seconds.
        max_retries: Number of times that a request is sent again where the server is busy, or away for a moment.

    Raises:
        ConfigError: The address is none, or holds a name or a password.
    """

    # The largest number that a server takes in one request by default.
    texts_at_once = 64

    @checked
    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        timeout_seconds: float = 120.0,
        max_retries: int = 5,
    ) -> None:
        if isinstance(url, str):
            check_no_credentials(url, f"leave it out, and give a key as api_key, or in {KEY_VARIABLE}")
        if not isinstance(url, str) or not is_address(url) or {"?", "#"} & set(url):
            raise ConfigError(f"address {url!r} of the server is none; write http://HOST:PORT")
        self.url = url.rstrip("/").removesuffix("/v1")
        self.model = model
        self._key = api_key if api_key is not None else os.environ.get(KEY_VARIABLE)
        if self._key and not (self._key.isascii() and self._key.isprintable()):
            raise ConfigError("the key of the server holds characters that no HTTP header can hold; copy it again")
        self._timeout, self._max_retries = timeout_seconds, max_retries

    @checked
    def predict_opened(self, posts: Sequence[Post], labels: Labels | None = None) -> list[Prediction]:
        """Tag posts whose pictures are open already, in no more requests than their pictures need.

        Raises:
            ServingError: The server cannot be reached, refuses the request, or has no answer to a post.
        """
        return self._predict_given(posts, labels)

    def _predict_given(self, posts: Sequence[GivenPost], labels: Labels | None) -> list[Prediction]:
        settings: dict[str, object] = {} if labels is None else {"labels": _named(labels)}
        if self.model is not None:
            settings["model"] = self.model
        return [
            prediction
            for given, described in in_requests(posts)
            for prediction in self._answers(given, {"posts": described, **settings})
        ]

    def _answers(self, posts: Sequence[GivenPost], body: Mapping[str, object]) -> list[Prediction]:
        answer = self._post(body)
        try:
            answers = _Answer.model_validate(answer).posts
        except ValidationError as error:
            raise self._no_answer(reasons(error, _Answer)[0]) from None
        if len(answers) != len(posts):
            raise self._no_answer(f"posts: {len(answers)} answers to {len(posts)} posts")
        named = [example.naming(len(images)) for example, images in posts]
        return [self._prediction(*each) for each in zip(named, answers, strict=True)]

    def _no_answer(self, reason: str) -> ServingError:
        return ServingError(f"{self.url} does not answer as 'instruct-mner serve' does ({reason}); check the address")

    def _prediction(self, example: Example, answer: _PostAnswer) -> Prediction:
        if answer.error is not None:
            raise ServingError(f"{self.url} has no answer to texts[{example.id}]: {answer.error}")
        values = answer.model_dump(include={"entities", "rejected"})
        if answer.windows != 1:  # as `tag` writes it: nothing for a text that is whole
            values["windows"] = answer.windows
        try:
            return Prediction.model_validate(
                {"id": example.id, "text": example.text, "images": example.images, **values}
            )
        except ValidationError as error:
            why = "; ".join(reasons(error, Prediction))
            raise ServingError(f"{self.url} answered what is no prediction of texts[{example.id}]: {why}") from None

    def _post(self, body: Mapping[str, object]) -> object:
        pauses = Pauses(_FIRST_PAUSE_SECONDS)
        for retries_left in reversed(range(self._max_retries + 1)):
            try:
                response = run_in_thread(self._sent(body))
                response.raise_for_status()
                return response.json()
            except httpx.HTTPStatusError as error:
                status, text = error.response.status_code, error.response.text
                if not (retries_left and may_pass(status)):
                    raise ServingError(
                        f"{self.url} refused the request ({status}): {text[:300]}", status=status, response=text
                    ) from None
                pause = pauses.next(retry_after(error) or 0.0)
            except (TimeoutError, httpx.TimeoutException):
                if not retries_left:
                    raise ServingError(
                        f"{self.url} did not answer within {self._timeout:g} seconds, {self._max_retries + 1} times; "
                        "give fewer texts at once (batch_size), or a larger timeout_seconds"
                    ) from None
                pause = pauses.next()
            except httpx.TransportError as error:
                if not retries_left:
                    raise ServingError(f"{self.url} cannot be reached: {error}; is the server running?") from None
                pause = pauses.next()
            except (ValueError, RecursionError, httpx.DecodingError):
                raise self._no_answer("it is no JSON") from None
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def _sent(self, body: Mapping[str, object]) -> httpx.Response:
        """Return the answer to a request; the timeout is that of all of it, where httpx has one of each read."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        async with asyncio.timeout(self._timeout), httpx.AsyncClient(timeout=self._timeout) as client:
            return await client.post(f"{self.url}/v1/entities", json=body, headers=headers)


def _named(labels: Labels) -> object:
    chosen = labels if isinstance(labels, LabelSet) else LabelSet.of(labels)
    return {label.name: label.definition for label in chosen.labels} if chosen.defined else list(chosen.names)
