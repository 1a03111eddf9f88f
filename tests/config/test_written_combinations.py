"""Combinations as they are typed, and what is refused."""

import pytest

from hybridlm.config.combination import Calibration, Combination, average, learned_gate, refiner
from hybridlm.config.errors import ConfigError
from hybridlm.config.storage import to_dict
from hybridlm.config.written_combinations import column, of_readings, parse

READ = {
    "average": average(),
    "average(0.3)": average(0.3),
    " refiner(0.9, share=0.5, rule='log_linear') ": refiner(0.9, share=0.5, rule="log_linear"),
    "average(calibration=Calibration(adjustment=-0.2))": average(calibration=Calibration(adjustment=-0.2)),
    "average(experts=('ar', 'infill'))": average(experts=("ar", "infill")),
}


@pytest.mark.parametrize("text", READ)
def test_a_call_is_read_as_python_would(text):
    assert parse(text) == READ[text]


def test_what_is_printed_can_be_typed():
    fitted = learned_gate(weights=(1.0, -2.5, 0.0, 0.0, 1e-05, 0.0, 0.0))
    assert parse(str(fitted)) == fitted


def test_experts_are_the_two_readings_unless_named():
    assert parse("average()", ("a", "b")).experts == ("a", "b")
    assert parse("average(experts=('ar', 'infill'))", ("a", "b")).experts == ("ar", "infill")
    assert column("block:chain@runs/b") == "block_chain_of_b"
    assert of_readings(["mean=average()"], ["ar", "block:chain@runs/b"]) == {
        "mean": to_dict(Combination(experts=("ar", "block_chain_of_b")))
    }


REFUSED = {
    "averige(0.3)": "combination 'averige(0.3)' names 'averige', which makes none; did you mean 'average'?",
    "average(0.3": "combination 'average(0.3' cannot be read: '(' was never closed; write a call such as refiner(0.9) "
    "or average(0.3, rule='log_linear').",
    "average(0.3, 1.0)": "combination 'average(0.3, 1.0)' cannot be made: ",
    "average(open('x'))": "cannot be made: malformed node or string",
    "__import__('os')": "names '__import__', which makes none; known are",
    "refiner(0.0)": "combination.threshold=0.0 is the confidence from which the first expert is kept",
    "Combination(gate='oracle')": "combination.gate='oracle' would read the token that is to be predicted",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_combination(text):
    with pytest.raises(ConfigError) as refused:
        parse(text)
    assert REFUSED[text] in str(refused.value)


def test_a_column_needs_a_name_and_a_combination_two_readings():
    with pytest.raises(ConfigError, match=r"combination 'average\(\)' needs a name, since its column is called so"):
        of_readings(["average()"], ["ar", "block:chain"])
    with pytest.raises(ConfigError, match="--combine joins two readings, and --readings names 1; name two"):
        of_readings(["mean=average()"], ["ar"])
