from __future__ import annotations

import base64
import io
import json
import socket
from dataclasses import replace
from typing import Any

import pytest
from fake_server import chat, first_word_is_a_person, post_of, serving, token
from PIL import Image

from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.address import check_no_credentials
from instruct_mner.engines.endpoint import Endpoint, EndpointEngine
from instruct_mner.engines.engine import Request
from instruct_mner.engines.fallback import unconstrained
from instruct_mner.engines.grammar_check import grammar_state
from instruct_mner.engines.openai_format import SPECIAL_TOKENS, WrittenToken, written_tokens
from instruct_mner.engines.schema_root import in_object
from instruct_mner.errors import ConfigError, ServingError
from instruct_mner.prompting.templates import shown_text
from instruct_mner.schema.labels import LabelSet

LABELS = ["PER", "LOC"]
SPEC = AnswerSpec(labels=LabelSet.of(LABELS), format="json")
POSTS = [f"name{number} is here" for number in range(12)]


def request(text: str, *images: Image.Image) -> Request:
    content = [
        {"type": "text", "text": "?"},
        *({"type": "image"} for _ in images),
        {"type": "text", "text": f"Post: {text}"},
    ]
    return Request(
        [{"role": "user", "content": content}],
        images,
        codec.grammar(SPEC, text),
        max_tokens=40,
        schema=codec.json_schema(SPEC),
    )


def engine(url: str, **changes: object) -> EndpointEngine:
    endpoint = Endpoint(url, "m", first_retry_seconds=0.01, timeout_seconds=5.0)
    return EndpointEngine(replace(endpoint, **changes))  # type: ignore[arg-type]


def test_answers_come_in_the_order_of_the_requests_and_no_more_at_once_than_allowed() -> None:
    with serving(delay=lambda body: 0.06 if post_of(body).startswith("name0") else 0.02) as server:
        completions = engine(server.url, concurrency=3).generate([request(text) for text in POSTS])
        assert server.most_at_once == 3
    assert [codec.parse(SPEC, t, c.text).entities[0].end for t, c in zip(POSTS, completions, strict=True)] == [
        len(text.split()[0]) for text in POSTS
    ]
    assert [json.loads(completion.text)[0]["text"] for completion in completions] == [t.split()[0] for t in POSTS]


def test_what_is_sent(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    picture = Image.new("RGB", (3, 2), "red")
    with serving() as server:
        engine(server.url).generate([request("Ann is here", picture)], temperature=0.5, seed=7)
        [body], [headers] = server.bodies, server.headers
    assert headers["path"] == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer secret"
    assert body["structured_outputs"] == {"grammar": codec.grammar(SPEC, "Ann is here")}
    assert (body["model"], body["temperature"], body["seed"], body["max_tokens"]) == ("m", 0.5, 7, 40)
    assert body["logprobs"] is True
    kinds = [part["type"] for part in body["messages"][0]["content"]]
    assert kinds == ["text", "image_url", "text"]
    data = body["messages"][0]["content"][1]["image_url"]["url"].removeprefix("data:image/png;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(data))).tobytes() == picture.tobytes()


@pytest.mark.parametrize(("constraint", "sent"), [("schema", "response_format"), ("none", None)])
def test_other_constraints(constraint: str, sent: str | None) -> None:
    with serving() as server:
        engine(server.url, constraint=constraint, scores=False).generate([request("Ann is here")])
        [body] = server.bodies
    assert {"structured_outputs", "response_format"} & set(body) == ({sent} if sent else set())
    if sent:
        assert body[sent]["json_schema"]["schema"] == in_object(codec.json_schema(SPEC))
    assert "logprobs" not in body


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_pass_is_tried_again(status: int) -> None:
    def reply(body, number):
        return (status, {"error": {"message": "busy"}}) if number < 2 else first_word_is_a_person(body, number)

    with serving(reply) as server:
        [completion] = engine(server.url).generate([request("Ann is here")])
        assert len(server.bodies) == 3
    assert completion.text.startswith('[{"text":"Ann"')


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(400, "--constraint"), (401, "OPENAI_API_KEY"), (404, "--model"), (409, "--constraint"), (422, "--constraint")],
)
def test_what_does_not_pass_is_an_error_at_once_in_the_words_of_the_server(status: int, remedy: str) -> None:
    with serving(lambda body, number: (status, {"error": {"message": "no such thing"}})) as server:
        with pytest.raises(ServingError, match=f"HTTP {status}: no such thing.*{remedy}"):
            engine(server.url).generate([request("Ann")])
        assert len(server.bodies) == 1


