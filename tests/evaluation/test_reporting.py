"""From sums to a record: means, intervals by group, the error of sampling, and the tokens themselves."""

import dataclasses
import math

import numpy as np
import pytest
from etils import epath

from hybridlm.config.evaluation import EvaluationConfig
from hybridlm.config.objective import autoregressive
from hybridlm.evaluation import reporting
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.columns import Column
from hybridlm.evaluation.run import Evaluation, headline
from hybridlm.evaluation.totals import Totals
from hybridlm.facts.kinds import ScoreKind
from hybridlm.facts.loss_inputs import Part
from hybridlm.masks import window
from hybridlm.models import size
from hybridlm.statistics.intervals import linearised

LABELS = (("all", "all"), ("digits", "none"), ("digits", "one"), ("digits", "two"))
TOKENS = np.array([[4, 3, 1, 0], [0, 0, 0, 0], [6, 6, 0, 0], [10, 10, 0, 0]])
NATS = np.array([[8.0, 6.0, 2.0, 0], [0, 0, 0, 0], [18.0, 18.0, 0, 0], [10.0, 10.0, 0, 0]])
DETAILS_KC = np.array(
    [[40.0, 38, 2, 0], [8, 7, 1, 0], [10, 9, 1, 0], [5, 5, 0, 0], [15, 15, 0, 0], [9, 9, 0, 0], [20, 19, 1, 0]]
)
WEIGHT = TOKENS / np.maximum(TOKENS.sum(0), 1)
DETAILS = DETAILS_KC[:, None] * WEIGHT
GATE = np.array([np.nan, 19.0, 1.5, 0]) * WEIGHT
MASS = np.array([np.nan, 18.0, 2.0, 0]) * TOKENS[:, :1] / 20
LEFT_OUT = {"padding": 7, "begin of a text": 0}
SAMPLES = np.array([[30.0, 28.0, 2.0, 0], [42.0, 40.0, 2.0, 0]])


@pytest.fixture(scope="module")
def facts(session):
    return reporting.Facts(
        experiment=session.experiment,
        task=session.task,
        tokenizer=session.vocabulary.tokenizer,
        split="validation",
        step=20,
        fingerprints=session.metadata["fingerprints"],
        parameters=size.count(tasks.abstract_params(session.task)),
        rows=session.text,
    )


@pytest.fixture(scope="module")
def scores(facts):
    return reporting.of(facts, evaluation())


def evaluation():
    """Four groups, one of another split, read exactly and by two samples."""
    exact = Column(Part("ar", ScoreKind.EXACT, "the left"), 0, "all scored tokens", "ar")
    share = Column(Part("masked", ScoreKind.SHARE, "some"), 2, "all scored tokens", "masked")
    same = {"nats_NC": NATS, "tokens_NC": TOKENS, "gate_NC": GATE, "mass_NC": MASS, "bytes": 40, "unscored": LEFT_OUT}
    totals = (
        Totals(**same, samples_KC=SAMPLES[:0], details_KNC=DETAILS),
        Totals(**same, samples_KC=SAMPLES, details_KNC=DETAILS[:0]),
    )
    return Evaluation((exact, share), totals, LABELS, [])


def row(scores, column, label):
    (found,) = [row for row in scores.rows if (row.column, row.label) == (column, label)]
    return found


def test_means_are_sums_over_counts_of_all_groups(scores):
    for column in ("ar", "masked"):
        assert row(scores, column, "all").mean == pytest.approx(36 / 20)
        assert row(scores, column, "none").mean == pytest.approx(34 / 19)
        assert (row(scores, column, "all").tokens, row(scores, column, "all").groups) == (20, 3)


def test_what_begins_is_told_before_it_is_done(facts, monkeypatch, capsys, tmp_path):
    """The interval of each column, then each file; nobody waits before an empty screen."""

    told, rows = [], reporting.score_rows.rows

    def begins(*_):
        told.append(capsys.readouterr().err.splitlines()[-1])

    monkeypatch.setattr(reporting.score_rows, "rows", lambda *about: begins() or rows(*about))
    monkeypatch.setattr(reporting.export, "export", begins)
    for name in ("_write_tokens", "_write_page", "save"):
        monkeypatch.setattr(reporting, name, begins)
    reporting.write(facts, evaluation(), epath.Path(tmp_path), config=EvaluationConfig(), metrics=None)
    assert told == [
        "confidence intervals 1/2  ar",
        "confidence intervals 2/2  masked",
        "writing 1/4  scores.csv",
        "writing 2/4  tokens.parquet",
        "writing 3/4  report.html",
        "writing 4/4  scores.json",
    ]


def test_a_family_of_ones_own_is_shown_and_what_is_not_is_named(scores, monkeypatch):
    config = EvaluationConfig(families=("digits",))
    assert reporting._shown(config) == ("digits",)
    monkeypatch.setattr(reporting.registry, "own", lambda: ("mine", "digits"))
    assert reporting._shown(config) == ("digits", "mine")
    assert reporting._shown(EvaluationConfig(families=())) == ()
    known = {name: {} for name in ("digits", "mine", "other")}
    scores = dataclasses.replace(scores, families=known)
    shown = reporting.of_families(scores, reporting._shown(config))
    (line,) = reporting._left_out(scores, shown)
    assert line == "not shown: other. scores.csv has them; --config.evaluation.families='()' shows all."
    assert not list(reporting._left_out(scores, reporting.of_families(scores, ())))


