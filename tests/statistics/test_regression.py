import numpy as np
import pytest
from scipy import stats

from hybridlm.config.errors import ConfigError
from hybridlm.statistics.design import Formula
from hybridlm.statistics.linearised import standard_error
from hybridlm.statistics.regression import adjusted, fit
from hybridlm.statistics.sums import cluster_sums

TAGS = ("content", "function", "other")
FORMULA = Formula(response="gap", cluster="group", factors={"tag": TAGS}, numbers=("difficulty", "position"))


def _tokens(seed=0, tokens=600, clusters=12):
    random = np.random.default_rng(seed)
    group_T = random.integers(clusters, size=tokens)
    tag_T = random.choice(3, p=[0.5, 0.3, 0.2], size=tokens)
    difficulty_T = random.exponential(2, size=tokens) + (tag_T == 0)
    gap_T = 0.1 * difficulty_T + 0.2 * (tag_T == 1) + random.normal(size=clusters)[group_T] + random.normal(size=tokens)
    return {"group": group_T, "tag": tag_T, "difficulty": difficulty_T, "position": random.random(tokens), "gap": gap_T}


def _by_hand(tokens):
    """Least squares and CR1 as the textbook has them, "content" being the reference."""
    x_TP = np.stack(
        [np.ones(len(tokens["gap"])), tokens["tag"] == 1, tokens["tag"] == 2, tokens["difficulty"], tokens["position"]],
        1,
    )
    b_P = np.linalg.lstsq(x_TP, tokens["gap"], rcond=None)[0]
    e_T, meat = tokens["gap"] - x_TP @ b_P, 0
    groups = np.unique(tokens["group"])
    for group in groups:
        score_P = x_TP[tokens["group"] == group].T @ e_T[tokens["group"] == group]
        meat = meat + np.outer(score_P, score_P)
    bread, (n, p), g = np.linalg.inv(x_TP.T @ x_TP), x_TP.shape, len(groups)
    return b_P, g / (g - 1) * (n - 1) / (n - p) * bread @ meat @ bread


def test_coefficients_and_errors_are_the_textbook_s():
    tokens = _tokens()
    coefficient_P, covariance_PP = _by_hand(tokens)
    found = fit(lambda: [tokens], FORMULA, clusters=600)
    assert found.regressors == (
        ("intercept", ""), ("tag", "function"), ("tag", "other"), ("difficulty", ""), ("position", "")
    )  # fmt: skip
    assert found.references == {"tag": "content"}
    np.testing.assert_allclose(found.coefficient_P, coefficient_P)
    np.testing.assert_allclose(found.covariance_PP, covariance_PP)
    error_P = np.sqrt(covariance_PP.diagonal())
    np.testing.assert_allclose(found.high_P - coefficient_P, stats.t.ppf(0.975, 11) * error_P)
    np.testing.assert_allclose(found.p_P, 2 * stats.t.sf(abs(coefficient_P) / error_P, 11))
    assert (found.clusters, found.tokens) == (12, 600)
    assert found.note == "12 clusters: interval may be too narrow"


def test_r_squared_is_the_explained_share_of_the_variance():
    tokens = _tokens()
    x_TP = np.stack([np.ones(600), tokens["tag"] == 1, tokens["tag"] == 2, tokens["difficulty"], tokens["position"]], 1)
    fitted_T = x_TP @ np.linalg.lstsq(x_TP, tokens["gap"], rcond=None)[0]
    assert fit(lambda: [tokens], FORMULA, clusters=600).r_squared == pytest.approx(fitted_T.var() / tokens["gap"].var())


def test_tokens_may_come_in_pieces_and_clusters_across_them():
    tokens = _tokens()
    whole = fit(lambda: [tokens], FORMULA, clusters=600)
    pieces = fit(
        lambda: ({name: t[i : i + 70] for name, t in tokens.items()} for i in range(0, 600, 70)), FORMULA, clusters=600
    )
    np.testing.assert_allclose(pieces.coefficient_P, whole.coefficient_P)
    np.testing.assert_allclose(pieces.error_P, whole.error_P)


def test_errors_of_tokens_taken_as_independent_would_be_too_small():
    tokens = _tokens()
    clustered = fit(lambda: [tokens], FORMULA, clusters=600)
    independent = fit(lambda: [tokens | {"group": np.arange(600)}], FORMULA, clusters=600)
    assert clustered.error_P[0] > 1.5 * independent.error_P[0]


