"""Plan of an experiment: base config, data, arms and seeds, checked before the first run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from instruct_mner.data.yaml_files import read_yaml
from instruct_mner.errors import ConfigError, DataError, MnerError, listing
from instruct_mner.experiment.arms import Arm, choose_arms, merged
from instruct_mner.experiment.data import Splits, find_splits, published_sets
from instruct_mner.experiment.launcher import check_processes
from instruct_mner.files import check_place, read_text, replacing
from instruct_mner.models.config_file import takes_pictures
from instruct_mner.models.manifest import DatasetStamp
from instruct_mner.schema.choices import Decode, LeakPolicy, MissingImageOption
from instruct_mner.schema.validation_messages import reasons
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.datasets import Sources, load_sources
from instruct_mner.training.overrides import override
from instruct_mner.training.precheck import check_sources

FILE_NAME = "experiment.json"


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings:
    """Settings of an experiment.

    Attributes:
        data: Name of a published set, or DATA with train, test and, best, dev.
        model: Hub name or folder of the base.
        arms: Names of the arms; the others are compared with the first.
        num_seeds: Number of seeds, from 0.
        output: Folder of runs and tables.
        folder: Folder of the files of a published set.
        images: Folder of the pictures.
        missing_image: Treatment of posts whose picture is missing.
        decode: Decoding of BIO tags.
        leaks: Treatment of training posts that stand in test.
        config: YAML file with settings of ``finetune`` that hold for all arms.
        overrides: Single settings as ``key=value``, for all arms.
        arms_file: YAML file with further arms.
        num_processes: Number of processes of each training, by ``accelerate launch``.
        batch_size: Number of posts tagged at once.
        command: Command of the experiment, for the table.
    """

    data: str
    model: str
    arms: tuple[str, ...]
    num_seeds: int
    output: Path
    folder: Path | None = None
    images: Path | None = None
    missing_image: MissingImageOption = "error"
    decode: Decode = "tolerant"
    leaks: LeakPolicy = "refuse"
    config: Path | None = None
    overrides: tuple[str, ...] = ()
    arms_file: Path | None = None
    num_processes: int = 1
    batch_size: int = 8
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A run of an arm.

    Attributes:
        arm: Arm of the run.
        seed: Seed of the run.
        folder: Run folder that tags, of this arm or of the one whose runs it takes.
        predictions: File of the predictions on test.
        report: File of their scores.
    """

    arm: Arm
    seed: int
    folder: Path
    predictions: Path
    report: Path

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.predictions.name.removesuffix(".test.jsonl")

    @property
    def is_complete(self) -> bool:
        """True where its scores are written, which are written last."""
        return self.report.is_file()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that an experiment does.

    Attributes:
        settings: Settings of the experiment.
        splits: Splits of the data.
        base: Settings of ``finetune`` that hold for all arms.
        arms: Arms.
    """

    settings: ExperimentSettings
    splits: Splits
    base: Mapping[str, object]
    arms: tuple[Arm, ...]

    @property
    def asks_for_boxes(self) -> bool:
        """True where an arm writes boxes, so that triples of span, type and region are scored."""
        return any(self.config(arm, 0).answer.grounded for arm in self.arms)

    @property
    def vision_folder(self) -> Path:
        """Folder of the features of pictures, which all arms and seeds share until the experiment ends."""
        return self.settings.output / "vision"

    def runs(self) -> Iterator[PlannedRun]:
        """Yield all runs, seed by seed, so that a table has all arms soon; of an arm without training there is one."""
        output = self.settings.output
        for seed in range(self.settings.num_seeds):
            for arm in self.arms:
                if arm.train or seed == 0:
                    stem = f"{arm.name}-{seed}"
                    yield PlannedRun(
                        arm=arm,
                        seed=seed,
                        folder=output / f"{arm.of or arm.name}-{seed}",
                        predictions=output / f"{stem}.test.jsonl",
                        report=output / f"{stem}.test.json",
                    )

    def config(self, arm: Arm, seed: int) -> FinetuneConfig:
        """Return the config of one training.

        Raises:
            ConfigError: Settings are wrong; the message lists all of them.
        """
        own = {"seed": seed, "output": str(self.settings.output / f"{arm.name}-{seed}")}
        # A folder of the user's own comes after, and takes its place.
        shared = {"vision_cache": {"folder": str(self.vision_folder)}}
        values = merged(merged(shared, merged(self.base, arm.change)), own)
        try:
            return FinetuneConfig.model_validate(values)
        except ValidationError as error:
            raise ConfigError(f"arm {arm.name}:\n{listing(reasons(error, FinetuneConfig))}") from None


def make_plan(settings: ExperimentSettings) -> Plan:
    """Find the data, lay the settings over each other, and check all arms at once.

    Raises:
        MnerError: Data, settings or arms cannot be used.
    """
    check_place(settings.output)
    check_processes(settings.num_processes)
    arms = choose_arms(settings.arms, settings.arms_file)
    splits = find_splits(settings.data, settings.folder)
    plan = Plan(settings=settings, splits=splits, base=_base(settings, splits), arms=arms)
    problems = []
    for arm in arms:
        try:
            problems += _misfits(arm, plan.config(arm, 0))
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(f"{len(problems)} arm(s) cannot be run:\n{listing(problems)}")
    return plan


def _base(settings: ExperimentSettings, splits: Splits) -> dict[str, object]:
    published = published_sets()
    base: Mapping[str, object] = {} if splits.name is None else published[splits.name].config
    data: dict[str, object] = {
        "train": splits.train,
        "dev": splits.dev,
        "evaluate_on": [splits.test],
        "missing_image": settings.missing_image,
        "decode": settings.decode,
        "leaks": settings.leaks,
    }
    if settings.images is not None:
        data["images"] = str(settings.images)
    base = merged(base, {"model": settings.model, "data": data})
    if settings.config is not None:
        own = read_yaml(settings.config)
        if not isinstance(own, dict):
            raise ConfigError(f"{settings.config}: a config is a mapping of settings")
        # The model is that of the command, so that one file of settings serves several.
        base = merged(merged(base, own), {"model": settings.model})
    base = merged({}, base)
    for each in settings.overrides:
        override(base, each, FinetuneConfig)
    return base


def _misfits(arm: Arm, config: FinetuneConfig) -> list[str]:
    """Return the reasons why a model that reads text only cannot run an arm."""
    if not arm.trains or takes_pictures(config.model, config.revision) is not False:
        return []
    reasons_of = config.alignment.without_use(
        shows_pictures=False, shows_context=config.context, batch_size=config.optimizer.batch_size
    )
    reasons_of += ["answer.grounded asks for boxes on pictures"] if config.answer.grounded else []
    return [f"arm {arm.name}: {config.model} reads text only: {reason}" for reason in reasons_of]


def read_sources(plan: Plan) -> Sources:
    """Read all splits as a training does, look for leaks, and check that every arm can be trained on them.

    Raises:
        MnerError: Data cannot be used, or leak.
    """
    config = plan.config(plan.arms[0], 0)
    sees = takes_pictures(config.model, config.revision) is not False and config.max_images > 0
    sources = load_sources(config.data, shows_pictures=sees)
    arms_by_problem: dict[str, list[str]] = {}
    for arm in plan.arms:
        try:
            if arm.trains:
                check_sources(plan.config(arm, 0), sources)
        except MnerError as error:
            arms_by_problem.setdefault(str(error), []).append(arm.name)
    if arms_by_problem:
        raise DataError("\n".join(f"arm(s) {', '.join(arms)}: {each}" for each, arms in arms_by_problem.items()))
    return sources


def write_plan(plan: Plan, stamps: Sequence[DatasetStamp]) -> None:
    """Write the plan into the folder; refuse a folder with an experiment on other data or settings.

    Arms and seeds may be added to an experiment; arms that are no longer named stay known, as their runs stay.

    Raises:
        ConfigError: The folder holds another experiment, or something else.
    """
    output = plan.settings.output
    now = {
        "base": plan.base,
        "data": {stamp.role: {"name": stamp.name, "sha256": stamp.sha256, "known": stamp.known} for stamp in stamps},
        "processes": plan.settings.num_processes,
    }
    arms = {arm.name: arm.model_dump(mode="json", exclude={"name", "about"}) for arm in plan.arms}
    arms_before: dict[str, object] = {}
    path = output / FILE_NAME
    if path.is_file():
        before = json.loads(read_text(path))
        arms_before = before.get("arms", {})
        changed = [name for name in now if before.get(name) != json.loads(json.dumps(now[name]))]
        changed += [f"settings of arm {name}" for name in arms if arms_before.get(name, arms[name]) != arms[name]]
        if changed:
            raise ConfigError(
                f"{output} holds an experiment with other {' and '.join(changed)}, see {path}; take these back, or "
                "choose another folder (-o); an arm of your own may take another name"
            )
    elif output.is_dir() and any(output.iterdir()):
        raise ConfigError(f"{output} is not empty and holds no {FILE_NAME}; choose another folder (-o)")
    with replacing(path) as file:
        file.write(json.dumps({**now, "arms": {**arms_before, **arms}}, indent=2, ensure_ascii=False) + "\n")
    with replacing(output / "base.yaml") as file:
        file.write(yaml.safe_dump(dict(plan.base), sort_keys=False, allow_unicode=True))
    with replacing(output / "arms.yaml") as file:
        described = {arm.name: arm.model_dump(mode="json", exclude={"name"}) for arm in plan.arms}
        file.write(yaml.safe_dump(described, sort_keys=False, allow_unicode=True))
