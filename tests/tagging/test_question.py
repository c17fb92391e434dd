"""Questions about posts, with an engine that is never run."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from PIL import Image

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.engine import Completion, Request
from instruct_mner.engines.openai_format import SPECIAL_TOKENS
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.models.manifest import Manifest
from instruct_mner.models.tuned import zero_shot
from instruct_mner.prompting.conversation import post_text
from instruct_mner.prompting.few_shot import load_examples
from instruct_mner.prompting.retrieval import Pool
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example
from instruct_mner.tagging.calibrate import CalibrationPosts
from instruct_mner.tagging.examples import SameExamples, example_selector
from instruct_mner.tagging.post_questions import PostQuestions, post_questions
from instruct_mner.tagging.question import QuestionBuilder, checked_labels, max_answer_tokens
from instruct_mner.tagging.word_embedder import WordEmbedder
from instruct_mner.testing.posts import make_posts

LABELS = ["PER", "LOC"]


class Idle:
    """An engine that counts words, and answers nothing."""

    def special_tokens(self) -> tuple[str, ...]:
        return SPECIAL_TOKENS

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def resized(self, size: tuple[int, int]) -> None:
        return None

    @property
    def context_size(self) -> int | None:
        return None

    def count_image_tokens(self, sizes: Sequence[tuple[int, int]]) -> Sequence[int]:
        return [0] * len(sizes)

    def count_prompt(self, request: Request) -> int:
        raise AssertionError("a prompt was counted")

    def generate(self, requests, *, temperature: float = 0.0, seed: int = 0) -> list[Completion]:
        raise AssertionError("a question was sent")


def builder(**settings: object) -> QuestionBuilder:
    manifest, prompt = zero_shot("m")
    return QuestionBuilder(engine=Idle(), manifest=manifest, prompt=prompt, **settings)  # type: ignore[arg-type]


def test_the_text_is_where_text_begins_says() -> None:
    questions = builder()
    question = questions.question(Example(id="1", text="Ann <image> here"), (), questions.answer_spec(LABELS))
    begin = questions.text_begins(question)
    assert begin is not None
    assert post_text(question.request.messages)[begin:] == "Ann ‹image> here"
    assert question.request.grammar is not None
    assert builder(constrained=False).question(question.example, (), question.spec).request.grammar is None


def test_labels_of_the_tuning_keep_their_definitions() -> None:
    manifest, prompt = zero_shot("m")
    tuned = manifest.answer.with_labels(LabelSet.of({"PER": "a person", "LOC": None, "ORG": "a firm"}))
    manifest = manifest.model_copy(update={"tuning": "lora", "answer": tuned})
    questions = QuestionBuilder(engine=Idle(), manifest=manifest, prompt=prompt)
    assert questions.answer_spec(["PER", "LOC", "ORG"]) == questions.answer_spec()
    chosen = questions.answer_spec({"ORG": "a club", "PER": None, "DATE": None}).labels
    assert [(each.name, each.definition) for each in chosen.each()] == [
        ("ORG", "a club"),
        ("PER", "a person"),
        ("DATE", None),
    ]


def test_an_answer_is_read_back() -> None:
    questions = builder()
    question = questions.question(Example(id="1", text="Ann here"), (), questions.answer_spec(LABELS))
    prediction = questions.read(question, Completion('[{"text":"Ann","label":"PER"}]'))
    assert [(entity.text, entity.label, entity.score) for entity in prediction.entities] == [("Ann", "PER", 1.0)]


def test_labels_of_a_model_that_was_not_tuned() -> None:
    assert builder().labels is None
    with pytest.raises(ConfigError, match="give labels"):
        builder().answer_spec()
    with pytest.raises(ConfigError, match="a special token of this model"):
        builder().answer_spec({"PER": "a <image>"})
    spec = AnswerSpec(labels=LabelSet.of(LABELS))
    assert checked_labels(spec, SPECIAL_TOKENS) is spec


def test_a_longer_text_may_have_a_longer_answer() -> None:
    spec = AnswerSpec(labels=LabelSet.of(LABELS))
    lengths = [max_answer_tokens(spec, "word " * number, Idle().count_tokens) for number in (1, 5, 20)]
    assert lengths == sorted(set(lengths))


def test_examples_of_all_posts_and_of_each(tmp_path) -> None:
    data = str(make_posts(tmp_path))
    spec = builder().answer_spec(["PER", "LOC", "ORG", "MISC"])
    posts = [(example, ()) for example in load_examples(data, 3)]
    same = example_selector(load_examples(data, 2), WordEmbedder(), 1, SPECIAL_TOKENS)
    shots, order = same.select(posts, spec)
    assert isinstance(same, SameExamples)
    assert order == [0, 1, 2]
    assert shots[0] == shots[1] == shots[2]
    assert len(shots[0]) == 2
    nearest = example_selector(Pool.load(data, 2), WordEmbedder(), 1, SPECIAL_TOKENS)
    shots, order = nearest.select(posts, spec)
    assert sorted(order) == [0, 1, 2]
    for (post, _), own in zip(posts, shots, strict=True):
        assert len(own) == 2
        assert post.text not in {shot.text for shot in own}  # never its own example
    with pytest.raises(ConfigError, match="outside the label set"):
        nearest.check(builder().answer_spec(["OTHER", "LOC"]))


def test_calibration_needs_annotated_posts(tmp_path, capsys) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text('{"id": "1", "text": "Ann"}\n')
    with pytest.raises(DataError, match="no post is annotated"):
        CalibrationPosts(data=str(path)).load()
    with path.open("a") as file:
        file.write('{"id": "2", "text": "Ann", "entities": []}\n')
    assert [each.id for each in CalibrationPosts(data=str(path)).load().examples] == ["2"]
    assert "1 of 2 posts are not annotated, and left out" in capsys.readouterr().err
    annotated = CalibrationPosts(data=str(make_posts(tmp_path / "all"))).load()
    assert all(example.entities is not None for example in annotated.examples)


def test_a_manifest_says_the_labels() -> None:
    manifest: Manifest = zero_shot("m")[0].model_copy(
        update={"tuning": "lora", "answer": AnswerSpec(labels=LabelSet.of(LABELS))}
    )
    questions = QuestionBuilder(engine=Idle(), manifest=manifest, prompt=zero_shot("m")[1])
    assert questions.answer_spec().labels.names == ("PER", "LOC")


class Narrow(Idle):
    """An engine whose context holds few words."""

    def __init__(self, words: int) -> None:
        self.words = words

    @property
    def context_size(self) -> int | None:
        return self.words

    def count_prompt(self, request: Request) -> int:
        return sum(self.count_tokens(part["text"]) for message in request.messages for part in message["content"])


def test_a_text_that_does_not_fit_is_asked_about_in_windows() -> None:
    manifest, prompt = zero_shot("m")
    short, long = Example(id="1", text="Ann is here."), Example(id="2", text="Ann is here now. " * 200)

    def asked(engine: Narrow, example: Example) -> PostQuestions:
        questions = QuestionBuilder(engine=engine, manifest=manifest, prompt=prompt)
        return post_questions(questions, example, (), questions.answer_spec(LABELS))

    assert len(asked(Narrow(600), short).questions) == 1
    windows = asked(Narrow(600), long)
    assert len(windows.questions) == len(windows.spans) > 1
    for question in windows.questions:
        assert Narrow(600).count_prompt(question.request) + question.request.max_tokens <= 600
    assert len(asked(Narrow(100_000), long).questions) == 1
    for narrow, post in ((20, long), (20, short)):
        with pytest.raises(ConfigError, match="leaves no room for the text"):
            asked(Narrow(narrow), post)


class Pictured(Narrow):
    """An engine that is given so many tokens of each picture."""

    def count_image_tokens(self, sizes: Sequence[tuple[int, int]]) -> Sequence[int]:
        return [1500] * len(sizes)

    def count_prompt(self, request: Request) -> int:
        texts = (part.get("text", "") for message in request.messages for part in message["content"])
        return sum(map(self.count_tokens, texts)) + 1500 * len(request.images)


def test_a_short_text_behind_a_large_picture_is_counted_too() -> None:
    manifest, prompt = zero_shot("m", max_images=2)
    questions = QuestionBuilder(engine=Pictured(2000), manifest=manifest, prompt=prompt)
    pictures = (Image.new("RGB", (8, 8)),) * 2
    spec = questions.answer_spec(LABELS)
    with pytest.raises(ConfigError, match=r"post '1': the prompt without the text takes .* of the 2000 tokens"):
        post_questions(questions, Example(id="1", text="Ann is here.", images=("a.png", "b.png")), pictures, spec)
    one = Example(id="1", text="Ann is here.", images=("a.png",))
    assert len(post_questions(questions, one, pictures[:1], spec).questions) == 1


def test_a_short_text_behind_many_labels_is_counted_too() -> None:
    manifest, prompt = zero_shot("m")
    questions = QuestionBuilder(engine=Narrow(2000), manifest=manifest, prompt=prompt)
    post = Example(id="1", text="Ann is here.")
    many = [f"type-{number}" for number in range(3000)]
    with pytest.raises(
        ConfigError, match=r"post '1': the prompt without the text takes .* of the 2000 tokens.*fewer labels"
    ):
        post_questions(questions, post, (), questions.answer_spec(many))
    assert len(post_questions(questions, post, (), questions.answer_spec(many[:50])).questions) == 1
