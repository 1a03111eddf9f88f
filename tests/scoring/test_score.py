import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.facts.kinds import ScoreKind
from hybridlm.facts.loss_inputs import Part
from hybridlm.scoring.score import Score, mean, sums_by_kind

LEFT = Part("ar", ScoreKind.EXACT, "tokens to the left")
SHARE = Part("masked", ScoreKind.SHARE, "some tokens on both sides")
UNIGRAM = Part("unigram", ScoreKind.EXACT, "nothing")
COUNTED_BT = jnp.array([[True, True], [True, False], [True, True]])


def _score(*parts):
    """Rows worth 1 + 2, 10 and 100 + 200 nats; the last row's part is the last of the parts, the others' the first."""
    return Score(
        value_BT=jnp.array([[1.0, 2.0], [10.0, jnp.nan], [100.0, 200.0]]),
        error_BT=jnp.array([[0.0, 0.0], [0.0, 9.0], [3.0, 4.0]]),
        part_B=jnp.array([0, 0, len(parts) - 1]),
        parts=parts,
    )


def test_a_mean_of_one_kind_has_the_standard_error_of_its_tokens():
    value, error = jax.jit(mean)(_score(LEFT), COUNTED_BT)
    assert float(value) == pytest.approx(313 / 5)
    assert float(error) == pytest.approx(np.hypot(3, 4) / 5)


def test_kinds_have_no_common_mean():
    with pytest.raises(ValueError, match="values that mean different things have no common mean") as error:
        mean(_score(LEFT, SHARE), COUNTED_BT)
    assert "'ar' is exact and sees tokens to the left; 'masked' is share and sees some tokens on both" in str(
        error.value
    )
    assert "take sums_by_kind and report every kind in a column of its own" in str(error.value)


def test_neither_have_predictions_that_saw_different_things():
    with pytest.raises(ValueError, match="'unigram' is exact and sees nothing"):
        mean(_score(LEFT, UNIGRAM), COUNTED_BT)


def test_sums_are_kept_by_kind():
    labels_MBT = jnp.array([[[0, 1], [1, 1], [0, 1]]])
    sums = jax.jit(sums_by_kind, static_argnames="categories")(
        _score(LEFT, SHARE), labels_MBT, COUNTED_BT, categories=2
    )
    assert list(sums) == [ScoreKind.EXACT, ScoreKind.SHARE]
    exact, share = sums.values()
    assert (exact.total_C.tolist(), exact.count_C.tolist(), exact.variance_C.tolist()) == ([1, 12], [1, 2], [0, 0])
    assert (share.total_C.tolist(), share.count_C.tolist(), share.variance_C.tolist()) == ([100, 200], [1, 1], [9, 16])


def test_every_row_knows_its_kind_as_a_code():
    assert _score(LEFT, SHARE).kind_B.tolist() == [ScoreKind.EXACT, ScoreKind.EXACT, ScoreKind.SHARE]