def test_edited_code_of_ones_own_is_another_request(facts, importable):
    data = dataclasses.replace(facts.experiment.data, label_modules=("edited_labels",))
    mine = dataclasses.replace(facts, experiment=dataclasses.replace(facts.experiment, data=data))
    asked = []
    for text in ("shout = str.isupper", "shout = str.isupper", "shout = str.islower"):
        (importable / "edited_labels.py").write_text(text)
        asked.append(reporting.request(mine))
    assert asked[0] == asked[1] != asked[2]
    assert reporting._own_code(facts.experiment) == {}


def test_labels_without_tokens_have_no_row(scores):
    assert {row.label for row in scores.rows} == {"all", "none", "one"}


def test_intervals_lie_around_the_mean_and_within_the_groups(scores):
    found = row(scores, "ar", "all")
    assert 1.0 <= found.low < found.mean < found.high <= 3.0, "no draw of groups can leave their own means"


def test_one_group_tells_no_interval(scores):
    found = row(scores, "ar", "one")
    assert (found.mean, found.groups, found.low, found.high) == (2.0, 1, None, None)


def test_sampling_error_is_that_of_the_mean_of_the_samples(scores):
    found = row(scores, "masked", "all")
    assert found.standard_error_mc == pytest.approx((42 - 30) / 20 / 2)  # of two values: half their distance
    assert row(scores, "ar", "all").standard_error_mc is None
    exact = row(scores, "ar", "all")
    assert found.high - found.low > exact.high - exact.low, "and it widens the interval"


def test_every_mean_has_an_interval_of_its_groups(scores):
    found = row(scores, "ar", "all")
    assert (found.entropy, found.accuracy, found.top_5) == (2.0, 0.25, 0.75)
    assert set(found.intervals) == {"entropy", "brier", "confidence", "accuracy", "top_5", "reciprocal_rank"}
    low, high = found.intervals["entropy"]
    assert low == pytest.approx(2.0) == high, "it is the same in every group"
    assert set(row(scores, "ar", "none").intervals) - set(found.intervals) == {"gate", "mass_excess"}
    assert row(scores, "ar", "one").intervals == row(scores, "masked", "all").intervals == {}


def test_a_class_is_calibrated_where_it_had_as_much_probability_as_tokens(scores):
    none, one = row(scores, "ar", "none"), row(scores, "ar", "one")
    assert (none.mass, one.mass) == (pytest.approx(0.9), pytest.approx(0.1))
    assert (none.mass_excess, one.mass_excess) == (pytest.approx(0.9 - 19 / 20), pytest.approx(0.1 - 1 / 20))
    low, high = none.intervals["mass_excess"]
    assert low < none.mass_excess < high
    assert row(scores, "ar", "all").mass is None


def test_the_interval_of_a_mean_is_that_of_its_ratio(facts):
    dice = np.random.default_rng(0)
    entropy_N = dice.random(4) * TOKENS[:, 0]
    details = np.stack([entropy_N[:, None] * (TOKENS > 0)] * len(DETAILS))
    found = evaluation()
    (total, *_) = found.totals
    total = dataclasses.replace(total, details_KNC=details)
    (first, *_) = reporting.of(facts, dataclasses.replace(found, totals=(total, *found.totals[1:]))).rows
    here = TOKENS[:, 0] > 0
    expected = linearised(entropy_N[here, None], TOKENS[here, :1])
    assert first.intervals["entropy"] == pytest.approx((expected.low_C[0], expected.high_C[0]))


def test_columns_say_what_they_leave_out(scores):
    assert scores.columns[0].unscored == {"padding": 7}


def test_columns_say_bits_per_byte_and_samples(scores):
    exact, share = scores.columns
    assert exact.bits_per_byte == pytest.approx(36 / math.log(2) / 40)
    assert (exact.kind, exact.samples, share.kind, share.samples) == ("exact", 1, "share", 2)


def test_the_headline_is_the_mean_of_each_column():
    found = {"validation/loss/ar": pytest.approx(1.8), "validation/loss/masked": pytest.approx(1.8)}
    assert headline(evaluation()) == found


def test_a_record_says_what_it_is_of(scores, facts):
    run = scores.run
    assert (run["name"], run["split"], run["step"], run["seed"]) == ("tiny", "validation", 20, 0)
    assert run["objectives"] == {"ar": 0.3, "prefix": 0.1, "block": 0.3, "masked": 0.3}
    assert facts.fingerprints["data"].startswith(run["data"]) and len(run["data"]) == 16
    assert set(scores.families) == {family.name for family in facts.task.tables.families}


def test_a_column_that_the_model_was_not_trained_for_says_so(facts):
    alone = dataclasses.replace(facts.experiment, objectives={"ar": autoregressive()})
    ar, masked = reporting.of(dataclasses.replace(facts, experiment=alone), evaluation()).columns
    assert (ar.note, masked.note) == ("", "not trained for: no objective of the run reads this way")
    assert [column.note for column in reporting.of(facts, evaluation()).columns] == ["", ""]


def test_a_mask_of_the_users_own_is_told_beside_what_a_prediction_sees(facts):
    masked = dataclasses.replace(facts.experiment, mask=window(3))
    columns = reporting.of(dataclasses.replace(facts, experiment=masked), evaluation()).columns
    assert [column.note for column in columns] == ["of that, what the model's own mask lets through"] * 2
