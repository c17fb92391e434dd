"""An engine that answers with each word that begins with ``Z``, and a tagger that asks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.engine import Completion, Request
from instruct_mner.models.manifest import Manifest, PromptStamp
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.schema.labels import LabelSet
from instruct_mner.tagging.tagger import Tagger


@dataclass
class NameFinder:
    """An engine that answers with each word that begins with ``Z``, and a token for each word."""

    context_size: int | None = 400
    requests: list[Request] = field(default_factory=list)

    def special_tokens(self) -> tuple[str, ...]:
        return ()

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def count_image_tokens(self, sizes: Sequence[tuple[int, int]]) -> Sequence[int]:
        return [0] * len(sizes)

    def count_prompt(self, request: Request) -> int:
        parts = [part for message in request.messages for part in message["content"]]
        return sum(self.count_tokens(part["text"]) for part in parts if "text" in part)

    def resized(self, size: tuple[int, int]) -> None:
        return None

    def generate(self, requests, *, temperature: float = 0.0, seed: int = 0) -> list[Completion]:
        self.requests += requests
        return [Completion("\n".join(self.lines(request)) or "none") for request in requests]

    @staticmethod
    def lines(request: Request) -> list[str]:
        words = request.messages[-1]["content"][-1]["text"].replace(".", " ").split()
        return [f"PER: {word}" for word in words if word.startswith("Z")]


def tagger_of(engine: NameFinder, **changes: object) -> Tagger:
    prompt = find_prompt("tag")
    spec = AnswerSpec(labels=LabelSet.of(["PER"]), **changes)
    manifest = Manifest(
        base_model="base",
        family="idefics3",
        tuning="lora",
        prompt=PromptStamp(name=prompt.name, sha256=prompt.sha256),
        answer=spec,
    )
    return Tagger(engine, manifest, prompt)
