"""How much work a step is, and how much a device could do: what model FLOP utilisation (MFU) is made of."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from hybridlm.config.model import ModelConfig
from hybridlm.facts.loss_inputs import LossInputs
from hybridlm.masks import materialize
from hybridlm.models import size

PEAK = {
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5p": 459e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
}
"""Dense bfloat16 FLOP/s of a chip, from the makers' data sheets, by part of its name."""


def peak_flops() -> float | None:
    """What all devices of the run could do at best, or None for a device that is not in the table."""
    kind = jax.devices()[0].device_kind
    found = max((name for name in PEAK if name in kind), key=len, default=None)
    return PEAK[found] * jax.device_count() if found else None


def step_flops(model: ModelConfig, vocab_size: int, inputs: LossInputs, visible: float) -> float:
    """Operations of a step: layers for every position, attention by the mask's density, the head for targets alone."""
    positions = inputs.inputs_BT.size
    targets = positions if inputs.dense else int((inputs.train_weight_BT != 0).sum())
    head = 6 * model.padded_vocab(vocab_size) * model.width
    return positions * size.flops_per_token(model, vocab_size, visible) - (positions - targets) * head


def mean_visible(inputs: LossInputs) -> float:
    """Mean number of keys a query sees."""
    return float(visible_keys(inputs).mean())


def visible_keys(inputs: LossInputs) -> Int[np.ndarray, "B T"]:
    """How many keys each query sees, counted row by row so that no batch of dense masks exists."""
    rows = jnp.arange(inputs.inputs_BT.shape[0])

    def count(facts):
        def one(number):
            row = jax.tree.map(lambda column: column[number][None], facts)
            return materialize(inputs.mask, row)[0].sum(axis=1, dtype=jnp.int32)

        return jax.lax.map(one, rows)

    return np.asarray(jax.jit(count)(inputs.facts))
