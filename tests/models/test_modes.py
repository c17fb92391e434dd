"""Dropout of a model that is used while it is trained, and of one that is not trained at all."""

from __future__ import annotations

import pytest
from torch import nn

from instruct_mner.models.modes import in_use


def test_every_module_is_as_it_was_afterwards() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Linear(2, 2), nn.Dropout()))
    model[1].eval()
    with pytest.raises(KeyError), in_use(model):
        assert not [module for module in model.modules() if module.training]
        raise KeyError
    assert [module.training for module in model.modules()] == [True, True, False, False, False]


def test_a_model_that_is_not_trained_stays_so_whoever_ends_first() -> None:
    model = nn.Sequential(nn.Dropout()).eval()
    one, other = in_use(model), in_use(model)
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert not model[0].training
    other.__exit__(None, None, None)
    assert not model[0].training


def test_dropout_inside_a_model_that_seems_to_be_at_rest_is_switched_off() -> None:
    # As peft leaves a base that was at rest: its own flag says so, that of the new dropout does not.
    model = nn.Sequential(nn.Dropout()).eval()
    model[0].train()
    with in_use(model):
        assert not model[0].training
    assert (model.training, model[0].training) == (False, True)