def refused(setting: str, code: str) -> dict[str, Any]:
    message = f"Unsupported parameter: '{setting}' is not supported with this model."
    return {"error": {"message": message, "type": "invalid_request_error", "param": setting, "code": code}}


def test_settings_that_a_model_does_not_take_are_left_out_and_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    def reply(body, number):
        wrong = {"max_tokens": "unsupported_parameter", "temperature": "unsupported_value"}
        setting = next((name for name in wrong if name in body), None)
        return first_word_is_a_person(body, number) if setting is None else (400, refused(setting, wrong[setting]))

    with serving(reply) as server:
        completions = engine(server.url, max_retries=0, concurrency=1).generate([request(text) for text in POSTS[:3]])
        assert [body.keys() & {"max_tokens", "temperature", "seed"} for body in server.bodies] == [
            {"max_tokens", "temperature", "seed"}, {"temperature", "seed"}, *[{"seed"}] * 3,
        ]  # fmt: skip
    assert all(completion.finished for completion in completions)
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(" takes ")[2] for line in told] == [
        f"no '{name}' for model 'm': it is left out" for name in ("max_tokens", "temperature")
    ]


@pytest.mark.parametrize(
    ("setting", "code", "remedy"),
    [
        ("logprobs", "unsupported_parameter", "--no-scores"),
        ("messages", "unsupported_value", "--constraint"),
        ("temperature", "invalid_value", "--constraint"),
    ],
)
def test_other_settings_are_not_left_out(setting: str, code: str, remedy: str) -> None:
    with serving(lambda body, number: (400, refused(setting, code))) as server:
        with pytest.raises(ServingError, match=f"HTTP 400: Unsupported parameter.*{remedy}"):
            engine(server.url).generate([request("Ann")])
        assert len(server.bodies) == 1


def test_a_server_that_stays_busy_is_given_up() -> None:
    with serving(lambda body, number: (429, {"error": {"message": "busy"}})) as server:
        with pytest.raises(ServingError, match="HTTP 429: busy; lower --concurrency"):
            engine(server.url, max_retries=2).generate([request("Ann")])
        assert len(server.bodies) == 3


def test_a_server_that_has_served_may_be_away_for_longer_than_the_retries() -> None:
    def reply(body, number):
        return (503, {"error": {"message": "starting"}}) if 1 <= number <= 6 else first_word_is_a_person(body, number)

    with serving(reply) as server:
        asking = engine(server.url, max_retries=1)
        asking.generate([request("Ann is here")])
        [completion] = asking.generate([request("Bob is here")])
        assert completion.text.startswith('[{"text":"Bob"')
        server.reply = lambda body, number: (503, {"error": {"message": "starting"}})
        with pytest.raises(ServingError, match="HTTP 503"):
            engine(server.url, max_retries=1).generate([request("Ann")])
        gone = engine(server.url, max_retries=1, reconnect_seconds=0.05)
        gone._has_served = gone._has_answered = True
        with pytest.raises(ServingError, match="HTTP 503"):
            gone.generate([request("Ann")])


def test_timeouts_are_tried_again_and_given_up() -> None:
    with serving(delay=lambda body: 0.3) as server:
        with pytest.raises(ServingError, match=r"did not answer within 0\.05 seconds, 2 times"):
            engine(server.url, timeout_seconds=0.05, max_retries=1).generate([request("Ann")])
        assert len(server.bodies) == 2


def test_no_server() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(ServingError, match=r"cannot be reached.*start the server, or check --endpoint"):
        engine(f"http://127.0.0.1:{port}").generate([request("Ann")])


