"""Several posts in a request, and the threshold."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from conftest import LIMITS, Gateway, running_gateway
from fake_server import first_word_is_a_person, post_of
from gateway_bodies import bomb, encoded, picture, post_body

from instruct_mner.serving import entities_route
from instruct_mner.serving.entities_models import PostsRequest
from instruct_mner.serving.entities_route import EntityService

ENTITIES = "/v1/entities"


def test_each_post_is_answered_or_has_its_error(gateway: Gateway) -> None:
    posts: list[dict[str, Any]] = [
        {"text": "Ann is here"},
        {"text": "x" * 301},
        {"text": "Bob is there", "images": [picture()]},
        {"text": "a", "images": [encoded(bomb())]},
        {"text": "Eve", "images": ["file:///etc/passwd"]},
        {"text": ""},
    ]
    response = gateway.client.post(ENTITIES, json={"posts": posts, "labels": ["PER"]}, headers={"x-request-id": "r"})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["model"] == "m"
    words = [[each["text"] for each in post.get("entities", [])] for post in answer["posts"]]
    assert words == [["Ann"], [], ["Bob"], [], [], []]
    codes = [post["error"]["code"] if "error" in post else None for post in answer["posts"]]
    assert codes == [None, 413, None, 422, 422, None]
    assert answer["posts"][1]["error"]["request_id"] == "r"
    assert "picture 1 is an address" in answer["posts"][4]["error"]["message"]
    alone = gateway.client.post(ENTITIES, json={**posts[2], "labels": ["PER"]}).json()
    assert answer["posts"][2] == alone


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"posts": []}, 422, "posts: must not be empty"),
        ({"posts": [{"text": "a"}] * 65}, 413, "65 posts, more than the 64 allowed"),
        ({"posts": [{"text": "a"}, {"txt": "b"}]}, 422, "posts.1.text: is needed"),
        ({"posts": [{"text": "a"}, {"text": 5}]}, 422, "posts.1.text: "),
        ({"posts": [{"text": "a", "labels": ["PER"]}]}, 422, "posts.0.labels: this server does not take"),
        ({"posts": [{"text": "a"}], "text": "b"}, 422, "text: this server does not take"),
        ({"posts": [{"text": "a"}], "model": "nobody"}, 404, "no model 'nobody'"),
        ({"posts": "a"}, 422, "posts: "),
        ({"posts": None, "text": "a"}, 422, "posts: "),
        ({"posts": [{"text": "a"}], "labels": ["PER: x"]}, 422, "labels: label 'PER: x' holds ': '"),
    ],
)
def test_a_list_is_refused(gateway: Gateway, body: dict[str, object], status: int, message: str) -> None:
    response = gateway.client.post(ENTITIES, json={"labels": ["PER"], **body})
    assert response.status_code == status, response.text
    assert message in response.json()["error"]["message"]


def test_posts_under_way_are_bounded_and_in_order() -> None:
    def answer(body: dict, number: int) -> tuple[int, object]:
        return first_word_is_a_person(body, number)

    with running_gateway(answer, limits=replace(LIMITS, concurrency=2)) as gateway:
        gateway.vllm.delay = lambda body: 0.05 if post_of(body).startswith("Name0") else 0.0
        posts = [{"text": f"Name{number} is here"} for number in range(12)]
        answers = gateway.client.post(ENTITIES, json={"posts": posts, "labels": ["PER"]}).json()["posts"]
        assert [each["entities"][0]["text"] for each in answers] == [f"Name{number}" for number in range(12)]
        assert gateway.vllm.most_at_once <= 2


def test_segmentation_changes_the_grammar(gateway: Gateway) -> None:
    grammars = {}
    for chosen in (None, "words", "characters"):
        body = post_body("Annabel is here") if chosen is None else post_body("Annabel is here", segmentation=chosen)
        assert gateway.client.post(ENTITIES, json=body).status_code == 200
        grammars[chosen] = gateway.vllm.bodies[-1]["structured_outputs"]["grammar"]
    assert grammars[None] == grammars["words"] != grammars["characters"]
    refused = gateway.client.post(ENTITIES, json=post_body(segmentation="syllables"))
    assert refused.status_code == 422
    assert "segmentation" in refused.json()["error"]["message"]


def test_few_grammars_are_built_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    questions, lock, counts = entities_route._questions, threading.Lock(), [0, 0]

    def build(*arguments: Any) -> Any:
        with lock:
            counts[0] += 1
            counts[1] = max(counts)
        time.sleep(0.01)
        with lock:
            counts[0] -= 1
        return questions(*arguments)

    monkeypatch.setattr(entities_route, "_questions", build)
    with running_gateway() as gateway:
        posts = [{"text": f"Name{number} is here"} for number in range(8)]
        assert gateway.client.post(ENTITIES, json={"posts": posts, "labels": ["PER"]}).status_code == 200
    assert 1 <= counts[1] <= entities_route._BUILT_AT_ONCE


def test_an_engine_that_fails_for_all_is_a_503_and_for_one_an_error_of_its_own() -> None:
    def answer(body: dict, number: int) -> tuple[int, object]:
        status = 503 if "Bad" in post_of(body) else 200
        return (status, {"error": {"message": "full"}}) if status == 503 else first_word_is_a_person(body, number)

    with running_gateway(answer) as gateway:
        some = gateway.client.post(ENTITIES, json={"posts": [{"text": "Bad"}, {"text": "Ann"}], "labels": ["PER"]})
        assert some.status_code == 200
        assert some.json()["posts"][0]["error"]["code"] == 503
        every = gateway.client.post(ENTITIES, json={"posts": [{"text": "Bad"}] * 2, "labels": ["PER"]})
        assert every.status_code == 503
        assert every.json()["error"]["message"] == "the queue of the model is full; try again"
        assert int(every.headers["retry-after"]) >= 1


def test_a_threshold_leaves_entities_out(gateway: Gateway) -> None:
    [entity] = gateway.client.post(ENTITIES, json=post_body(threshold=1.0)).json()["entities"]
    assert math.isclose(entity["score"], 1.0)
    assert gateway.client.post(ENTITIES, json=post_body(threshold=1.1)).status_code == 422
    assert gateway.client.post(ENTITIES, json=post_body(threshold=-0.1)).status_code == 422
    assert EntityService.answer_all is not None
    assert PostsRequest.model_fields["threshold"].default == 0.0
