"""What is timed, and the arithmetic of the comparison on numbers of which the answer is known."""

import numpy as np

from benchmarks import objectives
from hybridlm.attention import Explanation
from tests.objectives.conftest import OBJECTIVES


def kind(objective):
    return objective.layout, objective.corruption, objective.streams, bool(objective.window), objective.clean_causal


def test_every_kind_of_named_objective_is_timed():
    timed = {kind(one) for mixture in objectives.OBJECTIVES.values() for one in mixture.values()}
    plain = {kind(one) for name, one in OBJECTIVES.items() if " " not in name}
    assert plain <= timed


def test_a_step_of_half_the_operations_in_the_same_time_costs_twice_as_much(monkeypatch):
    monkeypatch.setattr(objectives, "peak_flops", lambda: 8e12)
    step = objectives.Timed(lambda times: None, 1e12, "")
    explained = Explanation("dense", "it takes all", 0.5, 1.0)
    told = objectives.line("half", np.array([0.25] * 3), objectives.Ready(step, explained), np.array([0.25 / 2e12] * 3))
    assert told.split() == [
        *("half", "250.00", "ms", "(250.00-250.00)", "1.000", "TFLOP", "4.0", "TFLOP/s", "MFU", "0.500"),
        *("2.000", "(2.000-2.000)", "of", "ar", "dense:", "it", "takes", "all;"),
        *("computes", "100.0%", "of", "blocks,", "50.0%", "needed"),
    ]