@pytest.mark.parametrize(
    "said", ["<html>hello</html>", {"hello": 1}, {"choices": []}, {"choices": [{"index": 0}]}, {"choices": ["Ann"]}]
)
def test_something_else_answers(said: object) -> None:
    with serving(lambda body, number: (200, said)) as server, pytest.raises(ServingError, match="under /v1"):
        engine(server.url).generate([request("Ann")])


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x/v1", "http://", ""])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ConfigError, match="--endpoint"):
        engine(url)


def test_a_password_in_an_address_is_refused_and_not_told() -> None:
    with pytest.raises(ConfigError, match=r"^the address of the server a:1 holds .*'@'; use a key$"):
        check_no_credentials("http://ann:secret@a:1/v1", "use a key")
    check_no_credentials("http://a:1/@v1", "")
    check_no_credentials("http://[", "")


def test_a_path_is_kept() -> None:
    assert Endpoint("http://a/b/v2", "m").base_url == "http://a/b/v2"
    assert Endpoint("http://a:1/", "m").base_url == "http://a:1/v1"


def test_a_server_that_ignores_the_grammar_is_found_out() -> None:
    with serving(lambda body, number: (200, chat("Sure!", logprobs=[token("Sure!")]))) as server:
        with pytest.raises(ServingError, match=r"ignores the grammar.*guidance"):
            engine(server.url).generate([request("Ann")])
        [completion] = engine(server.url, constraint="none").generate([request("Ann")])
    assert completion.text == "Sure!"


def test_a_cut_answer_is_not_finished() -> None:
    cut = '[{"text":"Ann'
    with serving(lambda body, number: (200, chat(cut, logprobs=[token(cut)], finish="length"))) as server:
        [completion] = engine(server.url).generate([request("Ann")])
    assert not completion.finished
    assert codec.parse(SPEC, "Ann", completion.text, finished=False).rejected.malformed == 1
    assert grammar_state(codec.grammar(SPEC, "😀1"), '[{"text":"\ufffd') == "begun"


def test_nothing_at_all_is_malformed() -> None:
    with serving(lambda body, number: (200, chat(None))) as server:
        [completion] = engine(server.url).generate([request("Ann")])
    assert codec.parse(SPEC, "Ann", completion.text).rejected.malformed == 1


def test_no_logprobs_is_an_error_unless_none_are_wanted() -> None:
    with serving(lambda body, number: (200, chat("[]"))) as server:
        with pytest.raises(ServingError, match="--no-scores"):
            engine(server.url).generate([request("Ann")])
        [completion] = engine(server.url, scores=False).generate([request("Ann")])
    assert completion.tokens == ()


def test_content_may_be_a_list_of_texts() -> None:
    def reply(body, number):
        status, said = first_word_is_a_person(body, number)
        content = said["choices"][0]["message"]["content"]
        said["choices"][0]["message"]["content"] = [
            {"type": "text", "text": each} for each in (content[:5], content[5:])
        ]
        return status, said

    with serving(reply) as server:
        [completion] = engine(server.url).generate([request("Ann is here")])
    assert completion.text == '[{"text":"Ann","label":"PER"}]'
    assert len(completion.tokens) == 6


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ([{"type": "thinking", "thinking": "hm"}], "choices.0.message.content: expected a text"),
        ([{"type": "text", "text": 5}], "choices.0.message.content: expected a text"),
        ({"text": "[]"}, "choices.0.message.content: expected a text"),
        (5, "choices.0.message.content: expected a text"),
    ],
)
def test_content_of_another_kind_is_told_with_its_place(content: Any, where: str) -> None:
    with (
        serving(lambda body, number: (200, chat(content, logprobs=[]))) as server,
        pytest.raises(ServingError, match=rf"chat completions do \({where}"),
    ):
        engine(server.url).generate([request("Ann")])


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"logprob": None}, "logprob: expected a number"),
        ({"logprob": float("nan")}, "logprob: Input should be less"),
        ({"logprob": 3.0}, "logprob: Input should be less"),
        ({"logprob": True}, "logprob: expected a number"),
        ({"bytes": [300]}, r"bytes\.0: "),
        ({"token": None}, "token: expected a text"),
    ],
)
def test_log_probabilities_that_are_none_are_told_and_not_needed_without_scores(change: Any, where: str) -> None:
    with serving(lambda body, number: (200, chat("[]", logprobs=[token("[]") | change]))) as server:
        with pytest.raises(ServingError, match=rf"of what it wrote \(logprobs: content\.0\.{where}.*--no-scores"):
            engine(server.url).generate([request("Ann")])
        [completion] = engine(server.url, scores=False).generate([request("Ann")])
    assert (completion.text, completion.tokens) == ("[]", ())


