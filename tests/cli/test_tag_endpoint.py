"""Tagging with a server, from Python and from the command line; the protocol itself is tested with the engine."""

from __future__ import annotations

import asyncio
import json
import math

import pytest
from fake_server import Body, chat, post_of, serving, token
from rich.console import Console
from typer.testing import CliRunner

from instruct_mner import Tagger
from instruct_mner.cli import app
from instruct_mner.data.loading import load_split
from instruct_mner.engines.endpoint import Endpoint
from instruct_mner.engines.grammar_check import grammar_state
from instruct_mner.errors import ConfigError, MnerError
from instruct_mner.schema.choices import Segmentation
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.testing.posts import make_posts

LABELS = ["PER", "LOC"]


def test_python() -> None:
    with serving() as server:
        tagger = Tagger.connect(server.url, model="m")
        [entity] = tagger.predict_entities("Ann <image> here", labels=LABELS)
        [body] = server.bodies
    assert (entity["start"], entity["end"], entity["label"]) == (0, 3, "PER")
    assert entity["score"] == pytest.approx(math.exp(-0.5 - 0.25))
    assert post_of(body) == "Ann ‹image> here"
    with pytest.raises(ConfigError, match="model="):
        Tagger.connect("http://127.0.0.1:1")


def test_inside_a_running_event_loop() -> None:
    """As in a notebook."""

    with serving() as server:

        async def main() -> int:
            return len(Tagger.connect(server.url, model="m").predict_entities("Ann", labels=LABELS))

        assert asyncio.run(main()) == 1


def test_examples_stand_in_the_instruction() -> None:
    shown = [Example(id="e", text='say "hi" Bob', entities=[{"start": 9, "end": 12, "text": "Bob", "label": "PER"}])]
    with serving() as server:
        tagger = Tagger.connect(server.url, model="m", examples=shown)
        list(tagger.predict([Example(id="1", text="Ann"), Example(id="2", text="Eve")], labels=LABELS))
        with pytest.raises(ConfigError, match=r"outside the label set: PER"):
            tagger.predict_entities("Ann", labels=["LOC"])
        instructions = {body["messages"][0]["content"][0]["text"] for body in server.bodies}
    [instruction] = instructions
    assert 'Post: say "hi" Bob\nAnswer:\n[{"text":"Bob","label":"PER"}]' in instruction


def run(*arguments: object) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["tag", *map(str, arguments)], catch_exceptions=False)
    return result.stdout, result.stderr


def test_command_line(tmp_path) -> None:
    posts = make_posts(tmp_path)
    with serving() as server:
        out, err = run(posts, "--endpoint", server.url, "--model", "m", "--labels", "PER,LOC,ORG,MISC",
                       "--examples", posts, "--num-examples", 2)  # fmt: skip
        bodies = server.bodies
    found = [Prediction.model_validate_json(line) for line in out.split("\n")[:-1]]
    assert [each.id for each in found] == [f"post-{number}" for number in range(6)]
    assert [each.entities[0].text for each in found][:2] == ["RT", "nothing"]
    assert "2 of the posts are few-shot examples" in err
    assert "Chicago" in bodies[2]["messages"][0]["content"][0]["text"]


def names_with_z(body: Body, number: int) -> tuple[int, Body]:
    items = [{"text": word, "label": "PER"} for word in post_of(body).split() if word.startswith("Z")]
    return 200, chat(json.dumps(items, separators=(",", ":")))


def test_an_entity_behind_word_3000_is_found_at_its_global_offset(tmp_path) -> None:
    words = ["word" + "." * (number % 9 == 8) for number in range(3500)]
    words[2], words[3210], words[3499] = "Zoe", "Zebulon", "Zed"
    path, text = tmp_path / "document.jsonl", " ".join(words)
    path.write_text(json.dumps({"id": "1", "text": text}) + "\n")
    with serving(names_with_z) as server:
        # vLLM says how many tokens it takes; without the model's tokenizer, bytes are counted.
        server.models = [{"id": "m", "max_model_len": 2000}]
        out, err = run(path, "--endpoint", server.url, "--model", "m", "--labels", "PER", "--no-scores")
        num_bodies = len(server.bodies)
    tagged = Prediction.model_validate_json(out)
    assert [(each.text, each.start) for each in tagged.entities] == [
        (name, text.index(name)) for name in ("Zoe", "Zebulon", "Zed")
    ]
    assert tagged.windows == num_bodies > 5
    assert "windows" in err


