"""The pictures of a report show who sees whom on the text itself."""

import dataclasses

import numpy as np

from hybridlm import masks
from hybridlm.evaluation import pictures


def same_document(row):
    segment = row["segment_ids"][0]
    return (segment[:, None] == segment) & (segment > 0)[:, None]


def test_each_objective_shows_its_own_rule(experiment, session):
    row = session.held_out.read([0])
    found = pictures.masks(experiment, session.task, row)
    together = same_document(row)
    causal = np.tri(len(together), dtype=bool)
    np.testing.assert_array_equal(found["ar"], together & causal)
    np.testing.assert_array_equal(found["masked"], together)
    assert (found["prefix"] >= found["ar"]).all() and (found["prefix"] <= found["masked"]).all()

    block = row["positions"][0] // 8
    clean, noisy = np.split(np.arange(2 * len(together)), 2)
    sees = found["block: clean and noisy copy"]
    np.testing.assert_array_equal(sees[np.ix_(clean, clean)], together & (block[:, None] >= block))
    np.testing.assert_array_equal(sees[np.ix_(noisy, clean)], together & (block[:, None] > block))
    np.testing.assert_array_equal(sees[np.ix_(noisy, noisy)], together & (block[:, None] == block))
    assert not sees[np.ix_(clean, noisy)].any()


def test_a_mask_of_ones_own_is_joined(experiment, session):
    row = session.held_out.read([0])
    own = dataclasses.replace(experiment, mask=masks.window(1))
    found = pictures.masks(own, session.task, row)
    near = np.abs(np.subtract.outer(range(32), range(32))) <= 1
    np.testing.assert_array_equal(found["ar"], same_document(row) & np.tri(32, dtype=bool) & near)


def test_long_rows_are_cut(experiment, session):
    row = session.held_out.read([0])
    long = {name: np.tile(column, 3) for name, column in row.items()}
    found = pictures.masks(experiment, session.task, long)
    assert len(found["ar"]) == pictures.TOKENS == len(found["block: clean and noisy copy"]) / 2


def test_the_end_of_a_prefix_lies_in_the_picture(experiment, session):
    """It is drawn within what is shown, however long the row: some query sees a key to its right, and some do not."""
    count = 4 * pictures.TOKENS
    row = {"tokens": np.full((1, count), 5, np.int32), "segment_ids": np.ones((1, count), np.int32)}
    row["positions"] = np.arange(count, dtype=np.int32)[None]
    ahead = np.triu(np.ones((pictures.TOKENS, pictures.TOKENS), bool), 1)
    alone = dataclasses.replace(experiment, objectives={"prefix": experiment.objectives["prefix"]})
    seen = pictures.masks(alone, session.task, row)["prefix"][ahead]
    assert seen.any() and not seen.all()
