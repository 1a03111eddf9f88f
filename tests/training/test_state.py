"""The state of a run: what a checkpoint holds of it, and that its memory may be given away."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hybridlm.training import state


def fresh():
    return state.start({"w": jnp.ones((3, 2))}, optax.adamw(1e-3), parts=2, labels=5)


def test_a_checkpoint_holds_all_of_it_by_name():
    found = state.to_dict(fresh())
    assert set(found) == {"step", "params", "opt_state", "bad_in_row", "bad", "sums", "grad_norm", "loss"}
    jax.tree.map(np.testing.assert_array_equal, state.from_dict(found), fresh())


def test_no_memory_is_held_twice():
    """A donated array that stands in two places would be given away twice."""
    places = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(jax.jit(fresh)())]
    assert len(set(places)) == len(places)
