"""Arguments of every type for every public function: refused in a message, or understood."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from name_finder import NameFinder, tagger_of
from PIL import Image

import instruct_mner
from instruct_mner import Client
from instruct_mner.errors import ConfigError, MnerError
from instruct_mner.models.locations import STARTER_FOLDER
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Entity, Example, Prediction
from instruct_mner.tagging import client as client_module
from instruct_mner.tagging import engine_choice
from instruct_mner.tagging.argument_checks import check_value, text
from instruct_mner.tagging.arguments import checked
from instruct_mner.tagging.engine_choice import Backend
from instruct_mner.tagging.settings import TaggingSettings

TAGGER = tagger_of(NameFinder())
POST = Example(id="7", text="Zoe left")
GOLD = POST.model_copy(update={"entities": (Entity(start=0, end=3, text="Zoe", label="PER"),)})
URL = "http://127.0.0.1:9"

# Right arguments of each public function; an argument that is left out has its default.
RIGHT: dict[str, dict[str, Any]] = {
    "Client.__init__": {"url": URL},
    "Client.__call__": {"texts": "Zoe left"},
    "Client.predict_opened": {"posts": [(POST, ())]},
    "Tagger.__init__": {
        "engine": NameFinder(), "manifest": TAGGER.manifest, "prompt": TAGGER.questions.prompt,
    },
    "Tagger.__call__": {"texts": ["Zoe left", "Zed"]},
    "Tagger.answer_spec": {},
    "Tagger.connect": {"endpoint": URL, "model": "m"},
    "Tagger.from_adapter": {"name": STARTER_FOLDER},
    "Tagger.from_pretrained": {"name": "starter"},
    "Tagger.of_settings": {"settings": TaggingSettings(model="starter"), "examples": ()},
    "Tagger.predict": {"examples": [POST]},
    "Tagger.predict_entities": {"text": "Zoe left"},
    "Tagger.predict_opened": {"posts": [(POST, ())]},
    "Tagger.questions_about": {"posts": [(POST, ())], "spec": TAGGER.answer_spec()},
    "Tagger.with_segmentation": {"segmentation": "words"},
    "Tagger.with_vllm": {"name": "starter"},
    "Tagger.without_calibration": {},
    "evaluate": {"gold": [GOLD], "predictions": [Prediction(id="7", text="Zoe left", entities=())], "num_resamples": 9},
}  # fmt: skip


def public_functions() -> dict[str, Callable[..., Any]]:
    """The functions that the package names as public, and the public methods of its classes."""
    functions: dict[str, Callable[..., Any]] = {}
    for name in instruct_mner.__all__:
        value = getattr(instruct_mner, name)
        if isinstance(value, type):
            for attribute, member in inspect.getmembers(value, callable):
                if not attribute.startswith("_") or attribute in {"__init__", "__call__"}:
                    functions[f"{name}.{attribute}"] = member
        elif callable(value):
            functions[name] = value
    return functions


ARGUMENTS = [
    (name, argument)
    for name, function in public_functions().items()
    for argument in inspect.signature(function).parameters
    if argument not in {"self", "cls"}
]


def number(value: Any) -> bool:
    return isinstance(value, int | float | np.floating | np.integer | Fraction) and not isinstance(value, bool)


def some_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def each(of: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda values: not isinstance(values, str | bytes | dict) and all(map(of, values))


def picture(value: Any) -> bool:
    return isinstance(value, Image.Image)


def is_missing(value: Any) -> bool:
    """Whether a value is what pandas writes for nothing."""
    return isinstance(value, float) and value != value


def is_text(value: Any) -> bool:
    return isinstance(value, str)


# Whether a value that was taken is one that the function means, told without the code that is tested.
MEANT: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(["constrained", "generated", "progress"], lambda value: isinstance(value, bool)),
    **dict.fromkeys(
        ["batch_size", "max_retries", "num_resamples", "seed"], lambda value: number(value) and value == int(value)
    ),
    **dict.fromkeys(["base_model", "device", "model", "revision", "url"], some_name),
    **dict.fromkeys(["name", "adapter", "endpoint"], lambda value: some_name(value) or isinstance(value, Path)),
    "api_key": is_text,
    "context": lambda value: isinstance(value, bool),
    "device_map": lambda value: some_name(value) or all(isinstance(each, str | int) for each in value.values()),
    "dtype": lambda value: value in {"auto", "bfloat16", "float32"},
    "examples": lambda values: not list(values),
    "flags": each(is_text),
    "gold": lambda values: list(values) == [POST],
    "image": picture,
    "images": lambda value: (
        picture(value)
        or is_missing(value)
        or not value
        or all(picture(each) or is_missing(each) for each in value if each)
    ),
    "labels": lambda value: isinstance(value, dict) or each(is_text)(value),
    "match": lambda value: value in {"offset", "surface", "surface-lower-set"},
    "path": lambda value: Path(value).exists(),
    "posts": lambda values: not list(values),
    "predictions": lambda values: False,
    "segmentation": lambda value: value in {"words", "characters"},
    "text": is_text,
    "texts": lambda value: is_text(value) or each(is_text)(value),
    "threshold": lambda value: number(value) and 0 <= value <= 1,
    "timeout_seconds": lambda value: number(value) and value > 0,
}
OPTIONAL = {
    "adapter", "api_key", "base_model", "batch_size", "context", "device", "device_map", "image", "images", "labels",
    "model", "revision", "segmentation", "selector",
}  # fmt: skip

SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=3), st.binary(max_size=3),
    st.sampled_from([
        Path("nowhere.png"), Path("x" * 5000), "x" * 5000, "\0", "\ud800", 10**400, -(10**400), Decimal("0.5"),
        Fraction(1, 2), 1j, date(2026, 1, 1), np.float32(0.5), np.int64(2), np.bool_(True), np.str_("a"), np.array(3),
        np.array(["a", "b"]), np.array([[1.5]]), range(2), Image.new("RGB", (9, 9)), Image.new("RGB", (0, 0)), POST,
        object(), frozenset("a"), TAGGER.manifest, Ellipsis, LabelSet.of(["PER"]), [float("nan")], b"\x89PNG\r\n",
    ]),
)  # fmt: skip
ANY = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner), max_leaves=3
)


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Models that are not loaded, a server that finds nothing, and a file of posts."""
    (tmp_path / "posts.txt").write_text("Zoe left\n")
    monkeypatch.setitem(RIGHT, "load", {"path": tmp_path / "posts.txt"})

    def backend(name: object = None, *_: object, **named: object) -> Backend:
        assert named.get("base_model") is None or isinstance(named["base_model"], str)
        assert type(named.get("batch_size", 1)) is int
        questions = TAGGER.questions
        return Backend(
            engine=NameFinder(),
            manifest=questions.manifest,
            prompt=questions.prompt,
            embedder=None,  # type: ignore[arg-type]
        )

    async def post(client: httpx.AsyncClient, address: str, **named: Any) -> SimpleNamespace:
        json.dumps(named["json"], allow_nan=False)
        answer: dict[str, Any] = {"posts": [{"entities": []} for _ in named["json"]["posts"]]}
        return SimpleNamespace(raise_for_status=lambda: None, json=lambda: answer)

    for name in ("transformers_backend", "vllm_backend", "choose_backend"):
        monkeypatch.setattr(engine_choice, name, backend)
    monkeypatch.setattr(httpx.AsyncClient, "post", post)
    monkeypatch.delenv(client_module.KEY_VARIABLE, raising=False)


