"""What all orders of revealing a block say together: its bound without sampling, and its exact likelihood.

With S the tokens still masked, each of them equally likely to be revealed next, by dynamic programming over subsets

    P(S) = 1/|S| Σ_{i in S} p(x_i | all but S visible) P(S less i),    P(∅) = 1,

so P(block) is the mean over all orders of the product of conditionals, and -log P is at most the bound, the mean of the
logarithms. Both come from the 2^B - 1 inputs in which a set of the B tokens is masked.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


class OfBlock(NamedTuple):
    """Attributes: nats: of the block. by_place: each token's part of them, 0 where the block has no target."""

    nats: Float[Array, "*N"]
    by_place: Float[Array, "*N P"]


def exact_bound(nll_NKP: Float[Array, "*N K P"], targets_N: Int[Array, "*N"]) -> OfBlock:
    """The bound of blocks of P places, from the NLL of place i where the places in the bits of k + 1 are masked.

    `targets_N` has the bits of the places that are ever masked; the others are given, and what the table says of them
    or of sets that hold them is not read. Of L targets l are masked, and each weighs L/l.
    """
    weighed_NKP = _weights(nll_NKP.shape[-1])[targets_N] * nll_NKP
    return OfBlock(weighed_NKP.sum((-2, -1)), weighed_NKP.sum(-2))


def order_mixture(nll_NKP: Float[Array, "*N K P"], targets_N: Int[Array, "*N"]) -> OfBlock:
    """-log P of blocks of P places, from the table that `exact_bound` takes.

    A token's part is its Shapley value (Shapley 1953) in the game -log P(S): what masking it too adds to the cost of
    the tokens masked so far, averaged over all orders. That is its share of the bound with P's own conditionals in
    place of the network's: parts sum to the whole, and equal the shares where the conditionals of all orders agree.
    """
    cost_NS = _costs(nll_NKP)
    set_K1, member_KP = _sets(nll_NKP.shape[-1])
    added_NKP = cost_NS[..., set_K1] - cost_NS[..., set_K1 ^ member_KP]
    by_place_NP = (_weights(nll_NKP.shape[-1])[targets_N] * added_NKP).sum(-2)
    return OfBlock(jnp.take_along_axis(cost_NS, targets_N[..., None], -1)[..., 0], by_place_NP)


def _costs(nll_NKP):
    """-log P(S) of every set of places S, by size."""
    set_K1, member_KP = _sets(nll_NKP.shape[-1])
    size_K = (member_KP > 0).sum(1)
    cost_NS = jnp.zeros((*nll_NKP.shape[:-2], len(set_K1) + 1), nll_NKP.dtype)
    for size in range(1, nll_NKP.shape[-1] + 1):
        k = np.flatnonzero(size_K == size)
        place_KL = np.nonzero(member_KP[k])[1].reshape(len(k), size)
        rest_KL = set_K1[k] ^ np.take_along_axis(member_KP[k], place_KL, 1)
        path_NKL = nll_NKP[..., k[:, None], place_KL] + cost_NS[..., rest_KL]
        cost_NS = cost_NS.at[..., k + 1].set(math.log(size) - jax.nn.logsumexp(-path_NKL, axis=-1))
    return cost_NS


def _sets(places: int) -> tuple[Int[np.ndarray, "K 1"], Int[np.ndarray, "K P"]]:
    """Every set of places but the empty one as a number, and the bit of each of its members, 0 for the others."""
    set_K1 = np.arange(1, 2**places)[:, None]
    return set_K1, set_K1 & (1 << np.arange(places))


def _weights(places: int) -> Float[Array, "S K P"]:
    """What a member of set k + 1 weighs where the targets are S: 1/L for each size l, then the set, times L/l."""
    set_K1, member_KP = _sets(places)
    size_K = (member_KP > 0).sum(1)
    weight_SK = np.zeros((2**places, len(set_K1)))
    for targets in range(2**places):
        is_within_K = (set_K1[:, 0] & ~targets) == 0
        many = targets.bit_count()
        weight_SK[targets, is_within_K] = [1 / (few * math.comb(many, few)) for few in size_K[is_within_K]]
    return jnp.asarray(weight_SK[..., None] * (member_KP > 0), jnp.float32)
