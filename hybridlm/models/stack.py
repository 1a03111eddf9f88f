"""The stack of layers: scanned or unrolled, with or without rematerialisation, always the same numbers.

Unrolling runs faster (XLA sees across layers), scanning compiles faster. An unrolled loop unstacks every leaf in one
operation, so that the gradient of the stack is one concatenation instead of L additions of mostly zeros.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

POLICIES = {
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "full": jax.checkpoint_policies.nothing_saveable,
}


def over_layers(
    step: Callable, last: Callable, stacked: Any, h_BTD: Float[Array, "B T D"], state: Any, *, loop: str, remat: str
) -> tuple[Float[Array, "B U D"], Any]:
    """Runs step(number, params, h, state) -> (h, state) over the leading axis of `stacked` and of `state`; an unrolled
    loop ends with `last` in its place."""
    if loop == "scan":
        # Inside a scan nothing outside can be merged with the recomputation, so guarding against that would only cost.
        return _scanned(_rematerialised(step, remat, prevent_cse=False), stacked, h_BTD, state)
    steps = [step] * (_layers(stacked) - 1) + [last]
    steps = [_rematerialised(functools.partial(one, number), remat) for number, one in enumerate(steps)]
    return _unrolled(steps, stacked, h_BTD, state)


def _rematerialised(step, remat, **options):
    return step if remat == "none" else jax.checkpoint(step, policy=POLICIES[remat], **options)


def _scanned(step, stacked, h_BTD, state):
    numbers_L = jnp.arange(_layers(stacked), dtype=jnp.int32)
    return lax.scan(lambda h_BTD, one: step(one[0], one[1], h_BTD, one[2]), h_BTD, (numbers_L, stacked, state))


def _unrolled(steps, stacked, h_BTD, state):
    layers, states = len(steps), []
    for step, params, one in zip(steps, _unstack(stacked, layers), _unstack(state, layers), strict=True):
        h_BTD, one = step(params, h_BTD, one)
        states.append(one)
    return h_BTD, jax.tree.map(lambda *parts: jnp.stack(parts), *states)


def _unstack(tree, layers):
    """One tree per layer; a tree without leaves, such as None, comes back as it is."""
    leaves, structure = jax.tree.flatten(tree)
    columns = [jnp.unstack(leaf) for leaf in leaves]
    return [structure.unflatten([column[number] for column in columns]) for number in range(layers)]


def _layers(stacked):
    return jax.tree.leaves(stacked)[0].shape[0]
