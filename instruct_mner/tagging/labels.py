"""Label sets as the command line takes them."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from instruct_mner.data.yaml_files import read_yaml
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.validation_messages import reasons


def parse_labels(text: str) -> LabelSet:
    """Return the label set of ``PER,LOC``, or of a YAML file with a list or with ``NAME: definition``.

    Raises:
        ConfigError: It is neither, or a label is not allowed.
    """
    path = Path(text)
    try:
        if path.suffix in {".yaml", ".yml"} or ("," not in text and path.is_file()):
            values = read_yaml(path)
        else:
            values = [name.strip() for name in text.split(",")]
        return LabelSet.model_validate(values)
    except (ConfigError, DataError) as error:
        raise ConfigError(f"--labels {error}") from None
    except ValidationError as error:
        raise ConfigError(f"--labels {text}: {'; '.join(reasons(error, LabelSet))}") from None
