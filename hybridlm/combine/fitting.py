"""Fits a few numbers to held-out text: quasi-Newton from one start, so the same text gives the same numbers.

A weak ridge keeps the minimum finite where one expert is always better. Zero must mean "as if not fitted".
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float
from scipy import optimize

RIDGE = 1e-4
"""Nats per token that a squared number costs."""


def minimised(loss: Callable[..., Float[Array, ""]], start: Any, *data: Any, iterations: int = 200) -> Any:
    """The tree of numbers that minimises loss(numbers, *data), a mean in nats per token, plus the ridge (L-BFGS)."""
    start_P, tree_of = ravel_pytree(start)

    @jax.jit
    def value_and_gradient(x_P, data):
        return jax.value_and_grad(lambda x_P: loss(tree_of(x_P), *data) + RIDGE * jnp.sum(x_P**2))(x_P)

    def on_host(x_P):
        value, gradient_P = value_and_gradient(x_P.astype(np.float32), data)
        return float(value), np.asarray(gradient_P, np.float64)

    found = optimize.minimize(
        on_host, np.asarray(start_P, np.float64), jac=True, method="L-BFGS-B", options={"maxiter": iterations}
    )
    return tree_of(jnp.asarray(found.x, jnp.float32))
