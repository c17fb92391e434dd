from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.errors import ConfigError
from instruct_mner.prompting.conversation import PromptWriter, user_messages
from instruct_mner.prompting.templates import Prompt, Shot, find_prompt, packaged_folder, shown_context, shown_text
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Context

SPECIAL = ("<image>", "<|im_end|>", "[INST]", "<row_1_col_1>")
SPEC = AnswerSpec(labels=LabelSet.of({"PER": "people & others", "LOC": None}))
PIECES = st.one_of(st.sampled_from(SPECIAL), st.text(max_size=5), st.sampled_from(["<", "<im", "age>", "\n", "\u2028"]))


@given(st.lists(PIECES, max_size=12).map("".join))
def test_shown_text_keeps_the_length_and_holds_nothing_that_breaks_a_prompt(text: str) -> None:
    shown = shown_text(text, SPECIAL)
    assert len(shown) == len(text)
    assert not any(token in shown for token in SPECIAL)
    assert not any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in shown)
    assert shown_text(shown, SPECIAL) == shown


def test_shown_text_changes_nothing_else() -> None:
    assert shown_text("a < b <image> \u00a0 é\tz", SPECIAL) == "a < b ‹image> \u00a0 é z"


@pytest.mark.parametrize(("form", "nothing"), [("lines", "Write none"), ("json", "Write []")])
@pytest.mark.parametrize("name", ["tag", "tag-twice", "tag-grounded", "zero-shot", "few-shot"])
def test_every_template_names_labels_and_definitions_and_ends_with_the_post(name: str, form: str, nothing: str) -> None:
    prompt = find_prompt(name)
    spec = SPEC.model_copy(update={"grounded": name == "tag-grounded", "format": form})
    [message] = user_messages(prompt, spec, "Ann {{ 1 }} <b>", 1)
    instruction, picture, post = message["content"]
    assert "PER" in instruction["text"]
    assert "people & others" in instruction["text"]
    assert nothing in instruction["text"]
    assert ('"label":' in instruction["text"]) == (form == "json")
    assert picture == {"type": "image"}
    assert post["text"].endswith(": Ann {{ 1 }} <b>")


def test_the_instruction_does_not_depend_on_the_post() -> None:
    prompt = find_prompt("tag")
    first = user_messages(prompt, SPEC, "Ann", 1)[0]["content"][0]
    assert first == user_messages(prompt, SPEC, "Bob", 0)[0]["content"][0]
    assert len(user_messages(prompt, SPEC, "Bob", 0)[0]["content"]) == 2
    assert len(user_messages(prompt, SPEC, "Bob", 3)[0]["content"]) == 5


@pytest.mark.parametrize("name", ["tag", "tag-inline", "tag-grounded", "zero-shot", "few-shot"])
def test_context_stands_between_picture_and_post(name: str) -> None:
    prompt = find_prompt(name)
    assert prompt.post("Ann", 1) == prompt.post("Ann", 1, Context()) == "\nPost: Ann"
    whole = Context(caption="a man", tags=("ball", "net"), ocr="BULLS")
    assert prompt.post("Ann", 1, whole) == ("\nPicture: a man\nTags: ball, net\nText in the picture: BULLS\nPost: Ann")
    assert prompt.post("Ann", 0, Context(ocr="BULLS")) == "Text in the picture: BULLS\nPost: Ann"
    first, second = (
        user_messages(prompt, SPEC, "Ann", 1, context=context)[0]["content"][0] for context in (None, whole)
    )
    assert first == second


def test_a_post_that_stands_twice_is_looked_for_where_it_stands_last() -> None:
    prompt = find_prompt("tag-twice")
    post = prompt.post("Ann & Bo", 0)
    assert post == "Post: Ann & Bo\nPost again: Ann & Bo"
    begin = prompt.text_begins("Ann & Bo", 0)
    assert begin == post.rindex("Ann & Bo")


