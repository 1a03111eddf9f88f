import json

import pytest

from hybridlm.config import combination as config
from hybridlm.config.combination import Calibration, Combination
from hybridlm.config.errors import ConfigError
from hybridlm.config.storage import from_dict, to_dict

WEIGHTS = (0.5, 1.0, -1.0, 0.0, 2.0, 0.0, 0.25)


@pytest.mark.parametrize(
    "combination",
    [
        config.average(0.3),
        config.product(),
        config.frequency_gate(-6.0, 2.0, experts=("ar", "masked_chain")),
        config.learned_gate(WEIGHTS, calibration=Calibration(adjustment=0.5)),
        config.token_adaptive(calibration=Calibration(bands="frequency_mass", slopes=(1.0, 0.9), offsets=(0.0, 0.1))),
        config.refiner(0.9, share=0.5, rule="log_linear"),
        Combination(gate="mine.gates:by_length"),
    ],
)
def test_every_combination_is_json_and_comes_back(combination):
    assert from_dict(Combination, json.loads(json.dumps(to_dict(combination)))) == combination


@pytest.mark.parametrize("gate", ["frequency", "oracle", "loss", "correct", "rank"])
def test_a_gate_that_reads_gold_is_refused(gate):
    with pytest.raises(ConfigError) as refused:
        Combination(gate=gate)
    assert str(refused.value) == (
        f"combination.gate={gate!r} would read the token that is to be predicted, so shares would depend on the answer "
        "and probabilities would not sum to 1. Use 'expected_frequency', 'least_entropy' or 'learned', which read the "
        "predictions alone; the best any switch could do is combine.oracle.oracle_switch, no model."
    )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"experts": ("ar",)}, "must name two different readings; with one alone there is nothing to combine."),
        ({"experts": ("ar", "ar")}, "must name two different readings"),
        ({"rule": "log-linear"}, "rule='log-linear' is not one of linear, log_linear; did you mean 'log_linear'?"),
        ({"gate": "entropie"}, "gate='entropie' is not one of"),
        ({"share": 1.5}, "share=1.5 must lie between 0 and 1; it is a probability."),
        ({"gate": "entropy", "share": 0.3}, "share=0.3 goes with gate='constant' or 'refine', and gate 'entropy' does"),
        (
            {"threshold": -5.0},
            "threshold=-5.0 goes with gate='expected_frequency' or 'refine', and gate 'constant' does",
        ),
        ({"gate": "entropy", "sharpness": -1.0}, "to turn the preference round, name the experts the other way round."),
        ({"gate": "refine"}, "threshold=0.0 is the confidence from which the first expert is kept, so it must lie in"),
        ({"gate": "refine", "threshold": 1.1}, "it must lie in (0, 1]"),
        (
            {"gate": "learned", "weights": (1.0,)},
            "weights has 1 numbers and must have 7: a bias, and the weights of ent",
        ),
        ({"weights": WEIGHTS}, "goes with gate='learned', and gate 'constant' does not read it; leave it out"),
    ],
)
def test_a_combination_that_makes_no_sense_is_refused_with_the_fix(wrong, says):
    with pytest.raises(ConfigError) as refused:
        Combination(**wrong)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"adjustment": float("nan")}, "adjustment=nan must be finite"),
        ({"bands": "digits", "slopes": (1.0,)}, "1 slopes and 0 offsets; give one of each per band."),
        (
            {"bands": "digits", "slopes": (-1.0,), "offsets": (0.0,)},
            "must be positive, since others would turn the order",
        ),
        ({"slopes": (1.0,), "offsets": (0.0,)}, "calibration.bands names no family of them"),
    ],
)
def test_a_calibration_that_makes_no_sense_is_refused_with_the_fix(wrong, says):
    with pytest.raises(ConfigError) as refused:
        Calibration(**wrong)
    assert says in str(refused.value)
