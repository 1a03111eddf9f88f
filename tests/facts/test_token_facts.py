import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.facts.names import LIMIT, STANDARD
from hybridlm.facts.tokens import as_dict, check_range, concatenate, from_columns, names, one_document

SEGMENT = [[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 1, 1]]
POSITION = [[0, 1, 2, 0, 1, 0], [0, 1, 2, 3, 4, 5]]


def lists(facts):
    return {name: np.asarray(column).tolist() for name, column in as_dict(facts).items()}


def test_facts_of_packed_rows_are_read_off_their_columns():
    index = [[0, 1, 2, 3, 4, 5]] * 2
    assert lists(from_columns(SEGMENT, POSITION)) == {
        "position": POSITION,
        "index": index,
        "segment": SEGMENT,
        "block": index,
        "stream": [[0] * 6] * 2,
        "valid": [[1, 1, 1, 1, 1, 0], [1] * 6],
    }


def test_further_columns_are_facts_under_their_own_names():
    facts = from_columns(SEGMENT, POSITION, extra={"depth": np.full((2, 6), 3)})
    assert names(facts) == (*STANDARD, "depth")
    assert facts.depth.dtype == jnp.int32
    doubled = jax.tree.map(lambda column: 2 * column, facts)
    assert np.all(doubled.depth == 6)


@pytest.mark.parametrize("name", [*STANDARD, "extra", "in_order", "shape"])
def test_a_column_cannot_take_the_name_of_a_fact(name):
    with pytest.raises(
        ValueError, match=f"^column '{name}' cannot be a fact, because every token already has '{name}'; "
    ):
        from_columns(SEGMENT, POSITION, extra={name: np.zeros((2, 6), int)})


def test_an_unknown_fact_is_refused_with_those_there_are():
    facts = from_columns(SEGMENT, POSITION, extra={"depth": np.zeros((2, 6), int)})
    with pytest.raises(AttributeError) as refusal:
        facts.dept  # noqa: B018
    assert str(refusal.value) == (
        "no fact 'dept'; these tokens carry position, index, segment, block, stream, valid, depth"
    )


def test_the_promise_of_order_is_kept_by_rows_and_dropped_along_them():
    facts = from_columns(SEGMENT, POSITION)
    assert facts.in_order
    rows, along = (concatenate([facts, facts], axis=axis) for axis in (0, 1))
    assert (rows.in_order, rows.shape) == (True, (4, 6))
    assert (along.in_order, along.shape) == (False, (2, 12))
    assert not from_columns(SEGMENT, POSITION, index_BT=np.zeros((2, 6), int)).in_order
    np.testing.assert_array_equal(along.index[0], [0, 1, 2, 3, 4, 5] * 2)


def test_one_document_continues_where_a_cache_ends():
    facts = one_document(3, offset=5)
    assert lists(facts) == lists(from_columns([[1, 1, 1]], [[5, 6, 7]], index_BT=np.array([[5, 6, 7]])))


@pytest.mark.parametrize("value", [LIMIT, -LIMIT])
def test_a_fact_out_of_range_is_refused_by_name(value):
    check_range(from_columns([[1]], [[abs(value) - 1]]))
    with pytest.raises(ValueError) as refusal:
        check_range(from_columns([[1, 1]], [[0, 1]], extra={"depth": np.array([[0, value]])}))
    low, high = sorted((0, value))
    assert str(refusal.value) == (
        f"fact 'depth' must stay strictly within ±{LIMIT} (2**29) so that masks cannot overflow int32, but it "
        f"spans {low} to {high}; store a smaller number, for example an id counted from 0."
    )


@pytest.mark.parametrize("name", ["segment", "position", "index", "block", "stream", "level"])
def test_a_column_of_fractions_is_refused(name):
    columns = {"segment": SEGMENT, "position": POSITION, name: np.full((2, 6), 0.5)}
    extra = {"level": columns.pop("level")} if name == "level" else None
    with pytest.raises(ValueError, match=f"^column '{name}' holds float.*, but facts are whole numbers.*pass integers"):
        from_columns(**{f"{key}_BT": column for key, column in columns.items()}, extra=extra)
