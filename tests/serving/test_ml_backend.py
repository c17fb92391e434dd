"""The gateway as an ML backend of Label Studio: its four routes, as Label Studio asks them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import httpx
import pytest
from conftest import KEY, LIMITS, Gateway, running_gateway
from gateway_bodies import encoded, png
from test_label_config import FULL

from instruct_mner.data.importing.label_studio import of_task
from instruct_mner.schema.records import Box, Rejected
from instruct_mner.serving.gateway import Door
from instruct_mner.serving.label_studio import SetupRequest
from instruct_mner.serving.task_pictures import TaskPicture, TaskPictures

PICTURE = "data:image/png;base64," + encoded(png(40, 20))


def task(text: str, **more: str) -> dict[str, object]:
    return {"id": 7, "data": {"tweet": text, **more}, "annotations": [], "predictions": []}


def predict(client: httpx.Client, *tasks: dict[str, object], config: str | None = FULL) -> httpx.Response:
    """Ask as Label Studio's connector does."""
    params = {"login": "", "password": "", "context": None}
    body = {"tasks": list(tasks), "model_version": "m", "project": "1.16", "label_config": config, "params": params}
    return client.post("/predict", json=body)


def test_a_project_is_set_up(gateway: Gateway) -> None:
    body = {"project": "1.16", "schema": FULL, "hostname": "http://localhost:8080", "access_token": "secret"}
    answer = gateway.client.post("/setup", json=body)
    assert (answer.status_code, answer.json()) == (200, {"model_version": "m"})
    assert SetupRequest.model_validate(body).interface == FULL
    refused = gateway.client.post("/setup", json={"schema": "<View/>"})
    assert refused.status_code == 422
    assert "no <Labels>" in refused.json()["error"]["message"]
    assert gateway.client.get("/health").status_code == 200