def call(name: str, arguments: dict[str, Any]) -> Any:
    function = public_functions()[name]
    kind, _, method = name.partition(".")
    if not method:
        return function(**arguments)
    if method == "__init__":
        return getattr(instruct_mner, kind)(**arguments)
    if inspect.ismethod(function):
        return function(**arguments)
    result = function(Client(URL) if kind == "Client" else TAGGER, **arguments)
    return list(result) if isinstance(result, Iterator) else result


def test_there_are_right_arguments_for_every_public_function() -> None:
    assert set(RIGHT) == set(public_functions())
    for name, arguments in RIGHT.items():
        call(name, dict(arguments))


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS, ids=[".".join(each) for each in ARGUMENTS])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
@given(value=ANY)
@example(value=None)
@example(value=3)
@example(value=float("nan"))
@example(value=b"a")
@example(value=["a", 3])
@example(value={"a": 1})
@example(value=np.array(3))
@example(value=object())
def test_a_value_of_any_type_is_understood_or_refused(name: str, argument: str, value: Any) -> None:
    try:
        call(name, {**RIGHT[name], argument: value})
    except MnerError as error:
        assert str(error)
        return
    if value is None and argument in OPTIONAL:
        return
    if argument == "labels" and isinstance(value, LabelSet):
        return
    if argument == "manifest" and value is TAGGER.manifest:
        return
    if argument == "examples" and value == [POST]:
        return
    assert argument in MEANT, f"{name}({argument}={value!r}) was taken"
    assert MEANT[argument](value), f"{name}({argument}={value!r}) was taken"


def test_numbers_of_numpy_are_numbers() -> None:
    taken = TAGGER(["Zoe left"], threshold=np.float32(0.5), batch_size=np.int64(2), progress=False)
    assert taken[0].entities[0].text == "Zoe"


def test_only_what_was_to_be_a_list_is_to_be_put_into_one() -> None:
    prediction = Prediction(id="7", text="Zoe left")
    with pytest.raises(ConfigError, match=r"item 0 of the posts \(Example\) must be .*, not Prediction$"):
        list(TAGGER.predict([prediction]))
    with pytest.raises(ConfigError, match=r"must be a list of posts .*, not Example; put it into a list$"):
        list(TAGGER.predict(POST))


def test_a_path_is_never_looked_for_on_the_hub() -> None:
    with pytest.raises(ConfigError, match="nope: there is no such folder; give a name of the hub as a string"):
        instruct_mner.Tagger.from_pretrained(Path("user") / "nope")


def test_a_wrong_item_is_named_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"item 1 of the posts \(Example\) must be a post \(Example\), not 3"):
        list(TAGGER.predict([POST, 3]))


def test_an_argument_without_a_check_shows_at_once() -> None:
    with pytest.raises(KeyError, match="unheard"):
        checked(lambda unheard: unheard)


def test_a_message_holds_no_text_of_strange_objects() -> None:
    with pytest.raises(ConfigError, match="text must be a string of whole characters, not object"):
        check_value("text", object(), text)
