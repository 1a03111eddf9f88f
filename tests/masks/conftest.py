"""Rows of tokens to look at masks on."""

import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.facts import tokens


@pytest.fixture
def row():
    """Builds a packed row [1, streams * T]: `row([4, 1], T=6, block=2)` is two documents and a padding token.

    Blocks of `block` tokens begin afresh at each document and their ids run on; columns given by name hold a value per
    document (and 0 for padding), or a value per token.
    """

    def build(lengths, *, T, block=1, streams=1, **columns):
        segment = np.repeat([*range(1, len(lengths) + 1), 0], [*lengths, T - sum(lengths)])
        position = np.concatenate([np.arange(length) for length in (*lengths, T - sum(lengths))])
        starts_block = (position % block == 0) & ((segment > 0) | (position == 0))

        def copies(column):
            return jnp.asarray(np.tile(column, streams)[None], jnp.int32)

        per_token = {
            name: np.asarray([*values, 0])[segment - 1] if len(values) == len(lengths) else np.asarray(values)
            for name, values in columns.items()
        }
        block_T = per_token.pop("block_ids", np.cumsum(starts_block) - 1)
        return tokens.from_columns(
            copies(segment),
            copies(position),
            index_BT=None if streams == 1 else copies(np.arange(T)),
            block_BT=copies(block_T),
            stream_BT=jnp.repeat(jnp.arange(streams), T)[None],
            extra={name: copies(column) for name, column in per_token.items()},
        )

    return build
