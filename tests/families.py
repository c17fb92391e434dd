"""The model families that tests run over."""

from __future__ import annotations

from instruct_mner.models.families import FAMILIES

FAMILY_NAMES = tuple(name for name, family in FAMILIES.items() if family.sees)
TEXT_FAMILIES = tuple(name for name, family in FAMILIES.items() if not family.sees)
# One whose forward takes loss arguments, and one whose does not: TRL scales their losses differently.
BOTH_KINDS = ("idefics3", "qwen3_vl")
