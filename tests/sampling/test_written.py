"""Rows fill from the left, each at its own pace, up to EOS or the end of the room."""

import jax.numpy as jnp

from hybridlm.sampling import written as writing

EOS = 9


def picture(written):
    rows = zip(written.tokens_BN.tolist(), written.count_B.tolist(), written.is_done_B.tolist())
    return ["".join(map(str, row[:count])) + ("." if done else "") for row, count, done in rows]


def test_rows_fill_at_their_own_pace():
    written = writing.nothing(4, 4)
    written = writing.add(written, jnp.array([[1, 2], [3, 4], [5, 9], [9, 6]]), jnp.array([2, 1, 2, 2]), EOS)
    assert picture(written) == ["12", "3", "59.", "9."]
    written = writing.add(written, jnp.array([[7, 8], [9, 5], [1, 1], [2, 2]]), jnp.array([2, 0, 2, 2]), EOS)
    assert picture(written) == ["1278.", "3", "59.", "9."]  # full; an EOS that does not count; nothing after an end
    written = writing.add(written, jnp.array([[1, 1, 1, 1, 1]] * 4), jnp.full(4, 5), EOS)
    assert picture(written) == ["1278.", "3111.", "59.", "9."]


def test_without_eos_every_id_is_text():
    written = writing.add(writing.nothing(1, 3), jnp.array([[0, 9]]), jnp.array([2]), writing.NO_EOS)
    assert picture(written) == ["09"]
