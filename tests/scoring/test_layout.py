import re

import numpy as np
import pytest

from hybridlm.scoring.layout import DEPTH, lay_out


def test_a_picture_of_a_layout():
    """20 ids, of which 5, 7 and 9 form a class: the others fill one group and begin a second, the three a third."""
    classes_VF = np.isin(np.arange(20), [5, 7, 9]).astype(int)[:, None]
    layout = lay_out(20, classes_VF)
    others = [n for n in range(20) if n not in (5, 7, 9)]
    groups = [[int(n) for n in layout.ids_SRJ[0, :, j] if n < 20] for j in range(3)]
    assert groups == [others[:DEPTH], others[DEPTH:], [5, 7, 9]]
    assert layout.classes_SFJ.tolist() == [[[0, 0, 1]]]
    assert layout.count == 2


@pytest.mark.parametrize("shards", [1, 4])
def test_every_id_is_visited_once_by_its_own_shard_among_its_like(shards):
    random = np.random.default_rng(0)
    classes_VF = np.stack([random.integers(0, 3, 400), 3 + random.integers(0, 2, 400)], 1)
    layout = lay_out(400, classes_VF, shards=shards)
    for s in range(shards):
        ids_RJ = layout.ids_SRJ[s]
        r, j = np.nonzero(ids_RJ < 400)
        assert sorted(ids_RJ[r, j]) == list(range(400 * s // shards, 400 * (s + 1) // shards))
        np.testing.assert_array_equal(classes_VF[ids_RJ[r, j]], layout.classes_SFJ[s].T[j])
        assert (np.diff(ids_RJ, axis=0) >= 0).all(), "the lowest of equal ids is found first"


def test_without_classes_nothing_but_the_last_group_is_not_full():
    layout = lay_out(50)
    assert (layout.ids_SRJ < 50).sum(1).tolist() == [[16, 16, 16, 2]]
    assert layout.count == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((10, np.zeros((8, 1), int)), "the table of classes has 8 rows, but the head has 10; give one row per row of"),
        ((10, None, 4), "a vocabulary of 10 rows does not divide into shards=4 equal runs; pad the head's kernel"),
    ],
)
def test_layouts_that_do_not_fit_are_refused(arguments, text):
    vocabulary, classes_VF, shards = (*arguments, 1)[:3]
    with pytest.raises(ValueError, match=re.escape(text)):
        lay_out(vocabulary, classes_VF, shards=shards)
