"""The model families that tests run over."""

from __future__ import annotations

import pytest

from instruct_mner.models.families import FAMILIES

FAMILY_NAMES = tuple(name for name, family in FAMILIES.items() if family.sees)
# Families whose training `make prove` tests, since `make test` must be short; all else of them is tested by both.
_NEWER = ("qwen3_vl_moe", "qwen3_5", "gemma4", "glm46v")
TRAINED = tuple(pytest.param(name, marks=pytest.mark.prove) if name in _NEWER else name for name in FAMILY_NAMES)
# One of each kind in every run, the others among the proofs.
ONE_OF_EACH_KIND = tuple(
    name if name in ("idefics3", "qwen3_vl") else pytest.param(name, marks=pytest.mark.prove) for name in FAMILY_NAMES
)
TEXT_FAMILIES = tuple(name for name, family in FAMILIES.items() if not family.sees)
# One whose forward takes loss arguments, and one whose does not: TRL scales their losses differently.
BOTH_KINDS = ("idefics3", "qwen3_vl")
