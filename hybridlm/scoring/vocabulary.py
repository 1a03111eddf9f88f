"""One pass over the vocabulary in blocks, for a chunk of tokens: [Z U] of them, U in each of Z shards of the batch.

A block is gathered from the head by the ids of its layout, multiplied with the hidden states, and reduced: first the
R ids of every group, each logit read once, then its J groups. Whatever depends on classes runs over groups, not ids.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from hybridlm.facts.head import NEVER, Head
from hybridlm.facts.head import logits as logits_of
from hybridlm.scoring.chunks import Constrain
from hybridlm.scoring.layout import DEPTH, Layout
from hybridlm.scoring.seen import Seen, joined, nothing, over, single

TIE = 2.0**-21
"""Logits that differ by less than this times |hidden|·|kernel row| + |logit| are equal: so much may depend on the order
in which float32 sums are made, and the target's logit is wanted before its block comes."""
ALIGNMENT = 8
"""Groups of a block come in multiples of this, as matrix units like."""


@dataclasses.dataclass(frozen=True)
class Logits:
    """How to compute logits of a chunk of tokens.

    Attributes:
      block: ids [S R J] -> logits [Z U S R J]. bar_ZU: the target's logit and its rounding; larger ones are better.
    """

    block: Callable[[Int[Array, "S R J"]], Float[Array, "Z U S R J"]]
    bar_ZU: Float[Array, "Z U"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Summary:
    """Of all logits seen so far.

    Attributes:
      seen: of the whole vocabulary. class_mass: Σ e^(z−m) of every class, m the largest logit of all.
      own_largest: the largest logit, and own_mass: Σ e^(z−that), of the target's class in every family; each class has
        its own reference, so that an unlikely one does not underflow.
    """

    seen: Seen
    class_mass: Float[Array, "*N C"]
    own_largest: Float[Array, "*N F"]
    own_mass: Float[Array, "*N F"]


def of_head(
    head: Head, hidden_ZUD: Float[Array, "Z U D"], targets_ZU: Int[Array, "Z U"], constrain: Constrain
) -> Logits:
    """The logits of one head."""

    def block(ids_SRJ):
        logits_ZUN = constrain(logits_of(_rows(head, ids_SRJ), hidden_ZUD), ("batch", None, "vocab"))
        return jnp.maximum(logits_ZUN, NEVER).reshape(*targets_ZU.shape, *ids_SRJ.shape)

    return Logits(block, _bar(head, hidden_ZUD, targets_ZU))


def of_mixture(experts: Sequence[Logits], log_weight_GZU: Float[Array, "G Z U"]) -> Logits:
    """log Σ_g weight_g exp(logits of expert g): the log-probabilities of a mixture, if weight_g is gate_g / Σ_v exp."""

    def mix(*logits_G):
        weights = log_weight_GZU.reshape(*log_weight_GZU.shape, *[1] * (logits_G[0].ndim - 2))
        return jnp.maximum(functools.reduce(jnp.logaddexp, map(jnp.add, weights, logits_G)), NEVER)

    def block(ids_SRJ):
        return mix(*(expert.block(ids_SRJ) for expert in experts))

    return Logits(block, mix(*(expert.bar_ZU for expert in experts)))


def summarise(logits: Logits, targets_ZU: Int[Array, "Z U"], layout: Layout, block: int) -> Summary:
    """Visits every block of the layout once."""
    own_ZUF = jnp.asarray(layout.classes_VF)[targets_ZU]

    def step(summary, part):
        ids_SRJ, classes_SFJ = part
        groups = over(_singles(logits, ids_SRJ, targets_ZU), -2)
        return _with_groups(summary, groups, classes_SFJ, own_ZUF, layout.count), None

    shape, families = (*targets_ZU.shape, layout.ids_SRJ.shape[0]), own_ZUF.shape[-1]
    nobody, zero = jnp.full((*shape, families), NEVER), jnp.zeros((*shape, families))
    start = Summary(nothing(shape), jnp.zeros((*shape, layout.count)), nobody, zero)
    summary, _ = jax.lax.scan(step, start, _blocks(layout, block))
    return _over_shards(summary)


def log_sum_exp(seen: Seen) -> Float[Array, "*N"]:
    """log Σ e^z of what was seen."""
    return seen.largest + jnp.log(seen.mass)


def _singles(logits: Logits, ids_SRJ, targets_ZU) -> Seen:
    """Every logit of a block as a part of its own; never in memory, since a reduction follows."""
    logits_ZUSRJ = logits.block(ids_SRJ)
    is_target = ids_SRJ == targets_ZU[..., None, None, None]
    is_better = (logits_ZUSRJ > logits.bar_ZU[..., None, None, None]) & ~is_target
    return single(logits_ZUSRJ, jnp.broadcast_to(ids_SRJ, is_target.shape), is_target, is_better)


def _with_groups(summary: Summary, groups: Seen, classes_SFJ, own_ZUF, count) -> Summary:
    """Adds a block: its groups [Z U S J] together, and by class."""
    old = summary.seen
    seen = joined(old, over(groups, -1))
    is_class_SJC = (classes_SFJ[..., None] == jnp.arange(count)).any(1).astype(jnp.float32)
    mass_ZUSJ = jnp.exp(groups.largest - seen.largest[..., None]) * groups.mass
    class_mass = summary.class_mass * jnp.exp(old.largest - seen.largest)[..., None]
    class_mass = class_mass + jnp.einsum("zusj,sjc->zusc", mass_ZUSJ, is_class_SJC)
    return Summary(seen, class_mass, *_own_class(summary, groups, classes_SFJ, own_ZUF))


def _own_class(summary: Summary, groups: Seen, classes_SFJ, own_ZUF):
    """The target's class with a block added, family by family: an array of all would be large."""
    largest, mass = [], []
    for f in range(own_ZUF.shape[-1]):
        is_own_ZUSJ = classes_SFJ[:, f] == own_ZUF[..., f, None, None]
        old = summary.own_largest[..., f]
        new = jnp.maximum(old, jnp.where(is_own_ZUSJ, groups.largest, NEVER).max(-1))
        added_ZUSJ = jnp.where(is_own_ZUSJ, jnp.exp(groups.largest - new[..., None]) * groups.mass, 0)
        largest.append(new)
        mass.append(summary.own_mass[..., f] * jnp.exp(old - new) + added_ZUSJ.sum(-1))
    return (jnp.stack(x, -1) if x else summary.own_mass for x in (largest, mass))


def _over_shards(summary: Summary) -> Summary:
    """The shards of the vocabulary [Z U S ...] together: the one place where their devices meet."""
    seen, own_largest = over(summary.seen, -1), summary.own_largest.max(2)
    scale_ZUS = jnp.exp(summary.seen.largest - seen.largest[..., None])
    own_mass = (jnp.exp(summary.own_largest - own_largest[:, :, None]) * summary.own_mass).sum(2)
    return Summary(seen, (scale_ZUS[..., None] * summary.class_mass).sum(2), own_largest, own_mass)


def _blocks(layout: Layout, block: int):
    """Ids [blocks S R J] and classes [blocks S F J] of blocks of equal size; the last may be filled with no ids."""
    groups = layout.ids_SRJ.shape[-1]
    blocks = -(-groups * DEPTH // block)
    size = -(-groups // (blocks * ALIGNMENT)) * ALIGNMENT

    def cut(x, fill):
        x = jnp.pad(x, ((0, 0), (0, 0), (0, blocks * size - groups)), constant_values=fill)
        return jnp.moveaxis(x.reshape(*x.shape[:2], blocks, size), 2, 0)

    return cut(layout.ids_SRJ, len(layout.classes_VF)), cut(layout.classes_SFJ, 0)


def _rows(head: Head, ids_SRJ) -> Head:
    """The head of these ids alone, each taken by its own shard; those past the vocabulary are never predicted."""
    shards, size = len(ids_SRJ), len(head.kernel_VD) // len(ids_SRJ)
    local_SN = ids_SRJ.reshape(shards, -1) - size * jnp.arange(shards)[:, None]

    def take(x_V):
        x_SN = x_V.reshape(shards, size, *x_V.shape[1:])
        taken_SN = jax.vmap(lambda x_N, ids_N: x_N.at[ids_N].get(mode="clip"))(x_SN, local_SN)
        return taken_SN.reshape(-1, *x_V.shape[1:])

    kernel_ND, bias_N, never_N = jax.tree.map(take, (head.kernel_VD, head.bias_V, head.never_V))
    is_past_N = ids_SRJ.ravel() == len(head.kernel_VD)
    return Head(kernel_ND, bias_N, is_past_N if never_N is None else is_past_N | never_N, head.softcap)


def _bar(head: Head, hidden_ZUD, targets_ZU):
    """The target's logit plus what rounding may have taken from it."""
    rows = jax.tree.map(lambda x_V: x_V[targets_ZU], (head.kernel_VD, head.bias_V, head.never_V))

    def one(hidden_D, row):
        kernel_1D, bias_1, never_1 = jax.tree.map(lambda x: x[None], row)
        logit = jnp.maximum(logits_of(Head(kernel_1D, bias_1, never_1, head.softcap), hidden_D)[0], NEVER)
        return logit + TIE * (_norm(hidden_D) * _norm(kernel_1D) + jnp.abs(logit))

    return jax.vmap(jax.vmap(one))(hidden_ZUD, rows)


def _norm(x):
    return jnp.sqrt(jnp.sum(jnp.square(x.astype(jnp.float32))))
