import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.statistics.design import Formula, normal_equations, scores

FORMULA = Formula(response="gap", cluster="group", factors={"tag": ("a", "b"), "seen": ("no", "yes")}, numbers=("x",))


def _tokens(tokens=50):
    random = np.random.default_rng(0)
    columns = {name: random.integers(2, size=tokens).astype(np.int8) for name in ("tag", "seen")}
    return columns | {"x": random.normal(size=tokens), "gap": random.normal(size=tokens), "group": 3 * columns["tag"]}


def _dense(tokens):
    tag_T, seen_T = tokens["tag"], tokens["seen"]
    return np.stack([np.ones(len(tag_T)), tag_T == 0, tag_T == 1, seen_T == 0, seen_T == 1, tokens["x"]], 1)


def test_regressors_are_named_in_order():
    assert FORMULA.regressors == (
        ("intercept", ""), ("tag", "a"), ("tag", "b"), ("seen", "no"), ("seen", "yes"), ("x", "")
    )  # fmt: skip


def test_sums_are_those_of_the_dense_rows():
    tokens = _tokens()
    x_TP = _dense(tokens)
    found = normal_equations([tokens], FORMULA)
    np.testing.assert_allclose(found.gram_PP, x_TP.T @ x_TP, atol=1e-12)
    np.testing.assert_allclose(found.moment_P, x_TP.T @ tokens["gap"], atol=1e-12)
    assert found.square == pytest.approx((tokens["gap"] ** 2).sum())


def test_scores_are_those_of_the_dense_rows_cluster_by_cluster():
    """Clusters are numbered 0 to 3, and only 0 and 3 have tokens."""
    tokens, coefficient_P = _tokens(), np.array([0.1, 0, -0.2, 0, 0.3, 0.5])
    x_TP = _dense(tokens)
    residual_T = tokens["gap"] - x_TP @ coefficient_P
    found_NP, square = scores([tokens], FORMULA, coefficient_P, clusters=4)
    expected_NP = [x_TP[tokens["group"] == n].T @ residual_T[tokens["group"] == n] for n in (0, 3)]
    np.testing.assert_allclose(found_NP, expected_NP, atol=1e-12)
    assert square == pytest.approx((residual_T**2).sum())


@pytest.mark.parametrize("name", ["gap", "x"])
def test_values_that_are_not_finite_are_refused_by_name(name):
    tokens = _tokens()
    tokens[name][5] = np.nan
    with pytest.raises(ConfigError, match=rf"columns \['{name}'\] hold values that are not finite"):
        normal_equations([tokens], FORMULA)


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_outside_the_factor_are_refused(label):
    with pytest.raises(ConfigError, match="factor 'tag' holds a label outside 0 to 1; give every token one"):
        normal_equations([_tokens() | {"tag": np.full(50, label)}], FORMULA)
