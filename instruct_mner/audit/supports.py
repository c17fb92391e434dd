"""Numbers of entities of the published test sets, by which a log tells its labels and its decoding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from instruct_mner.audit.findings import Finding


@dataclass(frozen=True, kw_only=True)
class Support:
    """Test set that has a number of entities.

    Attributes:
        name: Name of the set with the version of its labels.
        decode: Decoding of BIO tags that gives the number; ``None`` where both do.
        types: Numbers of entities of each type, where they are known.
    """

    name: str
    decode: str | None = None
    types: Mapping[str, int] = field(default_factory=dict)


# Counted on the published files; `tests/audit/test_supports.py` counts again where they are at hand.
TEST_SUPPORTS: dict[int, Support] = {
    5207: Support(
        name="Twitter-2015 (original labels), test",
        decode="tolerant",
        types={"PER": 1873, "LOC": 1720, "ORG": 860, "OTHER": 754},
    ),
    5072: Support(name="Twitter-2015 (original labels), test", decode="strict"),
    5237: Support(
        name="Twitter-2015 (repaired labels), test",
        decode="tolerant",
        types={"PER": 1880, "LOC": 1750, "ORG": 859, "OTHER": 748},
    ),
    5119: Support(name="Twitter-2015 (repaired labels), test", decode="strict"),
    1351: Support(name="Twitter-2017, test", types={"PER": 621, "LOC": 178, "ORG": 395, "MISC": 157}),
    2543: Support(name="Twitter-GMNER v2.0 or FMNERG, test", types={"PER": 1104, "LOC": 404, "ORG": 638, "OTHER": 397}),
    5277: Support(name="CMNER, test"),
}
_WORDS = {
    "tolerant": "tolerant: an I- tag that continues nothing opens an entity, as in most papers",
    "strict": "strict IOB2: only B- opens an entity, which leaves entities of the literature out",
}


def findings_on(num_entities: int, types: Mapping[str, int], evidence: str) -> list[Finding]:
    """Return what the number of gold entities tells about labels and decoding.

    Args:
        num_entities: Number of gold entities of the test set.
        types: Numbers of the types, as far as the log has them.
        evidence: Line of the log.
    """
    support = TEST_SUPPORTS.get(num_entities)
    if support is None:
        text = f"{num_entities} gold entities are those of no published test set that is known here"
        return [
            Finding(topic="labels", verdict="unknown", text=text, evidence=evidence),
            Finding(topic="decoding", verdict="unknown", text=text, evidence=evidence),
        ]
    other = {name: count for name, count in types.items() if support.types.get(name, count) != count}
    findings = [
        Finding(topic="labels", verdict="fine", text=f"{support.name}: {num_entities} gold entities", evidence=evidence)
        if not other
        else Finding(
            topic="labels",
            verdict="warning",
            text=f"as many gold entities as {support.name}, but other numbers of {', '.join(sorted(other))}",
            evidence=evidence,
        )
    ]
    if support.decode is None:
        text = f"on {support.name} both decodings give {num_entities} gold entities"
        return [*findings, Finding(topic="decoding", verdict="unknown", text=text, evidence=evidence)]
    verdict = Finding(
        topic="decoding",
        verdict="fine" if support.decode == "tolerant" else "warning",
        text=_WORDS[support.decode],
        evidence=evidence,
    )
    return [*findings, verdict]