@pytest.mark.parametrize(
    ("text", "said", "spans"),
    [
        ("PER: Ann", [("PER", None), (": ", None), ("Ann", None)], ["PER", ": ", "Ann"]),
        ("a😀b", [("a", b"a"), ("?", b"\xf0\x9f"), ("?", b"\x98\x80"), ("b", b"b")], ["a", "😀", "😀", "b"]),
        ("a😀b", [("a", b"a"), ("", b""), ("😀", "😀".encode()), ("b", b"b")], ["a", "😀", "😀", "b"]),
        ("none", [(" none", b" none"), ("<|im_end|>", b"<|im_end|>")], ["none", ""]),
        ("none", [("no", b"no")], None),
        ("none", [], None),
    ],
)
def test_where_tokens_stand(text: str, said: list[tuple[str, bytes | None]], spans: list[str] | None) -> None:
    logprobs = [
        WrittenToken(token=piece, bytes=None if raw is None else list(raw), logprob=-1.0) for piece, raw in said
    ]
    tokens = written_tokens(text, logprobs)
    assert [text[each.start : each.end] for each in tokens] == (spans or [])


def test_a_second_answer_without_grammar_has_no_penalty_of_repetitions_either() -> None:
    with serving() as server:
        engine(server.url).generate([unconstrained(request("Ann is here"))])
        [body] = server.bodies
    assert body["repetition_penalty"] == 1.0
    assert "structured_outputs" not in body


def test_special_tokens_of_an_unknown_model_cover_those_of_the_families() -> None:
    from instruct_mner.testing import idefics, others, qwen

    vocabularies = [idefics.VOCABULARY, qwen.VOCABULARY, others.GEMMA_VOCABULARY, others.INTERNVL_VOCABULARY]
    for vocabulary in (*vocabularies, others.LLAVA_VOCABULARY):
        assert set(vocabulary.special_tokens) <= set(SPECIAL_TOKENS)
    assert "<image>" not in shown_text("a <image> b", SPECIAL_TOKENS)


@pytest.mark.parametrize(("window", "sent"), [(None, 40), (160, 40), (159, None)])
def test_a_small_window_cuts_by_itself(window: int | None, sent: int | None) -> None:
    with serving() as server:
        engine(server.url, window=window).generate([request("Ann is here")])
        [body] = server.bodies
    assert body.get("max_tokens") == sent
    assert body["repetition_penalty"] == 1.0


@pytest.mark.parametrize(
    ("models", "size"),
    [
        (None, None),
        ([{"id": "m", "max_model_len": 4096}], 4096),
        ([{"id": "other", "max_model_len": 4096}, {"id": "m", "max_model_len": 512}], 512),
        ([{"id": "m"}], None),
        ([{"id": "m", "max_model_len": "many"}, "m"], None),
    ],
)
def test_the_server_says_how_large_its_context_is(models: list[Any] | None, size: int | None) -> None:
    with serving() as server:
        server.models = models
        assert EndpointEngine(Endpoint(server.url, "m")).context_size == size


def test_a_server_that_is_not_there_says_nothing_of_its_context() -> None:
    assert EndpointEngine(Endpoint("http://127.0.0.1:1", "m")).context_size is None


def test_an_answer_that_could_need_much_of_a_known_context_is_cut_by_the_server() -> None:
    with serving() as server:
        server.models = [{"id": "m", "max_model_len": 400}]
        asked = EndpointEngine(Endpoint(server.url, "m", scores=False, constraint="none"))
        asked.generate([replace(request("Ann"), max_tokens=101)])
        assert asked.context_size == 400
        asked.generate([replace(request("Ann"), max_tokens=101), replace(request("Ann"), max_tokens=100)])
    assert sorted(str(body.get("max_tokens")) for body in server.bodies) == ["100", "101", "None"]
