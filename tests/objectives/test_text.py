import jax.numpy as jnp
import numpy as np

from hybridlm.objectives.text import Ids, from_batch


def test_integer_columns_become_facts_and_others_stay_behind(batch):
    batch = {name: jnp.asarray(column) for name, column in batch.items()}
    text = from_batch(batch | {"difficulty": jnp.zeros((4, 12)), "depth": jnp.ones((4, 12), jnp.int32)})
    assert set(text.columns) == {"place", "depth"}


def test_targets_and_starts_of_documents(text):
    assert np.asarray(text.is_target_BT)[0].astype(int).tolist() == [0, 1, 1, 1, 1, 0, 1, 0, 1, 1, 1, 0]
    assert np.asarray(text.start_BT)[0, :11].tolist() == [0] * 5 + [5] * 2 + [7] * 4
    assert not np.asarray(text.is_target_BT)[2].any()


def test_rows_are_taken_from_all_columns(text):
    part = text.rows(1, 3)
    np.testing.assert_array_equal(part.tokens_BT, text.tokens_BT[1:3])
    np.testing.assert_array_equal(part.columns["place"], text.columns["place"][1:3])


def test_random_replacements_are_ids_that_may_be_predicted():
    assert Ids(mask=1, never=(0, 1, 4), size=6).ordinary == (2, 3, 5)
