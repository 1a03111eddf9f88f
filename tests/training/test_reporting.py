"""From sums to a record: means, intervals by group, the error of sampling, and the tokens themselves."""

import math

import numpy as np
import pytest

from hybridlm.facts.kinds import ScoreKind
from hybridlm.facts.loss_inputs import Part
from hybridlm.models import size
from hybridlm.training import reporting
from hybridlm.training import task as tasks
from hybridlm.training.columns import Column
from hybridlm.training.evaluation import Evaluation, Totals

LABELS = (("all", "all"), ("digits", "none"), ("digits", "one"), ("digits", "two"))
TOKENS = np.array([[4, 3, 1, 0], [0, 0, 0, 0], [6, 6, 0, 0], [10, 10, 0, 0]])
NATS = np.array([[8.0, 6.0, 2.0, 0], [0, 0, 0, 0], [18.0, 18.0, 0, 0], [10.0, 10.0, 0, 0]])
DETAILS = np.array([[40.0, 38, 2, 0], [8, 7, 1, 0], [10, 9, 1, 0], [5, 5, 0, 0], [15, 15, 0, 0], [9, 9, 0, 0]])
GATE = np.array([np.nan, 19.0, 1.5, 0])
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
    totals = (
        Totals(nats_NC=NATS, tokens_NC=TOKENS, samples_KC=SAMPLES[:0], details_KC=DETAILS, gate_C=GATE, bytes=40),
        Totals(nats_NC=NATS, tokens_NC=TOKENS, samples_KC=SAMPLES, details_KC=DETAILS[:0], gate_C=GATE, bytes=40),
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


def test_columns_say_bits_per_byte_and_samples(scores):
    exact, share = scores.columns
    assert exact.bits_per_byte == pytest.approx(36 / math.log(2) / 40)
    assert (exact.kind, exact.samples, share.kind, share.samples) == ("exact", 1, "share", 2)


def test_the_headline_is_the_mean_of_each_column():
    found = {"validation/loss/ar": pytest.approx(1.8), "validation/loss/masked": pytest.approx(1.8)}
    assert reporting.headline(evaluation()) == found


def test_a_record_says_what_it_is_of(scores, facts):
    run = scores.run
    assert (run["name"], run["split"], run["step"], run["seed"]) == ("tiny", "validation", 20, 0)
    assert run["objectives"] == {"ar": 0.3, "prefix": 0.1, "block": 0.3, "masked": 0.3}
    assert facts.fingerprints["data"].startswith(run["data"]) and len(run["data"]) == 16
    assert set(scores.families) == {family.name for family in facts.task.tables.families}
