"""A client of ``instruct-mner serve``: called as a tagger is, with the model in another process."""

from __future__ import annotations

import base64
import io
import os
import time
from collections.abc import Mapping, Sequence

import httpx
from PIL import Image
from pydantic import ValidationError

from instruct_mner.engines.retries import Pauses, may_pass, retry_after
from instruct_mner.errors import ConfigError, ServingError
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.schema.validation_messages import reasons
from instruct_mner.tagging.arguments import checked
from instruct_mner.tagging.examples import Post
from instruct_mner.tagging.question import Labels
from instruct_mner.tagging.texts import TextTagger

KEY_VARIABLE = "INSTRUCT_MNER_API_KEY"
_FIRST_PAUSE_SECONDS = 0.5


class Client(TextTagger):
    """Client of a server; called with one text or many, as :class:`~instruct_mner.tagging.tagger.Tagger` is.

    Args:
        url: Address of the server, such as ``http://127.0.0.1:8000``.
        model: Name of the served model; without it, the first.
        api_key: Key of the server; without it, that in the environment variable ``INSTRUCT_MNER_API_KEY``.
        timeout_seconds: Timeout of one request, in seconds.
        max_retries: Number of times that a request is sent again where the server is busy, or away for a moment.

    Raises:
        ConfigError: The address is none.
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
        if not _is_address(url):
            raise ConfigError(f"address {url!r} of the server is none; write http://HOST:PORT")
        self.url = url.rstrip("/").removesuffix("/v1")
        self.model = model
        self._key = api_key if api_key is not None else os.environ.get(KEY_VARIABLE)
        if self._key and not (self._key.isascii() and self._key.isprintable()):
            raise ConfigError("the key of the server holds characters that no HTTP header can hold; copy it again")
        self._timeout, self._max_retries = timeout_seconds, max_retries

    @checked
    def predict_opened(self, posts: Sequence[Post], labels: Labels | None = None) -> list[Prediction]:
        """Tag posts whose pictures are open already, in one request.

        Raises:
            ServingError: The server cannot be reached, refuses the request, or has no answer to a post.
        """
        body: dict[str, object] = {"posts": [_described(example, images) for example, images in posts]}
        if labels is not None:
            body["labels"] = _named(labels)
        if self.model is not None:
            body["model"] = self.model
        answer = self._post(body)
        answers = answer.get("posts")
        if not isinstance(answers, list) or len(answers) != len(posts):
            raise ServingError(f"{self.url} answered {str(answer)[:80]!r}; is it 'instruct-mner serve'?")
        named = [example.naming(len(images)) for example, images in posts]
        return [self._prediction(*each) for each in zip(named, answers, strict=True)]

    def _prediction(self, example: Example, answer: Mapping[str, object]) -> Prediction:
        if "error" in answer:
            raise ServingError(f"{self.url} has no answer to texts[{example.id}]: {answer['error']}")
        values = {name: answer[name] for name in ("entities", "rejected") if name in answer}
        if answer.get("windows") != 1:  # as `tag` writes it: nothing for a text that is whole
            values["windows"] = answer.get("windows")
        try:
            return Prediction.model_validate(
                {"id": example.id, "text": example.text, "images": example.images, **values}
            )
        except ValidationError as error:
            why = "; ".join(reasons(error, Prediction))
            raise ServingError(f"{self.url} answered what is no prediction of texts[{example.id}]: {why}") from None

    def _post(self, body: Mapping[str, object]) -> dict[str, object]:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        address, pauses = f"{self.url}/v1/entities", Pauses(_FIRST_PAUSE_SECONDS)
        for retries_left in reversed(range(self._max_retries + 1)):
            try:
                response = httpx.post(address, json=body, headers=headers, timeout=self._timeout)
                response.raise_for_status()
                answer = response.json()
                return answer if isinstance(answer, dict) else {"answer": answer}
            except httpx.HTTPStatusError as error:
                status, text = error.response.status_code, error.response.text
                if not (retries_left and may_pass(status)):
                    raise ServingError(
                        f"{self.url} refused the request ({status}): {text[:300]}", status=status, response=text
                    ) from None
                pause = pauses.next(retry_after(error) or 0.0)
            except httpx.TransportError as error:
                if not retries_left:
                    raise ServingError(f"{self.url} cannot be reached: {error}; is the server running?") from None
                pause = pauses.next()
            except ValueError:
                raise ServingError(f"{self.url} answered what is no JSON; is it 'instruct-mner serve'?") from None
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")


def _is_address(url: object) -> bool:
    if not isinstance(url, str):
        return False
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.host)


def _named(labels: Labels) -> object:
    chosen = labels if isinstance(labels, LabelSet) else LabelSet.of(labels)
    return {label.name: label.definition for label in chosen.labels} if chosen.defined else list(chosen.names)


def _described(example: Example, images: Sequence[Image.Image]) -> dict[str, object]:
    post: dict[str, object] = {"text": example.text}
    if images:
        post["images"] = [_encoded(image) for image in images]
    return post


def _encoded(image: Image.Image) -> str:
    content = io.BytesIO()
    image.save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()
