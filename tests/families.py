"""The model families that tests run over."""

from __future__ import annotations

from instruct_mner.models.families import FAMILIES

FAMILY_NAMES = tuple(FAMILIES)
# One whose forward takes loss arguments, and one whose does not: TRL scales their losses differently.
BOTH_KINDS = ("idefics3", "qwen3_vl")
