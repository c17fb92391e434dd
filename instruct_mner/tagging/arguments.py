"""Arguments of public functions: what is of the wrong type is refused by name, before anything is done.

Arguments of one name have one meaning in all public functions, so that a check belongs to a name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar, get_args

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.models.manifest import Manifest
from instruct_mner.prompting.templates import Prompt
from instruct_mner.schema.choices import Match, Segmentation
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.tagging import argument_checks as checks
from instruct_mner.tagging.argument_checks import Check, check_value
from instruct_mner.tagging.settings import TaggingSettings

_P = ParamSpec("_P")
_R = TypeVar("_R")


def checked(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a public function that checks its arguments before it runs.

    Args:
        function: Function or method, each of whose arguments has a check.

    Raises:
        KeyError: An argument has no check; this shows when the module is imported.
    """
    signature = inspect.signature(function)
    own = {
        name: OWN_CHECKS.get(f"{function.__name__}.{name}") or CHECKS[name]
        for name in signature.parameters
        if name not in {"self", "cls"}
    }

    @wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if name in own:
                bound.arguments[name] = check_value(name, value, own[name])
        return function(*bound.args, **bound.kwargs)

    return run


CHECKS: Mapping[str, Check] = {
    "adapter": checks.or_none(checks.place),
    "api_key": checks.or_none(checks.text),
    "base_model": checks.or_none(checks.name),
    "batch_size": checks.or_none(checks.whole_number(1)),
    "constrained": checks.flag,
    "context": checks.or_none(checks.flag),
    "device": checks.or_none(checks.name),
    "device_map": checks.or_none(checks.device_map),
    "dtype": checks.one_of("auto", "bfloat16", "float32"),
    "endpoint": checks.endpoint,
    "engine": checks.with_methods("an engine, such as that of Tagger.from_pretrained", "generate", "special_tokens"),
    "examples": checks.few_shot_examples,
    "flags": checks.list_of(checks.text, "flags"),
    "generated": checks.flag,
    "gold": checks.records_or_place(Example, "posts (Example)"),
    "image": checks.or_none(checks.picture),
    "images": checks.as_it_is,
    "labels": checks.or_none(checks.label_set),
    "manifest": checks.instance(Manifest, "a Manifest"),
    "match": checks.one_of(*get_args(Match)),
    "max_retries": checks.whole_number(0),
    "model": checks.or_none(checks.name),
    "name": checks.model_place,
    "num_resamples": checks.whole_number(1),
    "path": checks.place,
    "picture_paths": checks.function,
    "posts": checks.list_of(checks.opened_post, "posts with their pictures"),
    "predictions": checks.records_or_place(Prediction, "predictions (Prediction)"),
    "progress": checks.flag,
    "prompt": checks.instance(Prompt, "a Prompt"),
    "revision": checks.or_none(checks.name),
    "seed": checks.whole_number(0),
    "segmentation": checks.or_none(checks.one_of(*get_args(Segmentation))),
    "selector": checks.or_none(checks.with_methods("a selector of examples", "check", "select")),
    "settings": checks.instance(TaggingSettings, "TaggingSettings"),
    "spec": checks.instance(AnswerSpec, "an AnswerSpec"),
    "text": checks.text,
    "texts": checks.as_it_is,
    "threshold": checks.confidence,
    "timeout_seconds": checks.seconds,
    "url": checks.as_it_is,
}
"""Check of each argument of the public functions, by its name."""

OWN_CHECKS: Mapping[str, Check] = {
    "from_adapter.batch_size": checks.whole_number(1),
    "from_pretrained.batch_size": checks.whole_number(1),
    "load.images": checks.or_none(checks.place),
    "predict.examples": checks.each_of(checks.POST, "posts (Example)"),
}
"""Checks of arguments that mean something else in one function."""
