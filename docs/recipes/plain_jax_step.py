"""Loss by kind of token inside a training step of one's own: plain JAX, no config, no Linen, no workdir."""

import jax
import jax.numpy as jnp
import numpy as np

from hybridlm.categories.tables import build, flat_labels
from hybridlm.facts.head import Head
from hybridlm.scoring.nll import weighted_nll
from hybridlm.scoring.sums import category_sums

TOKENS = [b"<pad>", b" the", b" dog", b"(", b")", b"41", b"\n", b" x"]
tables = build(TOKENS, np.array([0, 9, 2, 3, 3, 1, 4, 2]), dict.fromkeys(("pad", "bos", "eos", "mask"), 0), columns=())
params = {"embedding": jax.random.normal(jax.random.key(0), (len(TOKENS), 16)), "out": jnp.eye(16)}


@jax.jit
def step(params, tables, ids_BT):
    """New parameters, loss, and its sums by label."""

    def loss_of(params):
        h_BTD = jnp.tanh(params["embedding"][ids_BT[:, :-1]] @ params["out"])
        weight_BT = jnp.full(targets_BT.shape, 1 / targets_BT.size)
        return weighted_nll(h_BTD, Head(params["embedding"]), targets_BT, weight_BT, chunk=1024, dense=True)

    targets_BT = ids_BT[:, 1:]
    (loss, nll_BT), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
    labels_MBT, row = flat_labels(tables, targets_BT, {}), jnp.zeros(len(ids_BT), jnp.int32)
    sums = category_sums(labels_MBT, row, nll_BT, targets_BT > 0, parts=1, categories=len(tables.names))
    return jax.tree.map(lambda p, g: p - 0.5 * g, params, grads), loss, sums