def test_context_is_neutralised_as_the_post_is() -> None:
    said = Context(caption="a\n<image>", tags=("<|im_end|>",), ocr="x\u2028y")
    shown = Context(caption="a ‹image>", tags=("‹|im_end|>",), ocr="x y")
    assert shown_context(said, SPECIAL) == shown
    assert shown_context(None, SPECIAL) is None


def test_examples_follow_the_instruction() -> None:
    few, zero = find_prompt("few-shot"), find_prompt("zero-shot")
    spec = SPEC.model_copy(update={"format": "json"})
    shots = [Shot(text="Ann & Bob", answer='[{"text":"Ann","label":"PER"}]'), Shot(text="x", answer="[]")]
    assert few.instruction(spec) == zero.instruction(spec)
    added = few.instruction(spec, examples=shots).removeprefix(zero.instruction(spec))
    assert added.endswith('Post: Ann & Bob\nAnswer:\n[{"text":"Ann","label":"PER"}]\n\nPost: x\nAnswer:\n[]\n\n')


def test_names_find_versions_and_a_wrong_one_suggests_the_nearest() -> None:
    assert find_prompt("tag").name == find_prompt("tag.v1").name == "tag.v1"
    with pytest.raises(ConfigError, match="did you mean 'tag'"):
        find_prompt("tg")
    with pytest.raises(ConfigError, match=r"tag\.v9"):
        find_prompt("tag.v9")


def test_published_templates_do_not_change() -> None:
    """Adapters in the world carry these hashes: a new wording is a new version, never an edit."""
    hashes = {path.stem: find_prompt(str(path)).sha256[:16] for path in packaged_folder("prompts").glob("*.jinja")}
    assert hashes == PUBLISHED


def test_a_template_of_the_user(tmp_path) -> None:
    path = tmp_path / "mine.jinja"
    path.write_text(
        "{% block instruction %}Find {{ labels|length }}.{% endblock %}{% block post %}{{ text }}{% endblock %}"
    )
    prompt = find_prompt(str(path))
    assert prompt.instruction(SPEC) == "Find 2."
    assert prompt.post("x", 0) == "x"


@pytest.mark.parametrize("post", ["Post:", "{% if num_images %}{{ text }}{% endif %}"])
def test_a_template_of_the_user_that_leaves_the_text_out_is_refused(post: str, tmp_path) -> None:
    path = tmp_path / "mine.jinja"
    path.write_text(f"{{% block instruction %}}{{% endblock %}}{{% block post %}}{post}{{% endblock %}}")
    with pytest.raises(ConfigError, match=r"mine\.jinja: its block 'post' does not show the text"):
        find_prompt(str(path))


def test_a_template_with_a_special_token_of_the_model_is_refused() -> None:
    prompt = Prompt(
        name="mine", source="{% block instruction %}See <image>{% endblock %}{% block post %}{% endblock %}"
    )
    with pytest.raises(ConfigError, match="prompt template mine holds '<image>', a special token of this model"):
        PromptWriter(prompt=prompt, special_tokens=SPECIAL, several_pictures=False, context=False)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% block instruction %}{{ colour }}{% endblock %}", "'colour' is undefined"),
        ("{% block post %}{% endblock %}", "no block 'instruction'"),
        ("\n{% if %}", "line 2"),
        ("{% block instruction %}{{ labels.__class__.__mro__ }}{% endblock %}", "unsafe"),
        ("{% block instruction %}{{ labels.append(1) }}{% endblock %}", "append"),
    ],
)
def test_a_template_that_cannot_be_rendered_says_why(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Prompt(name="mine", source=source).instruction(SPEC)


PUBLISHED = {
    "few-shot.v1": "c0695ebb59499d30",
    "tag-grounded.v1": "fefa6c0041a312a5",
    "tag-inline.v1": "40056f11c850a45d",
    "tag-twice.v1": "a5447e1afc8b4d8e",
    "tag.v1": "d12178baf74cfddf",
    "zero-shot.v1": "0cf9fb349ee01dc3",
}
