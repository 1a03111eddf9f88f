"""Lists against pictures of the blocks they come from."""

import jax.numpy as jnp
import numpy as np

from hybridlm import masks
from hybridlm.attention.block_lists import block_lists, bounded, fill, transposed
from hybridlm.facts import tokens

PICTURE = [".fp.", "p...", "....", "fpff"]


def classes(picture):
    return jnp.array([[[".pf".index(block) for block in row] for row in picture]], jnp.int8)


def read(lists):
    """{row: (full blocks, partial blocks)}, the row with the most work first."""
    found = {}
    for order, full, total, column, _ in zip(*(np.asarray(array)[0] for array in lists)):
        found[int(order)] = (column[:full].tolist(), column[full:total].tolist())
    return found


def test_full_blocks_come_first_and_long_rows_too():
    lists = read(block_lists(classes(PICTURE), 1, 1))
    assert lists == {3: ([0, 2, 3], [1]), 0: ([1], [2]), 1: ([], [0]), 2: ([], [])}
    assert list(lists) == [3, 0, 1, 2]


def test_the_transposed_lists_hold_the_queries_of_each_block_of_keys():
    assert read(block_lists(transposed(classes(PICTURE)), 1, 1)) == {
        0: ([3], [1]),
        1: ([0], [3]),
        2: ([3], [0]),
        3: ([3], []),
    }


def test_a_block_is_the_sum_of_its_sub_blocks():
    lists = block_lists(classes(PICTURE), 2, 2)  # .f p.   fp ff
    assert read(lists) == {0: ([], [0, 1]), 1: ([], [0, 1])}  # p. ..   .. ..
    seen = {int(row): int(seen) for row, seen in zip(lists.order[0], lists.seen[0])}
    assert seen == {0: 0b0001_0110, 1: 0b1100_1100}


def test_only_blocks_to_mask_say_what_is_seen_of_them():
    lists = block_lists(classes(["fff.", "ffff"]), 2, 2)
    assert read(lists) == {0: ([0], [1])}
    assert lists.seen[0, 0] == 0b1101


def test_many_blocks_to_mask_share_what_is_seen_of_the_last():
    first, second, rest = ["p.", ".."], [".p", ".."], [["..", "p."], ["..", ".."], ["p.", "p."]]
    blocks = [first] * 6 + [second] + rest
    lists = block_lists(classes(["".join(block[row] for block in blocks) for row in range(2)]), 2, 2)
    assert np.uint32(lists.seen[0, 0]) == 0b0101_0010_0001_0001_0001_0001_0001_0001
    assert int(lists.total[0, 0]) == 9


def test_what_fills_a_row_up_is_seen_by_nobody():
    facts = tokens.one_document(5)
    mask, filled = bounded(masks.bidirectional(), facts, 4), fill(facts, 2, 4)
    sees = np.asarray(masks.materialize(mask, filled))
    assert sees.shape == (2, 8, 8)
    assert sees[..., :5].all() and not sees[..., 5:].any()
    assert bounded(masks.causal(), tokens.one_document(8), 4).canonical == masks.causal().canonical