def test_context_is_shown_where_it_is_asked_for(tmp_path) -> None:
    path = tmp_path / "posts.jsonl"
    said = {"caption": "a man <image>\njumps", "tags": ["ball"], "ocr": None}
    path.write_text(json.dumps({"id": "1", "text": "Ann", "context": said}) + "\n")
    with serving() as server:
        for flags in ([], ["--context"]):
            run(path, "--endpoint", server.url, "--model", "m", "--labels", "PER", *flags)
        plain, with_context = [body["messages"][0]["content"][-1]["text"] for body in server.bodies]
    assert plain == "Post: Ann"
    assert with_context == "Picture: a man ‹image> jumps\nTags: ball\nPost: Ann"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--endpoint", "http://127.0.0.1:1"], "--endpoint needs --model"),
        (["--endpoint", "x", "--model", "m"], "--endpoint x"),
        (["--model", "MODEL", "--examples", "POSTS", "--num-examples", "9"], "9 annotated posts are needed, it has 6"),
    ],
)
def test_mistakes(flags, message, tiny_models, tmp_path) -> None:
    posts = make_posts(tmp_path)
    given = [{"MODEL": str(tiny_models("idefics3")), "POSTS": str(posts)}.get(flag, flag) for flag in flags]
    with pytest.raises(MnerError, match=message):
        run("--text", "x", "--labels", "PER", *given)


def test_a_tuned_model_is_not_asked_as_one_that_was_not(tmp_path) -> None:
    """The list of models of our own server tells of a tuning; those of others, and of models without labels, do not."""
    own = {"id": "a", "object": "model", "owned_by": "instruct-mner", "labels": {"PER": None}}
    with serving() as server:
        server.models = [{**own, "id": "base", "labels": {}}, own, {"id": "v", "owned_by": "vllm", "labels": {"x": 1}}]
        with pytest.raises(ConfigError, match=r"'a' at .* was tuned.*--adapter DIR; Python: adapter="):
            run("--text", "Ann", "--endpoint", server.url, "--model", "a", "--labels", "PER")
        with pytest.raises(ConfigError, match=r"'a' at .* was tuned"):
            Tagger.connect(server.url, model="a")
        assert not server.bodies
        for name in ("base", "v", "unknown"):
            assert run("--text", "Ann", "--endpoint", server.url, "--model", name, "--labels", "PER")
        with pytest.raises(ConfigError, match=r"or --adapter DIR .* if the endpoint serves an adapter"):
            run("--text", "Ann", "--endpoint", server.url, "--model", "base")
        with pytest.raises(ConfigError, match=r"or --adapter DIR .* if the endpoint serves an adapter"):
            Tagger.connect(server.url, model="base").predict_entities("Ann")


def test_an_adapter_behind_an_endpoint(tiny_models, tmp_path) -> None:
    """Prompt, labels, special tokens and units are those of the tuning; the adapter's folder has all of them."""

    from instruct_mner.training.config import FinetuneConfig
    from instruct_mner.training.finetune import build_trainer, save_weights
    from instruct_mner.training.setup import prepare

    posts = make_posts(tmp_path / "posts")
    config = FinetuneConfig.model_validate(
        {"model": str(tiny_models("qwen2_5_vl")), "data": {"train": str(posts)}, "answer": {"grounded": True},
         "output": str(tmp_path / "run")}
    )  # fmt: skip
    run_ = prepare(config)
    save_weights(build_trainer(run_, tmp_path / "run" / "checkpoints", Console(quiet=True)), run_, tmp_path / "adapter")
    dataset = load_split(str(posts))

    def reply(body, number):
        word = post_of(body).split()[0]
        text = (
            "none" if not word.isalnum() or len(body["messages"][0]["content"]) < 3 else f"PER: {word} [0, 0, 42, 42]"
        )
        return 200, chat(text, logprobs=[token(text)])

    with serving(reply) as server:
        tagger = Tagger.connect(server.url, model="served", adapter=tmp_path / "adapter")
        found = list(tagger.predict(dataset.examples[:1], dataset.picture_paths))
        with pytest.raises(ConfigError, match="leave --examples out"):
            Tagger.connect(server.url, model="served", adapter=tmp_path / "adapter", examples=dataset.examples)
        with pytest.raises(ConfigError, match="no JSON schema"):
            Tagger.connect(Endpoint(server.url, "m", constraint="schema"), adapter=tmp_path / "adapter")
        [body] = server.bodies
    assert body["model"] == "served"
    assert "in pixels" in body["messages"][0]["content"][0]["text"]
    [entity] = found[0].entities
    # Half of the 84 x 84 pixels to which 90 x 80 are resized.
    assert entity.boxes is not None
    assert entity.boxes[0].box == (0, 0, 45, 40)


@pytest.mark.parametrize("segmentation", ["words", "characters"])
def test_the_segmentation_of_the_command_reaches_the_grammar(segmentation: Segmentation) -> None:
    with serving() as server:
        run("--text", "Wrings", "--endpoint", server.url, "--model", "m", "--labels", "PER,LOC",
            "--segmentation", segmentation)  # fmt: skip
        [body] = server.bodies
    grammar = body["structured_outputs"]["grammar"]
    assert grammar_state(grammar, '[{"text":"Wrings","label":"PER"}]') == "whole"
    assert (grammar_state(grammar, '[{"text":"ring","label":"PER"}]') == "whole") == (segmentation == "characters")