def test_spans_are_pre_annotations_under_the_names_of_the_interface(gateway: Gateway) -> None:
    answer = predict(gateway.client, task("Ann is here"), task("Bob too"))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["model_version"] == "m"
    first, second = body["results"]
    assert first["model_version"] == "m"
    [span] = first["result"]
    assert (span["from_name"], span["to_name"], span["type"]) == ("ner", "post", "labels")
    assert span["value"] == {"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}
    assert second["result"][0]["value"]["text"] == "Bob"
    assert first["score"] == span["score"] == 1.0
    assert "error" not in first


def test_rectangles_are_per_cent_and_come_back_as_boxes(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    from instruct_mner.schema.records import PredictedEntity
    from instruct_mner.serving.entities_models import EntitiesResponse, Post
    from instruct_mner.serving.entities_route import EntityService

    seen: list[Post] = []

    async def answer(self: EntityService, post: Post) -> EntitiesResponse:
        seen.append(post)
        box = Box(box=(10, 5, 30, 20))
        entity = PredictedEntity(start=0, end=3, text="Ann", label="PER", score=0.5, boxes=(box,))
        return EntitiesResponse(model="m", entities=[entity], rejected=Rejected())

    monkeypatch.setattr(EntityService, "answer", answer)
    [found] = predict(gateway.client, task("Ann is", photo=PICTURE)).json()["results"]
    assert [post.images for post in seen] == [[PICTURE]]
    span, rectangle, relation = found["result"]
    assert (rectangle["from_name"], rectangle["to_name"]) == ("rect", "pic")
    wanted = {"x": 25.0, "y": 25.0, "width": 50.0, "height": 75.0, "rotation": 0, "rectanglelabels": ["PER"]}
    assert rectangle["value"] == wanted
    assert (rectangle["original_width"], rectangle["original_height"]) == (40, 20)
    assert (relation["from_id"], relation["to_id"]) == (span["id"], rectangle["id"])
    post = of_task({"id": 1, "data": {"text": "Ann is", "image": "a.png"}, "annotations": [found]}, "here")
    assert post.marks is not None
    assert post.marks[0].boxes == (Box(box=(10, 5, 30, 20)),)


WITHOUT_RECTANGLES = """<View><Image name="pic" value="$photo"/><Image name="other" value="$second"/>
  <Labels name="ner" toName="post"><Label value="PER"/></Labels><Text name="post" value="$tweet"/></View>"""


def test_a_picture_is_seen_without_rectangles_and_none_are_written(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    from instruct_mner.schema.records import PredictedEntity
    from instruct_mner.serving.entities_models import EntitiesResponse, Post
    from instruct_mner.serving.entities_route import EntityService

    seen: list[list[str]] = []

    async def answer(self: EntityService, post: Post) -> EntitiesResponse:
        seen.append(post.images)
        boxes = (Box(box=(10, 5, 30, 20)),)
        entity = PredictedEntity(start=0, end=3, text="Ann", label="PER", score=0.5, boxes=boxes)
        return EntitiesResponse(model="m", entities=[entity], rejected=Rejected())

    monkeypatch.setattr(EntityService, "answer", answer)
    tasks = [task("Ann is", photo=PICTURE), task("Ann was", photo=PICTURE, second=PICTURE)]
    first, second = predict(gateway.client, *tasks, config=WITHOUT_RECTANGLES).json()["results"]
    assert seen == [[PICTURE], [PICTURE]]
    assert [each["type"] for each in first["result"]] == ["labels"]
    assert "error" not in first
    assert second["error"] == "one picture is read, that of 'photo'; not seen: 'second'"


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        ("s3://bucket/a.png", "it is an address"),
        ("http://127.0.0.1:1/a.png", "it is an address"),
        ([PICTURE], "its field holds no text, but a value of the type list"),
    ],
)
@pytest.mark.parametrize("config", [FULL, WITHOUT_RECTANGLES])
def test_a_picture_that_is_not_seen_is_said(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, config: str, picture: object, reason: str
) -> None:
    [found] = predict(gateway.client, {"data": {"tweet": "Ann", "photo": picture}}, config=config).json()["results"]
    assert found["error"].startswith(f"the picture of 'photo' was not seen, the text alone is read: {reason}")
    assert found["result"]
    assert f"of 1 task(s) a picture was not seen: {reason}" in caplog.text
    assert "photo" not in caplog.text


def test_nothing_of_a_task_or_an_interface_is_logged(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    config = WITHOUT_RECTANGLES.replace("$photo", "$JaneDoe").replace("$second", "$JohnDoe")
    for value in (["secret"], {"secret": 1}, 12345, "secret://secret", "/data/secret.png", "secret"):
        predict(gateway.client, task("secret", JaneDoe=value), config=config)  # type: ignore[arg-type]
    for further in ("secret", ["secret"]):
        predict(gateway.client, task("secret", JaneDoe=PICTURE, JohnDoe=further), config=config)  # type: ignore[arg-type]
    assert len(caplog.records) >= 8
    assert not any(word in caplog.text for word in ("secret", "Doe", "12345", "tweet"))


def test_a_model_without_pictures_says_so(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    from instruct_mner.serving.entities_route import EntityService

    monkeypatch.setattr(EntityService, "takes_pictures", lambda self, name: False)
    results = predict(gateway.client, task("Ann is", photo=PICTURE), task("Bob is")).json()["results"]
    assert [each.get("error") for each in results] == [
        "the picture of 'photo' was not seen, the text alone is read: the model takes none", None,
    ]  # fmt: skip


def test_labels_that_no_answer_can_hold_are_refused_with_the_interface(gateway: Gateway) -> None:
    config = FULL.replace("LOC", "MISC: other")
    for answer in (
        gateway.client.post("/setup", json={"schema": config}),
        predict(gateway.client, task("Ann"), config=config),
    ):
        assert answer.status_code == 422
        assert answer.json()["error"]["message"].startswith("label_config: label 'MISC: other' holds ': '")


def test_an_address_is_not_fetched_and_said(gateway: Gateway) -> None:
    [found] = predict(gateway.client, task("Ann is", photo="http://127.0.0.1:1/a.png")).json()["results"]
    assert found["error"].startswith("the picture of 'photo' was not seen, the text alone is read: it is an address")
    assert "--label-studio URL" in found["error"]
    assert len(found["result"]) == 1


def test_pictures_of_the_one_label_studio_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from instruct_mner.serving.entities_models import EntitiesResponse, Post
    from instruct_mner.serving.entities_route import EntityService

    seen: list[list[str]] = []

    async def answer(self: EntityService, post: Post) -> EntitiesResponse:
        seen.append(post.images)
        return EntitiesResponse(model="m", entities=[], rejected=Rejected())

    monkeypatch.setattr(EntityService, "answer", answer)
    pictures = TaskPictures("http://label-studio.example", None, most_bytes=1000)

    async def read(addresses: list[str]) -> list[TaskPicture]:
        return [
            TaskPicture(content=PICTURE) if "b.png" not in each else TaskPicture(reason="gone") for each in addresses
        ]

    monkeypatch.setattr(pictures, "read", read)
    with running_gateway(door=Door(task_pictures=pictures)) as gateway:
        tasks = [task("Ann is", photo=f"/data/upload/1/{name}.png") for name in "aba"]
        results = predict(gateway.client, *tasks).json()["results"]
    assert sorted(seen) == [[], [PICTURE], [PICTURE]]
    assert [each.get("error") for each in results] == [
        None, "the picture of 'photo' was not seen, the text alone is read: gone", None,
    ]  # fmt: skip


def test_a_task_without_a_text_has_a_reason_and_the_others_their_answers(gateway: Gateway) -> None:
    results = predict(gateway.client, {"data": {"text": "Ann"}}, task("Bob is"), task("a" * 400)).json()["results"]
    assert [bool(each["result"]) for each in results] == [False, True, False]
    assert results[0]["error"] == "the task has no text in its field 'tweet'"
    assert "longer than the 300 characters" in results[2]["error"]
    assert ["score" in each for each in results] == [False, True, False]
    refused = predict(gateway.client, {"data": {}})
    assert refused.status_code == 422
    assert "no task has a text in its field 'tweet'" in refused.json()["error"]["message"]


def test_bounds_are_those_of_the_other_routes(gateway: Gateway) -> None:
    assert predict(gateway.client, *[task("Ann")] * 65).status_code == 413
    assert predict(gateway.client, task("Ann"), config="<" * 100_001).status_code == 422
    assert gateway.client.post("/predict", json={"tasks": []}).status_code == 422
    broken = gateway.client.post("/predict", content=b"{", headers={"content-type": "application/json"})
    assert broken.status_code == 400


def test_the_key_is_needed_and_goes_as_a_password_too(gateway: Gateway) -> None:
    for path in ("/setup", "/predict", "/webhook"):
        assert httpx.post(f"{gateway.url}{path}", json={}).status_code == 401
    basic = base64.b64encode(f"label-studio:{KEY}".encode()).decode()
    answer = httpx.post(f"{gateway.url}/setup", json={"schema": FULL}, headers={"authorization": f"Basic {basic}"})
    assert answer.status_code == 200


def test_the_score_is_the_certainty_of_the_post(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    from instruct_mner.schema.records import PredictedEntity
    from instruct_mner.serving.entities_models import EntitiesResponse, Post
    from instruct_mner.serving.entities_route import EntityService

    sure, unsure = (
        PredictedEntity(start=start, end=start + 3, text="Ann", label="PER", score=score)
        for start, score in ((0, 0.9), (4, 0.3))
    )
    entities = {"Ann Ann": [sure, unsure], "none": [], "broken": [sure]}

    async def answer(self: EntityService, post: Post) -> EntitiesResponse:
        rejected = Rejected(malformed=int(post.text == "broken"))
        return EntitiesResponse(model="m", entities=entities[post.text], rejected=rejected)

    monkeypatch.setattr(EntityService, "answer", answer)
    results = predict(gateway.client, *map(task, entities)).json()["results"]
    assert [each["score"] for each in results] == [0.3, 1.0, 0.0]


def test_an_event_is_taken_and_nothing_is_trained(gateway: Gateway) -> None:
    answer = gateway.client.post("/webhook", json={"action": "ANNOTATION_CREATED", "project": {"id": 1}})
    assert answer.status_code == 201
    assert answer.json() == {"status": "ANNOTATION_CREATED: nothing is trained here"}


def test_tasks_count_as_requests() -> None:
    with running_gateway(limits=replace(LIMITS, rate=1.0)) as gateway:
        assert predict(gateway.client, *[task("Ann")] * 40).status_code == 200
        busy = predict(gateway.client, task("Ann"))
        assert busy.status_code == 429
        assert "retry-after" in busy.headers


def test_answers_are_what_label_studio_stores(gateway: Gateway) -> None:
    body = json.loads(predict(gateway.client, task("Ann is")).content)
    assert set(body) == {"results", "model_version"}
    assert set(body["results"][0]) == {"result", "score", "model_version"}