def test_an_intercept_alone_is_the_mean_with_its_linearised_error():
    tokens = _tokens()
    sizes = {"clusters": 12, "categories": 1}
    total_NC, count_NC = (
        cluster_sums(v, tokens["group"], np.zeros((1, 600), int), **sizes) for v in (tokens["gap"], np.ones(600))
    )
    found = fit(lambda: [tokens], Formula(response="gap", cluster="group", factors={}), clusters=12)
    assert found.coefficient_P == pytest.approx(tokens["gap"].mean())
    assert found.error_P == pytest.approx(standard_error(total_NC, count_NC))


def test_adjusted_gaps_undo_what_difficulty_made():
    """Content words only seem to gain more: they are harder, and the gap is a tenth of the difficulty for all."""
    random = np.random.default_rng(0)
    tag_T, group_T = random.integers(2, size=4000), random.integers(50, size=4000)
    difficulty_T = random.exponential(1, size=4000) + 2 * (tag_T == 0)
    gap_T = 0.1 * difficulty_T + 0.05 * random.normal(size=4000)
    tokens = {"group": group_T, "tag": tag_T, "difficulty": difficulty_T, "gap": gap_T}
    formula = Formula(response="gap", cluster="group", factors={"tag": TAGS}, numbers=("difficulty",))
    found = fit(lambda: [tokens], formula, clusters=600)
    labels, gaps = adjusted(found, "tag")
    assert set(labels) == {"content", "function"} and found.unseen == (("tag", "other"),)
    assert gap_T[tag_T == 0].mean() - gap_T[tag_T == 1].mean() == pytest.approx(0.2, abs=0.01)
    assert gaps.estimate_C[0] == pytest.approx(gaps.estimate_C[1], abs=0.01)
    assert np.all((gaps.low_C < 0.1 * difficulty_T.mean()) & (0.1 * difficulty_T.mean() < gaps.high_C))


def test_adjusted_gaps_are_those_of_average_tokens():
    tokens = _tokens()
    found = fit(lambda: [tokens], FORMULA, clusters=600)
    labels, gaps = adjusted(found, "tag")
    mean_P = [1, tokens["difficulty"].mean(), tokens["position"].mean()]
    coefficient_P, covariance_PP = _by_hand(tokens)
    for label, tag_P in zip(("content", "function", "other"), ([0, 0], [1, 0], [0, 1])):
        contrast_P, c = np.array([mean_P[0], *tag_P, *mean_P[1:]]), labels.index(label)
        assert gaps.estimate_C[c] == pytest.approx(contrast_P @ coefficient_P)
        reach = stats.t.ppf(0.975, 11) * np.sqrt(contrast_P @ covariance_PP @ contrast_P)
        assert gaps.high_C[c] - gaps.estimate_C[c] == pytest.approx(reach)


def test_regressors_that_others_determine_are_named():
    tokens = _tokens()
    tokens |= {"twice": 2 * tokens["difficulty"] + 1, "kind": (tokens["tag"] == 1).astype(int)}
    factors = {"tag": TAGS, "kind": ("other", "function")}
    formula = Formula(response="gap", cluster="group", factors=factors, numbers=("difficulty", "twice"))
    found = fit(lambda: [tokens], formula, clusters=600)
    assert found.aliased == (("kind", "function"), ("twice", ""))
    with pytest.raises(ConfigError, match=r"labels \['function'\] of 'kind' cannot be told from the other regressors"):
        adjusted(found, "kind")
    with pytest.raises(ConfigError, match="'difficulty' is no factor of this regression; its factors are tag, kind"):
        adjusted(found, "difficulty")


def test_one_cluster_has_coefficients_and_no_errors():
    tokens = _tokens()
    found = fit(lambda: [tokens | {"group": np.zeros(600, int)}], FORMULA, clusters=600)
    assert np.isfinite(found.coefficient_P).all()
    assert np.isnan([found.error_P, found.low_P, found.high_P, found.p_P]).all()
    assert found.note == "one cluster: no interval"


def test_too_few_tokens_are_refused():
    five = {name: column[:5] for name, column in (_tokens() | {"tag": np.arange(600) % 3}).items()}
    with pytest.raises(ConfigError, match="a regression on 5 regressors needs more tokens than the 5 it has"):
        fit(lambda: [five], FORMULA, clusters=12)


def test_numbers_far_from_one_lose_no_digits():
    """Squares of difficulty and positions up to thousands sit in one normal equation."""
    tokens = _tokens()
    large = fit(lambda: [tokens | {"position": 8192 * tokens["position"]}], FORMULA, clusters=600)
    small = fit(lambda: [tokens], FORMULA, clusters=600)
    np.testing.assert_allclose(large.coefficient_P[-1] * 8192, small.coefficient_P[-1], rtol=1e-9)
    assert not large.aliased
