"""Arms of an experiment: each is one change of the base config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from instruct_mner.data.yaml_files import read_yaml
from instruct_mner.errors import ConfigError, listing, suggest
from instruct_mner.schema.choices import TaggingImageSource
from instruct_mner.schema.record import Record
from instruct_mner.schema.validation_messages import reasons

_ARMS = Path(__file__).with_name("arms.yaml")


class Arm(Record):
    """An arm.

    Attributes:
        name: Name of the arm.
        about: Description for people.
        change: Settings that are laid over the base config.
        train: False for the model as it is.
        of: Name of the arm whose runs tag; ``None`` for its own.
        pictures: Pictures that the posts of test are shown with.
    """

    name: str
    about: str = ""
    change: dict[str, object] = Field(default_factory=dict)
    train: bool = True
    of: str | None = None
    pictures: TaggingImageSource = "own"

    @property
    def trains(self) -> bool:
        """True where the arm has runs of its own."""
        return self.train and self.of is None


def merged(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Return settings with others laid over them, section by section.

    Args:
        base: Settings.
        over: Settings that replace them.
    """
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        result[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def known_arms(further: Path | None = None) -> dict[str, Arm]:
    """Return all arms by name.

    Args:
        further: YAML file with arms of the user, which may replace those of the package.

    Raises:
        ConfigError: The file does not hold arms.
    """
    values = read_yaml(_ARMS)
    if further is not None:
        own = read_yaml(further)
        if not isinstance(own, dict):
            raise ConfigError(f"{further}: arms are a mapping NAME: {{change: …}}, as of {_ARMS.name} of the package")
        values = {**values, **own}
    problems: list[str] = []
    arms: dict[str, Arm] = {}
    for name, value in values.items():
        try:
            arms[name] = Arm.model_validate({"name": str(name), **(value or {})})
        except (ValidationError, TypeError) as error:
            texts = reasons(error, Arm) if isinstance(error, ValidationError) else ["expected a section"]
            problems += [f"{name}: {reason}" for reason in texts]
    if problems:
        raise ConfigError(f"{further}: {len(problems)} problem(s) in the arms:\n{listing(problems)}")
    return arms


def choose_arms(names: Sequence[str], further: Path | None = None) -> tuple[Arm, ...]:
    """Return arms by their names, in the order of the names.

    Args:
        names: Names of the arms.
        further: YAML file with arms of the user.

    Raises:
        ConfigError: An arm is not known, is named twice, or takes the runs of an arm that is not named.
    """
    known = known_arms(further)
    problems = [f"{name}: no such arm{suggest(name, known)}" for name in names if name not in known]
    problems += [f"{name}: named twice" for name in dict.fromkeys(names) if list(names).count(name) > 1]
    arms = [known[name] for name in names if name in known]
    problems += [
        f"{arm.name}: tags with the runs of {arm.of}; name that arm too"
        for arm in arms
        if arm.of is not None and arm.of not in names
    ]
    if problems or not arms:
        raise ConfigError(f"--arms:\n{listing(problems or ['name one'])}\n  known: {', '.join(known)}")
    return tuple(arms)
