"""Config of a fine-tuning run: YAML, with ``--set key=value`` on top; all problems are reported at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from instruct_mner.alignment.settings import AlignmentSettings
from instruct_mner.answers.spec import FormatName
from instruct_mner.data.yaml_files import read_yaml
from instruct_mner.errors import ConfigError, listing, suggest
from instruct_mner.schema.choices import ImageSource, Segmentation, Tracker
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.pixel_limits import PixelLimits
from instruct_mner.schema.settings import Settings
from instruct_mner.schema.validation_messages import causes, explained, fields_at, place, setting_name
from instruct_mner.training.augmentation import AugmentationSettings
from instruct_mner.training.optimizer_settings import (
    EvaluationSettings,
    LoraSettings,
    OptimizerSettings,
    VisionCacheSettings,
)
from instruct_mner.training.overrides import override
from instruct_mner.training.reinforcement_settings import ReinforcementSettings

AttentionName = Literal["sdpa", "eager", "flash_attention_2", "flash_attention_3", "flex_attention"]
Tuning = Literal["lora", "qlora", "full"]

# A home folder, also behind the name of a format.
_HOME = re.compile(r"((?:[a-z0-9-]+:)?)~/")
_OF_POSTS = frozenset({".jsonl", ".ndjson", ".csv", ".tsv", ".xlsx", ".parquet", ".conll", ".bio", ".spacy"})
_INIT = "'instruct-mner init DIR' writes a config to start from"


class DataSettings(Settings):
    """Data of a run.

    Attributes:
        train: DATA to train on, a path or ``format:path``.
        dev: DATA that chooses the checkpoint; without it the last one is kept.
        evaluate_on: DATA of every split that the model will be evaluated on; none of their posts may be trained on.
        leaks: Treatment of posts of ``train`` and ``dev`` that are in one of these: ``refuse`` the run, ``drop`` the
            posts, or ``allow`` them, which stamps LEAKED on all results of the run.
        images: Folder of the pictures; by default the one of the format.
        decode: ``tolerant`` or ``strict`` decoding of BIO tags.
        missing_image: Treatment of posts with a missing picture: ``error``, ``text`` (without it) or ``skip``.
        image_source: Pictures of the posts of ``train``: their ``own``, ``none``, or ``shuffled``, those of another
            post. The last two are controls for experiments.
        label_column: Column of FMNERG with the labels.
        xml: Folder of the boxes of GMNER and FMNERG; by default the one of the format.
    """

    train: str
    dev: str | None = None
    evaluate_on: tuple[str, ...] = ()
    leaks: Literal["refuse", "drop", "allow"] = "refuse"
    images: Path | None = None
    decode: Literal["tolerant", "strict"] = "tolerant"
    missing_image: Literal["error", "text", "skip"] = "error"
    image_source: ImageSource = "own"
    label_column: Literal["coarse", "fine"] = "fine"
    xml: Path | None = None


class AnswerSettings(Settings):
    """Form of the answers; see ``answers.AnswerSpec``.

    Attributes:
        format: Format of the entities: a line each, the post written out with marks in it, or JSON.
        grounded: True where each entity carries a box.
        segmentation: Places where a mention may begin and end: ``words`` (and every character of scripts without
            spaces) or ``characters`` (anywhere); by default as the data has it.
        max_entities: Largest number of entities in an answer.
    """

    format: FormatName = "lines"
    grounded: bool = False
    segmentation: Segmentation | None = None
    max_entities: int = Field(default=24, ge=1)


class FinetuneConfig(Settings):
    """A fine-tuning run.

    Attributes:
        model: Hub name or folder of the base.
        revision: Commit, branch or tag on the hub.
        dtype: Type of the base's weights; ``auto`` keeps its own. Where all weights are tuned they are float32, and
            ``bfloat16`` is the type of the forwards (``auto``: on a GPU).
        attn_implementation: Attention of the model, as transformers names it; by default that of the model. Those of
            ``flash_attention`` need a GPU, ``dtype: bfloat16`` and their package.
        device_map: Distribution of one model over the GPUs of one process, layer by layer; by default none.
        data: Data of the run.
        labels: Names, or names with definitions; by default those of train and dev, in alphabetical order.
        prompt: Prompt template; by default ``tag``, or ``tag-grounded`` for grounded answers.
        answer: Form of the answers.
        pixels: Limits on the size of pictures.
        max_images: Largest number of pictures of a post that the model sees.
        context: Whether captions, tags and OCR of the pictures are part of the prompt, where a post has them.
        augmentation: Changes of posts from epoch to epoch.
        alignment: Objectives beside the answer.
        tuning: ``lora``; ``qlora``, the same on a decoder in 4 bits; or ``full`` for all weights.
        lora: Shape of the LoRA.
        optimizer: Settings of the optimizer and of the training loop.
        vision_cache: Features of pictures, kept from epoch to epoch.
        evaluation: Comparison of checkpoints during training.
        reinforcement: Settings of ``reinforce``, which goes on from the adapter of this run; ``finetune`` does not use
            them.
        seed: Seed of initialisation, data order and dropout.
        report_to: Trackers that losses and scores go to, beside ``metrics.jsonl``; each must be installed.
        output: Run folder, which must not exist.
    """

    model: str
    revision: str | None = None
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    attn_implementation: AttentionName | None = None
    device_map: Literal["auto", "balanced", "sequential"] | None = None
    data: DataSettings
    labels: LabelSet | None = None
    prompt: str | None = None
    answer: AnswerSettings = AnswerSettings()
    pixels: PixelLimits = PixelLimits()
    max_images: int = Field(default=1, ge=0)
    context: bool = False
    augmentation: AugmentationSettings = AugmentationSettings()
    alignment: AlignmentSettings = AlignmentSettings()
    tuning: Tuning = "lora"
    lora: LoraSettings = LoraSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    vision_cache: VisionCacheSettings = VisionCacheSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    reinforcement: ReinforcementSettings = ReinforcementSettings()
    seed: int = Field(default=0, ge=0, lt=2**32)
    report_to: tuple[Tracker, ...] = ()
    output: Path

    @model_validator(mode="after")
    def _check(self) -> FinetuneConfig:
        hidden = self.pictures_hidden_by
        if self.answer.grounded and hidden:
            raise ValueError(f"answer.grounded asks for boxes on pictures, {hidden} shows none")
        if self.optimizer.torch_compile and self.alignment.is_on:
            raise ValueError("optimizer.torch_compile: objectives read states by hooks, which a compiled model lacks")
        grounding = self.alignment.region_span_grounding
        if self.attn_implementation == "eager" and grounding is not None and grounding.through == "attention":
            raise ValueError(
                "attn_implementation: eager is out of reach of alignment.region_span_grounding through: attention; "
                "take sdpa"
            )
        problems = self.alignment.without_use(
            shows_pictures=hidden is None,
            shows_context=self.context and self.augmentation.drop_picture < 1,
            batch_size=self.optimizer.batch_size,
        )
        if problems:
            problems += [f"{hidden} shows no pictures"] if hidden else []
            raise ValueError("alignment: " + "; ".join(problems))
        return self

    @property
    def pictures_hidden_by(self) -> str | None:
        """Setting, with its value, by which no post of train is shown with a picture; ``None`` where there is none."""
        if self.max_images == 0:
            return "max_images: 0"
        if self.data.image_source == "none":
            return "data.image_source: none"
        return "augmentation.drop_picture: 1" if self.augmentation.drop_picture == 1 else None

    @property
    def prompt_name(self) -> str:
        """Name of the prompt template, or its default."""
        if self.answer.format == "inline":
            return self.prompt or "tag-inline"
        return self.prompt or ("tag-grounded" if self.answer.grounded else "tag")

    @property
    def learning_rate(self) -> float:
        """Peak of the learning rate, or its default."""
        # Source: 2e-4 is QLoRA's for models of up to 13B (https://arxiv.org/abs/2305.14314, table 9), 2e-5 is TRL's for
        # all weights.
        return self.optimizer.learning_rate or (2e-5 if self.tuning == "full" else 2e-4)

    @property
    def adapts(self) -> bool:
        """True where the run makes an adapter, rather than a whole model."""
        return self.tuning != "full"

    def to_yaml(self) -> str:
        """Return all settings as YAML, with defaults."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def load_config(path: Path, overrides: Sequence[str] = ()) -> FinetuneConfig:
    """Read a config.

    Args:
        path: YAML file.
        overrides: Settings in place of those of the file, ``key=value`` each, with dots into sections:
            ``optimizer.epochs=5``; see :func:`~.overrides.override`.

    Raises:
        ConfigError: Settings are wrong; the message lists all of them, with the nearest right key.
        DataError: The file cannot be read, or is not UTF-8.
    """
    if not path.exists():
        raise ConfigError(f"{path}: no such file; {_INIT}")
    if path.is_dir():
        there = path / "config.yaml"
        remedy = f"name its config, {there}" if there.is_file() else _INIT
        raise ConfigError(f"{path} is a folder, and no config; {remedy}")
    if path.suffix.lower() in _OF_POSTS:
        raise ConfigError(
            f"{path} holds posts by its name, and is no config: 'instruct-mner finetune --data {path} --model MODEL' "
            f"trains on them; {_INIT}"
        )
    values = read_yaml(path)
    if not isinstance(values, dict):
        kind = "empty" if values is None else f"a {type(values).__name__}"
        raise ConfigError(f"{path}: a config is a mapping of settings, this is {kind}; {_INIT}")
    for each in overrides:
        override(values, each, FinetuneConfig)
    values = _with_home(values)
    try:
        return FinetuneConfig.model_validate(values)
    except ValidationError as error:
        problems = list(dict.fromkeys(map(_problem, causes(error))))
        raise ConfigError(f"{path}: {len(problems)} setting(s) to mend:\n{listing(problems)}") from None


def _with_home(value: Any) -> Any:
    """Return a value with the home folder in the place of ``~/``, at the beginning of texts, as a shell does."""
    if isinstance(value, dict):
        return {name: _with_home(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_home(each) for each in value]
    if not isinstance(value, str) or not (found := _HOME.match(value)):
        return value
    return f"{found.group(1)}{Path.home()}/{value[found.end() :]}"


def _problem(error: ErrorDetails) -> str:
    location = place(error)
    name, kind = setting_name(location), error["type"]
    given = error.get("input")
    if kind == "extra_forbidden":
        known = fields_at(FinetuneConfig, location[:-1])
        return f"{name}: unknown setting{suggest(str(location[-1]), known)}; known: {', '.join(known)}"
    message = explained(error)
    if kind == "model_type":
        message = f"expected a section with {', '.join(fields_at(FinetuneConfig, location))}"
    if kind != "missing" and not isinstance(given, dict | BaseModel):
        message += f" (it is {shorten(repr(given), 80)})"
    return f"{name}: {message}" if name else message
