"""Other calibrators than that of the tool, on confidences that are wrong in a known way."""

from __future__ import annotations

import re

import numpy as np

from eval.experiments.calibrators import other_calibrators
from instruct_mner.schema.records import Entity, Example, PredictedEntity, Prediction
from instruct_mner.scoring.calibration import fit_scaling, judge, measure
from instruct_mner.scoring.pairing import Pairs, pair_posts

TEXT = "Ann met Bo"
SHIFTS = {"PER": 1.5, "LOC": -1.5}


def posts(num: int, seed: int) -> Pairs:
    """Return posts whose persons are right more often, and whose places less often, than their confidences say."""
    rng = np.random.default_rng(seed)
    gold, predicted = [], []
    for number in range(num):
        label = "PER" if rng.random() < 0.5 else "LOC"
        score = float(rng.uniform(0.2, 0.95))
        chance = 1 / (1 + np.exp(-(np.log(score / (1 - score)) + SHIFTS[label])))
        right = (Entity(start=0, end=3, text="Ann", label=label),) if rng.random() < chance else ()
        gold.append(Example(id=str(number), text=TEXT, entities=right))
        entity = PredictedEntity(start=0, end=3, text="Ann", label=label, score=score)
        predicted.append(Prediction(id=str(number), text=TEXT, entities=(entity,)))
    return pair_posts(gold, predicted)


def test_a_shift_for_each_type_repairs_what_one_for_all_cannot() -> None:
    dev, test = posts(2_000, 0), posts(2_000, 1)
    fitted = fit_scaling(judge(dev))
    of_all = measure(judge(test).with_scaling(fitted), num_resamples=1).ece.value
    [line] = other_calibrators(dev, test, fitted)
    of_types, of_lengths, *_ = (float(number) for number in re.findall(r"\d\.\d{3}", line))
    assert line.startswith("Other calibrators, fitted on the same dev, ECE on test: a shift for each type 0.")
    assert of_types < 0.8 * of_all
    # All mentions are of one length, which says nothing.
    assert abs(of_lengths - of_all) < 1e-3
