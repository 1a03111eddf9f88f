"""Every run is a config that can be built, and the numbers that compare does not give are right on a few tokens."""

import dataclasses
import types

import numpy as np
import pytest
from etils import epath

from experiments.hybrids import levels, report, results, runs, score, systems
from experiments.hybrids.run import place
from experiments.hybrids.shape import KEPT, shape

BASE = shape("data/corpus", "data/rows")
LABELS = ("most_frequent_quarter", "second_quarter", "third_quarter", "rarest_quarter")


@pytest.mark.parametrize("name", runs.names())
def test_every_run_differs_from_the_base_in_what_its_name_says_alone(name):
    found = runs.experiment(BASE, name)
    same = {field.name: getattr(found, field.name) == getattr(BASE, field.name) for field in dataclasses.fields(BASE)}
    changed = {field for field, is_same in same.items() if not is_same} - {"name", "objectives", "evaluation"}
    allowed = {"up_weighted": {"training"}, "curriculum": {"training"}, "balanced": {"data"}}
    rest, _, seed = name.partition("@")
    kept = {"checkpoint"} if name == runs.PLACEBO else set()
    assert changed == allowed.get(rest.partition(":")[2], set()) | ({"seed"} if seed else set()) | kept


def test_the_checkpoints_of_the_placebo_reach_the_last_step():
    every, keep = KEPT
    assert BASE.training.steps % every == 0
    assert every * keep < BASE.training.steps


@pytest.mark.parametrize(("aim", "step"), [(3.0, 80), (2.45, 160), (1.0, 160)])
def test_the_placebo_is_the_earlier_checkpoint_nearest_to_the_other_run(monkeypatch, aim, step):
    nats = {("ar", 80): 2.9, ("ar", 160): 2.5, ("ar", 240): 1.0, ("shared", -1): aim}
    monkeypatch.setattr(score, "validation", lambda run, step: nats[run, step])
    monkeypatch.setattr(score, "kept", lambda run: [80, 160, 240])
    assert score.nearest("ar", "shared") == step


def test_every_run_that_is_compared_exists():
    known = {place(name) for name in runs.names()}
    for arguments in report.comparisons("root").values():
        files = [one for one in " ".join(arguments).replace(",", " ").replace(":", " ").split() if ".parquet@" in one]
        assert files
        assert {file.partition("root/")[2].split("/")[0] for file in files} <= known


def tokens(**columns):
    """Four tokens of two documents in two groups."""
    return types.SimpleNamespace(
        groups=("a", "b"),
        group_D=np.array([0, 1]),
        document_T=np.array([0, 0, 1, 1]),
        columns={name: np.asarray(column) for name, column in columns.items()},
        labels={"label/frequency_mass": np.array([3, 3, 0, 3])},
        header=types.SimpleNamespace(families={"frequency_mass": types.SimpleNamespace(labels=LABELS)}),
    )


def test_a_ratio_counts_the_tokens_that_both_score():
    found = results.ratio(tokens(), np.array([1.0, 1, 2, np.nan]), np.array([2.0, 2, 4, 100]))
    assert (found["ratio"], found["low"], found["high"], found["tokens"]) == (2.0, 2.0, 2.0, 3)


def test_the_oracle_takes_the_lower_cost_of_each_token():
    found = results.oracle(tokens(**{"score/ar": [1.0, 4, 2, 3], "score/chain": [2.0, 1, 2, 5]}), "ar", "chain")
    assert found["all"]["floor"] == (1 + 1 + 2 + 3) / 4
    assert found["rarest_quarter"] == {
        "tokens": 3,
        "ar": pytest.approx(8 / 3),
        "chain": pytest.approx(8 / 3),
        "floor": pytest.approx(5 / 3),
        "first_is_better": pytest.approx(2 / 3),
    }


def test_rare_tokens_replaced_by_common_ones_are_counted_among_rare_tokens():
    text = tokens(**{"correct/ar": np.array([True, False, True, False])})
    text.labels["likeliest/ar/frequency_mass"] = np.array([3, 0, 0, 0])
    assert results.replaced(text, ["ar"])["ar"] == {
        "rare": 3,
        "replaced_by_common": pytest.approx(2 / 3),
        "right": pytest.approx(1 / 3),
    }


def test_a_linear_gate_costs_what_the_mixture_of_both_probabilities_does():
    p_NG = np.array([[0.5, 0.1], [0.2, 0.4]])
    features_NF = np.zeros((2, len(systems.FEATURES)))
    mixed = -np.log(p_NG.mean(1)).mean()
    assert systems.cost(systems.PLAIN["average"], -np.log(p_NG), features_NF) == pytest.approx(mixed)


def test_levels_put_the_cheapest_reading_first_and_leave_out_what_is_of_other_targets(tmp_path):
    head = "family,label,column,mean,low,high,tokens,groups,kind,bits_per_byte"
    labels = [("all", "all"), *(("frequency_mass", band) for band in levels.BANDS), ("script", "latin")]
    for run, nats in (("a", 3.0), ("b", 2.0)):
        readings = {"ar": nats, "ar after prefix": 1.0, "unigram": 7.0}
        rows = [
            f"{family},{label},{name},{x},0,9,5,2,exact,1.5" for name, x in readings.items() for family, label in labels
        ]
        (tmp_path / run).mkdir()
        (tmp_path / run / "scores.csv").write_text("\n".join([head, *rows]))
    found = levels.levels(epath.Path(tmp_path))
    assert set(found["family"]) == {"all", "frequency_mass"}
    assert set(found[found["column"] == "unigram"]["run"]) == {"a"}
    lines = levels.table(found).splitlines()[2:]
    assert [line.split(" | ")[:4] for line in lines] == [
        ["| b", "ar", "exact", "2.000"],
        ["| a", "ar", "exact", "3.000"],
        ["| a", "unigram", "exact", "7.000"],
    ]


def test_systems_say_whose_share_it_is_and_who_is_too_sure_cheapest_first(tmp_path):
    numbers = "mean,low,high,tokens,groups,kind,bits_per_byte"
    told = ",".join(f"{name},{name}_low,{name}_high" for name in levels.TOLD)
    labels = [("all", "all"), *(("frequency_mass", band) for band in levels.BANDS)]
    systems_of = {"chain": (3.0, ""), "gate": (2.5, "0.75"), "unigram": (7.0, "")}
    rows = [
        f"{family},{label},{name},{nats},0,9,5,2,exact,1.5,0.5,0,1,0.625,0,1,{share},0,1,,,"
        for name, (nats, share) in systems_of.items()
        for family, label in labels
    ]
    (tmp_path / "run" / "test").mkdir(parents=True)
    (tmp_path / "run" / "test" / "scores.csv").write_text("\n".join([f"family,label,column,{numbers},{told}", *rows]))
    lines = levels.systems_table(levels.systems(epath.Path(tmp_path))).splitlines()
    assert [line.split(" | ")[1:] for line in lines[2:]] == [
        ["gate", *["2.500"] * 5, "0.750", "0.750", "+0.125", "+0.125 |"],
        ["chain", *["3.000"] * 5, "-", "-", "+0.125", "+0.125 |"],
    ]
