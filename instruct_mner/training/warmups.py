"""Remarks on warm-ups that a run has no time for, or no use for: little is learned, and no error says so."""

from __future__ import annotations

from collections.abc import Iterator

from instruct_mner.alignment.settings import AlignmentSettings
from instruct_mner.training.optimizer_settings import OptimizerSettings
from instruct_mner.training.reinforcement_settings import ReinforcementSettings


def warmup_remarks(
    place: str,
    settings: OptimizerSettings | ReinforcementSettings,
    num_steps: int,
    alignment: AlignmentSettings | None = None,
) -> Iterator[str]:
    """Iterate over the remarks on the warm-up of the learning rate, and on those of objectives that the config names.

    Args:
        place: Section of the config.
        settings: Settings of this section.
        num_steps: Number of steps of the run.
        alignment: Objectives of the run.
    """
    name, value = f"{place}.warmup_steps {settings.warmup_steps}", settings.warmup_steps
    if value and settings.scheduler == "constant":
        yield f"{name}: scheduler constant begins at the peak; constant_with_warmup warms up"
    elif value >= num_steps:
        yield (
            f"{name}: in {num_steps} steps the learning rate reaches {(num_steps - 1) / value:.2g} of its peak at "
            "most; choose fewer, or train for longer"
        )
    for objective, own in () if alignment is None else alignment.each():
        for name in sorted(own.model_fields_set):
            if name.endswith("warmup_steps") and (value := getattr(own, name)) > num_steps:
                yield (
                    f"alignment.{objective}.{name} {value}: its weight is still growing when the run ends after "
                    f"{num_steps} steps; choose fewer, or train for longer"
                )
