"""Published counts of the data sets, which any reader must reproduce to the last entity."""

from __future__ import annotations

SPLITS = {
    "twitter2015": [(4000, 6352, 6166), (1000, 1594, 1541), (3257, 5207, 5072)],
    "twitter2015_repaired": [(4000, 6352, 6170), (1000, 1594, 1541), (3257, 5237, 5119)],
    "twitter2017": [(3373, 6049, 6049), (723, 1324, 1324), (723, 1351, 1351)],
    "gmner": [(7000, 11779, 11779), (1500, 2450, 2450), (1500, 2543, 2543)],
    "fmnerg": [(7000, 11779, 11779), (1500, 2450, 2450), (1500, 2543, 2543)],
    "cmner": [(3000, 16373, 16373), (1000, 5395, 5395), (1000, 5277, 5277)],
}
"""Of train, dev and test: sentences, entities by tolerant decoding, entities by strict decoding."""

TEST_TYPES = {
    "twitter2015": {"PER": 1873, "LOC": 1720, "ORG": 860, "OTHER": 754},
    "twitter2015_repaired": {"PER": 1880, "LOC": 1750, "ORG": 859, "OTHER": 748},
    "twitter2017": {"PER": 621, "LOC": 178, "ORG": 395, "MISC": 157},
    "gmner": {"PER": 1104, "LOC": 404, "ORG": 638, "OTHER": 397},
    "cmner": {"PER": 1287, "LOC": 1605, "ORG": 1863, "MISC": 522},
}
"""Entities of the test split by type, tolerant decoding."""
