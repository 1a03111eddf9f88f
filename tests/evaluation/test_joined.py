"""Two trained networks read as one by `hybridlm evaluate`: the column, the fit, and what is said beside it."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from etils import epath

from hybridlm.config.combination import Combination, average, learned_gate
from hybridlm.config.errors import ConfigError
from hybridlm.config.evaluation import EvaluationConfig, Reading
from hybridlm.config.exit_codes import ExitCode
from hybridlm.config.objective import autoregressive
from hybridlm.config.storage import to_dict
from hybridlm.config.written_combinations import of_readings, parse
from hybridlm.evaluation import fitted, joined, readings
from hybridlm.offline import evaluate as offline
from hybridlm.storage import workdir
from hybridlm.training import run
from tests.end_to_end import tiny

pytestmark = pytest.mark.usefixtures("small_and_plain")

CALLS = ("mean=average(0.25)", "refined=refiner(0.1)", "gated=learned_gate()")


@pytest.fixture(scope="module")
def asked(earlier):
    return "ar", f"block:chain@{earlier}"


def evaluate(trained, directory, asked, calls, **overrides):
    combinations = {"evaluation.combinations": repr(of_readings(calls, asked))}
    offline.evaluate(trained, directory, data="", readings=asked, overrides={**combinations, **overrides})


def test_two_networks_are_one_model(trained, asked, tmp_path, capsys):
    evaluate(trained, tmp_path, asked, CALLS, **{"evaluation.split": "test"})
    tokens = pd.read_parquet(tmp_path / "tokens.parquet")
    first, second = tokens["score/ar"], tokens["score/block_chain_of_earlier"]
    assert np.abs(first - second).mean() > 0.01, "the networks differ"
    np.testing.assert_allclose(
        tokens["score/mean"], -np.logaddexp(np.log(0.25) - first, np.log(0.75) - second), rtol=1e-3
    )
    switched = np.where(tokens["gate/refined"] == 1, first, second)
    np.testing.assert_allclose(tokens["score/refined"], switched, rtol=1e-4)

    columns = {column["name"]: column for column in json.loads((tmp_path / "scores.json").read_text())["columns"]}
    assert {columns[name]["kind"] for name in ("mean", "refined", "gated")} == {"exact"}
    told = json.loads((tmp_path / "combinations.json").read_text())
    for name in ("mean", "refined", "gated"):
        assert told[name]["nats"] == pytest.approx(tokens[f"score/{name}"].mean(), rel=1e-4)
        floor = told[name]["floor of any switch, not a model"]
        assert floor == pytest.approx(np.minimum(first, second).mean(), rel=1e-4)
    assert parse(told["gated"]["call"]).weights and told["gated"]["nats"] < told["mean"]["nats"] + 0.05

    shares = {(row["family"], row["label"]): row for row in told["refined"]["share"]}
    assert shares["all", "all"]["share"] == pytest.approx(tokens["gate/refined"].mean(), rel=1e-4)
    bands = [row for (family, _), row in shares.items() if family == "frequency_mass"]
    assert sum(row["share"] * row["tokens"] for row in bands) == pytest.approx(tokens["gate/refined"].sum(), rel=1e-4)
    refined = told["refined"]["refined"]
    assert refined["fraction"] == pytest.approx((tokens["gate/refined"] < 1).mean(), rel=1e-4)
    assert (
        sum(n * texts for n, texts in enumerate(refined["texts_by_refined_tokens"]))
        == (tokens["gate/refined"] < 1).sum()
    )
    printed, said = capsys.readouterr()
    assert said.count("fitting the numbers of combination") == 1 and re.search(
        "fitting the numbers of combination 'gated' on [0-9]+ rows of the run's validation text; combinations.json of "
        "the report will keep the call with them, which --combine=gated=CALL reads without another fit\n",
        said,
    )
    assert "for the oracle switch of ar and block_chain_of_earlier, which knows the token: not a model" in printed
    assert f"refined: {refined['fraction']:.1%} of tokens" in printed


def test_training_tells_of_its_combinations_what_evaluating_its_checkpoint_tells(trained, text, tmp_path, capsys):
    """The run is taken up at its end, and now reads two ways and both joined."""
    directory = epath.Path(shutil.copytree(trained, tmp_path / "run"))
    experiment = tiny.experiment(text)
    readings = {name: experiment.evaluation.readings[name] for name in ("ar", "prefix")}
    changes = {"readings": readings, "combinations": {"both": average(experts=("ar", "prefix"))}, "rows": 16}
    experiment = dataclasses.replace(experiment, evaluation=dataclasses.replace(experiment.evaluation, **changes))
    workdir.claim(directory, experiment)
    assert run.train(experiment, directory) == ExitCode.DONE
    told = capsys.readouterr()
    assert "for the oracle switch of ar and prefix, which knows the token: not a model" in told.out
    assert "combinations 1/1  both" in told.err
    assert 0 < json.loads((directory / "combinations.json").read_text())["both"]["nats"] < 6
    changes = {f"evaluation.{name}": repr(to_dict(value)) for name, value in changes.items()}
    offline.evaluate(directory, tmp_path / "again", data="", overrides=changes)
    assert (tmp_path / "again" / "combinations.json").read_bytes() == (directory / "combinations.json").read_bytes()
    assert "oracle switch of ar and prefix" in capsys.readouterr().out


def test_what_only_a_trained_model_can_be_fitted_for_is_refused_before_training(text, tmp_path):
    combinations = {"gated": learned_gate(experts=("ar", "prefix")), "both": average(experts=("ar", "prefix"))}
    evaluation = dataclasses.replace(tiny.get_config().evaluation, combinations=combinations)
    with pytest.raises(ConfigError) as refused:
        run.train(dataclasses.replace(tiny.experiment(text), evaluation=evaluation), tmp_path / "run")
    assert str(refused.value) == (
        "evaluation.combinations.gated has numbers that are fitted once the model is trained. Leave it out of this "
        "config; `hybridlm evaluate --combine=... --config.evaluation.split=test` fits and reports it."
    )
    assert not (tmp_path / "run").exists()


def test_a_gate_of_ones_own_is_tried_before_training(importable):
    (importable / "my_gate.py").write_text("def gate(context):\n    return context.entropy_c\n")
    combinations = {"own": Combination(experts=("ar", "prefix"), gate="my_gate:gate")}
    with pytest.raises(ConfigError, match="'my_gate:gate' failed in line 2 of .*; did you mean 'entropy_[ab]'"):
        fitted.check_closed(EvaluationConfig(combinations=combinations))


def test_a_fit_is_not_reported_on_its_own_text(trained, asked, tmp_path):
    with pytest.raises(
        ConfigError, match="gated has numbers that are fitted on the run's validation text, and this text"
    ):
        evaluate(trained, tmp_path, asked, ["gated=learned_gate()"], **{"evaluation.split": "validation"})
    assert not learned_gate().weights


def test_a_run_with_another_tokenizer_is_refused(trained, asked, earlier, tmp_path):
    path = epath.Path(earlier) / "vocabulary" / "tokenizer.json"
    content = path.read_text()
    try:
        path.write_text(content + "\n")
        with pytest.raises(ConfigError) as refused:
            evaluate(trained, tmp_path, asked, CALLS[:1])
    finally:
        path.write_text(content)
    assert str(refused.value) == (
        f"reading 'block_chain_of_earlier' reads the network of {earlier}, which was trained with another tokenizer, "
        "so its probabilities belong to other tokens; train both runs on the same data.prepared, or name one "
        "data.tokenizer in both."
    )


def test_a_constant_share_takes_one_line():
    shares = (("all", "all", 0.5, 9), ("kind", "word", 0.5, 6), ("kind", "digit", 0.5, 3))
    call = average(experts=("a", "b"))
    one = joined.Joined(call=call, nats=2.0, floor=1.0, shares=shares, refined=None)
    assert list(joined.lines({"mean": one}))[-1] == "  share of a: 0.500 of every category"
    told = dataclasses.replace(one, shares=(*shares[:2], ("kind", "digit", 0.25, 3)))
    listed = [line.split()[-2:] for line in joined.lines({"mean": told})][-3:]
    assert listed == [["0.500", "9"], ["0.500", "6"], ["0.250", "3"]]


def test_training_reads_its_own_network_alone(task):
    config = EvaluationConfig(readings={"other": Reading(objective=autoregressive(), network="runs/b")})
    with pytest.raises(
        ConfigError, match="readings.other names the network of another run, and training reads its own"
    ):
        readings.scorer(task, config)
