"""A claim is judged by an interval over groups and by placebos, and can come out either way."""

import dataclasses
import types

import numpy as np
import pytest

from experiments.hybrids import claims, judged, judging
from experiments.hybrids.claims import AR, CLAIMS, EARLIER, NOTHING, SEEDS, SHARED, Claim
from experiments.hybrids.judging import Judge, verdict

LABELS = ("most_frequent_quarter", "second_quarter", "third_quarter", "rarest_quarter")
COMMON_THEN_RARE = np.tile([0, 3], 100)
CLAIM = Claim("the hybrid is worse at rare tokens", 2, "hybrid", AR, claims.RARE, claims.COMMON, sign=-1)


def tokens():
    """Twenty documents in groups of their own, each of ten tokens, common and rare in turn."""
    family = types.SimpleNamespace(labels=dict.fromkeys(LABELS, ""), is_ordered=True)
    return types.SimpleNamespace(
        groups=tuple(map(str, range(20))),
        group_D=np.arange(20),
        document_T=np.repeat(np.arange(20), 10),
        labels={"label/frequency_mass": COMMON_THEN_RARE},
        header=types.SimpleNamespace(families={"frequency_mass": family}),
    )


def judge(*, hybrid, earlier=0.0, seed=0.01):
    """Readings that cost so much more than autoregression on rare tokens."""
    noise = np.random.default_rng(0).normal(0, 0.01, 200)
    ar = np.full(200, 3.0)
    extra = {"hybrid": hybrid, EARLIER: earlier, **dict.fromkeys(SEEDS[AR], seed), NOTHING: -ar}
    return Judge(
        tokens(),
        {AR: ar, **{name: ar + noise + np.where(COMMON_THEN_RARE == 3, x, 0) for name, x in extra.items()}},
        0.02,
    )


def test_a_loss_at_rare_tokens_alone_is_found_with_its_size():
    found = judge(hybrid=0.5).judge(CLAIM)
    assert found.value == pytest.approx(-0.5, abs=0.01)
    assert found.low < found.value < found.high < -0.45
    assert (found.verdict, found.tokens, found.groups) == ("confirmed", 100, 20)


def test_what_less_training_does_as_well_confirms_nothing():
    assert judge(hybrid=0.5, earlier=0.6).judge(CLAIM).verdict == "undecided"
    assert judge(hybrid=0.5, seed=0.6).judge(CLAIM).verdict == "undecided"


def test_no_effect_and_an_effect_the_other_way_contradict():
    assert judge(hybrid=0.0).judge(CLAIM).verdict == "contradicted"
    assert judge(hybrid=-0.5).judge(CLAIM).verdict == "contradicted"


def test_a_change_of_the_effect_is_judged_by_the_difference_of_both_pairs():
    changed = dataclasses.replace(CLAIM, base=("hybrid", AR), sign=1)
    assert judge(hybrid=0.5).judge(changed).value == pytest.approx(0)
    assert judge(hybrid=0.5).judge(changed).placebos == {}


@pytest.mark.parametrize(
    ("low", "high", "placebos", "says"),
    [
        (0.1, 0.2, (), "confirmed"),
        (0.01, 0.2, (), "undecided"),
        (0.1, 0.2, (0.15,), "undecided"),
        (0.1, 0.2, (-0.15,), "confirmed"),
        (-0.1, 0.01, (), "contradicted"),
        (-0.2, -0.1, (), "contradicted"),
    ],
)
def test_the_rule_is_the_same_seen_from_the_other_side(low, high, placebos, says):
    assert verdict(1, low, high, placebos, 0.02) == says
    assert verdict(-1, -high, -low, [-placebo for placebo in placebos], 0.02) == says


def test_the_table_has_a_line_for_every_claim():
    lines = judging.table({CLAIM: judge(hybrid=0.5).judge(CLAIM)}).splitlines()
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
    assert "the hybrid is worse at rare tokens" in lines[2]
    assert lines[2].endswith("**confirmed** |")


def test_claims_are_said_once_and_their_placebos_are_read():
    assert len({claim.says for claim in CLAIMS}) == len(CLAIMS)
    assert {EARLIER, *SEEDS[SHARED], AR} <= set(judged.wanted(CLAIMS))


class Spread(types.SimpleNamespace):
    """Tokens of twenty groups, in each of which one shared network loses another amount."""

    def __len__(self):
        return 200


def test_two_texts_are_drawn_apart(tmp_path, monkeypatch):
    """Draws in common would cancel where two texts score alike, and leave an interval of no width."""

    def read(path, **_):
        lost_T = np.repeat(np.arange(20.0), 10) * ("shared" in path.parts)
        columns = dict.fromkeys(("score/ar", "score/chain"), lost_T)
        return Spread(**vars(tokens()), path=path, byte_start_T=[], columns=columns)

    monkeypatch.setattr(judged, "CLAIMS", ())
    monkeypatch.setattr(judged.token_reader, "read", read)
    for file in judged.files_of(tmp_path, judged.wanted([judged.LEFT_OUT])):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    line = judged.claims_table(tmp_path, 0.02).splitlines()[-1]
    assert "| +0.000 (-" in line and line.endswith("| 200 (20) | **undecided** |")


def scored(**nats):
    columns = {f"score/{name}": np.array(one) for name, one in nats.items()}
    return types.SimpleNamespace(columns=columns | {"gate/switch": np.array([0.25])})


@pytest.mark.parametrize(
    ("reading", "nats"),
    [
        ("shared@ar", 2.0),
        ("shared@ar+chain", -np.log((np.exp(-2.0) + np.exp(-3.0)) / 2)),
        ("share@switch", -0.25),
    ],
)
def test_a_reading_is_a_score_an_even_mixture_of_two_or_a_share(reading, nats):
    np.testing.assert_allclose(judged.score(scored(ar=[2.0], chain=[3.0]), reading), [nats])


def test_claims_whose_runs_are_not_scored_are_named_and_not_judged(tmp_path, monkeypatch):
    there = {judged.files_of(tmp_path, [reading])[0] for reading in (AR, SHARED, claims.AVERAGE)}
    for file in there:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.setattr(judged, "judge_of", lambda *_: types.SimpleNamespace(judge=lambda claim: FOUND))
    found, missing = judged.claims_table(tmp_path, 0.02).split("Not judged")
    assert "averaging with diffusion helps rare tokens against the AR mode" in found
    assert "- a learned gate helps rare tokens against plain averaging" in missing
    assert f"- {judged.LEFT_OUT.says}" in missing


FOUND = judging.Found(0.1, 0.0, 0.2, 100, 20, {}, "undecided")
