"""Check of a running vLLM: adapters that change answers, answers that keep the grammar, boxes, and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from PIL import Image

from instruct_mner.answers.counted_grammar import with_counting
from instruct_mner.answers.occurrences import RestOfAnswer
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.errors import MnerError, ServingError
from instruct_mner.prompting.conversation import user_messages
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example
from instruct_mner.tagging.probes import check_probes
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.vllm_runtime.plan import Plan, Served

_TEXT = "Ada Lovelace meets Acme in Lagos"
# Nothing that any model writes by itself.
_UNLIKELY = "zq-instruct-mner-0815"
_UNCOUNTED = (
    "mentions are not counted by this vLLM: what is written more often than it stands in a post is dropped, and "
    "counted as unplaceable; is VLLM_PLUGINS set, or was instruct-mner installed for another Python than vLLM?"
)
# A probability is the same with and without a request for an adapter that changes nothing, but for the rounding of
# another order of sums (bfloat16: up to some 1e-2); what was trained changes some token by far more.
_LEAST_CHANGE = 0.02


def check_server(plan: Plan, taggers: Mapping[str, Tagger], url: str, key: str) -> list[str]:
    """Ask a vLLM that has started whether it does what it must, and return what was seen of boxes and pictures.

    A vLLM that does not count mentions is good enough, and named.

    Args:
        plan: Plan of the served models.
        taggers: A tagger on it for each model.
        url: Address of vLLM.
        key: Key of vLLM.

    Raises:
        ServingError: An adapter answers as the base does, an answer is not constrained, or there is none.
        ModelError: Boxes are in other units than the manifest says, or pictures do not reach the model.
    """
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=600) as client:
        _check_grammar(client, plan.whole.name)
        lines = [] if _counts(client, plan.whole.name) else [_UNCOUNTED]
        for adapter in plan.adapters:
            _check_adapter(client, adapter, plan.whole.name)
    for model in plan.models:
        lines += check_probes(taggers[model.name], model.name, _labels(model))
    for model in plan.models:
        check_post(model.name, taggers[model.name], _labels(model))
    return lines


def _ask(client: httpx.Client, model: str, text: str, **settings: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": text}], "temperature": 0, **settings}
    try:
        response = client.post("/v1/chat/completions", json=body)
    except httpx.HTTPError as error:
        raise ServingError(f"the self-check of '{model}' failed: {error}") from None
    if response.is_error:
        raise ServingError(f"the self-check of '{model}' failed: HTTP {response.status_code}: {response.text[:300]}")
    return dict(response.json())


def _check_grammar(client: httpx.Client, model: str) -> None:
    answer = _ask(
        client,
        model,
        "Say yes.",
        max_tokens=64,
        structured_outputs={"grammar": f'%llguidance {{}}\nstart: "{_UNLIKELY}"\n'},
    )
    written = answer["choices"][0]["message"]["content"]
    if (written or "").strip() != _UNLIKELY:
        raise ServingError(
            f"vLLM does not keep to a grammar (it wrote {written!r:.80}): its backend for structured outputs must be "
            "guidance; leave --structured-outputs-config out of its flags"
        )


def _counts(client: httpx.Client, model: str) -> bool:
    """Return whether the second mention of an answer is another one, although the grammar admits the first alone."""
    rest = RestOfAnswer(AnswerSpec(labels=LabelSet.of(["X"])), "zq zz", 0)
    grammar = with_counting('%llguidance {}\nstart: "X: zq\\nX: zq"\n', rest)
    answer = _ask(client, model, "Say yes.", max_tokens=64, structured_outputs={"grammar": grammar})
    return str(answer["choices"][0]["message"]["content"]).strip() == "X: zq\nX: zz"


def _check_adapter(client: httpx.Client, adapter: Served, base: str) -> None:
    """Check that log-probabilities of one text differ: an adapter without a match is served as the base."""
    text = user_messages(adapter.prompt, adapter.manifest.answer, _TEXT, 0)[0]["content"]
    probe = "\n".join(part["text"] for part in text)
    here, there = (
        _prompt_logprobs(_ask(client, name, probe, max_tokens=1, prompt_logprobs=0)) for name in (adapter.name, base)
    )
    change = max((abs(a - b) for a, b in zip(here, there, strict=True)), default=0.0)
    if change < _LEAST_CHANGE:
        raise ServingError(
            f"the adapter '{adapter.name}' changes nothing: vLLM gives the same log-probabilities with it as the base "
            f"(largest difference {change:.1g}); was it trained, and on this base?"
        )


def _prompt_logprobs(answer: Mapping[str, Any]) -> list[float]:
    """Return the log-probability of each token of the prompt but the first."""
    return [next(iter(each.values()))["logprob"] for each in answer["prompt_logprobs"][1:]]


def _labels(model: Served) -> list[str] | None:
    """Return labels for a model that was not tuned."""
    return ["PER", "ORG", "LOC"] if model.manifest.tuning == "none" else None


def check_post(name: str, tagger: Tagger, labels: list[str] | None = None) -> None:
    """Check that a post is answered, and as it must be.

    Args:
        name: Name of the model.
        tagger: Tagger on it.
        labels: Labels for a model that was not tuned.

    Raises:
        ServingError: It is not.
    """
    sees = tagger.manifest.max_images and not tagger.questions.generated
    pictures = (Image.new("RGB", (64, 48), "navy"),) if sees else ()
    try:
        [prediction] = tagger.predict_opened([(Example(id="probe", text=_TEXT), pictures)], labels)
    except MnerError as error:
        raise ServingError(f"the self-check of '{name}' failed: {error}") from None
    if prediction.rejected.hallucinated or (prediction.rejected.malformed > 1):
        raise ServingError(f"the self-check of '{name}' failed: its answer is not constrained: {prediction}")
