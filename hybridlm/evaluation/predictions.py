"""Hidden states at the tokens they predict: whatever a reading is, each token of the text is then scored the same way.

A chain takes every token from the version of the text in which the tokens before it are shown and it is not yet.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hybridlm import attention
from hybridlm.categories.tables import Tables
from hybridlm.config.evaluation import Reading
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.task import Task
from hybridlm.facts.head import Head
from hybridlm.facts.loss_inputs import LossInputs
from hybridlm.masks import Mask
from hybridlm.objectives import copies, single
from hybridlm.objectives.copies import Versions
from hybridlm.objectives.text import Text
from hybridlm.scoring import orders
from hybridlm.scoring.chunks import Split, sweep
from hybridlm.scoring.nll import token_nll
from hybridlm.scoring.own_loss import token_loss
from hybridlm.scoring.token_scores import token_scores

CHUNK = 1024
"""Tokens of a shard whose logits exist at once where the NLL alone is wanted, and blocks joined at once."""


@no_type_check  # trees of its shapes exist too
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """One distribution per token of the text.

    Attributes:
      hidden_RSD: the state whose logits predict the token that stands here. is_counted_RS: where there is just one.
    """

    hidden_RSD: Float[Array, "R S D"]
    is_counted_RS: Bool[Array, "R S"]


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A network at given parameters; `also` is a user's own mask, joined by &, `plan` attends on the mesh, the rest as
    `token_scores` has it."""

    task: Task
    params: Any
    also: Mask | None
    groups: int
    constrain: Callable
    plan: Callable = attention.plan

    @property
    def head(self) -> Head:
        return tasks.head(self.task, self.params)

    @property
    def spread(self) -> dict[str, Any]:
        """How scorers lay the tokens over devices."""
        return {"groups": self.groups, "constrain": self.constrain}

    def hidden(self, inputs: LossInputs) -> Float[Array, "B T D"]:
        """Hidden states where the network computes them."""
        if self.also is not None:
            inputs = dataclasses.replace(inputs, mask=inputs.mask & self.also)
        return tasks.hidden(self.task, self.params, inputs, self.constrain, self.plan)

    def weighted_nll(self, inputs: LossInputs) -> Float[Array, "B T"]:
        """What every target costs, in nats times its weight in the score."""
        if inputs.loss is not None:
            return inputs.score_weight_BT * token_loss(self.hidden(inputs), self.head, inputs, chunk=CHUNK)
        needed_BT = inputs.score_weight_BT != 0
        nll_BT = token_nll(self.hidden(inputs), self.head, inputs.targets_BT, needed_BT, chunk=CHUNK, **self.spread)
        return inputs.score_weight_BT * nll_BT

    def nothing(self, text: Text) -> Float[Array, "R S D"]:
        """Hidden states before any pass."""
        return jnp.zeros((*text.tokens_BT.shape, self.task.model.width), self.task.model.dtype)


def in_one_pass(network: Network, inputs: LossInputs, shape: tuple[int, int]) -> Prediction:
    """Of an objective that predicts every target at once."""
    predictions_RS = in_text(inputs, jnp.ones(inputs.targets_BT.shape), shape)
    return Prediction(hidden_RSD=in_text(inputs, network.hidden(inputs), shape), is_counted_RS=predictions_RS == 1)


def of_reading(
    network: Network, name: str, reading: Reading, text: Text, tables: Tables, key: Key[Array, ""]
) -> Prediction:
    """Of a reading that has one prediction per token."""
    objective = reading.objective
    match reading.estimator:
        case "chain" if reading.order != "left_to_right":
            return _in_order(network, reading, text)
        case "chain":
            return _over_versions(network, reading, text, copies.chain(objective, text))
        case "leave_one_out":
            versions = copies.leave_one_out(objective, text, goes_on(tables, text))
            return _over_versions(network, reading, text, versions)
    inputs = single.build(name, reading.scored, text, network.task.ids, key)
    return in_one_pass(network, inputs, text.tokens_BT.shape)


def goes_on(tables: Tables, text: Text) -> Bool[Array, "R S"]:
    """Which tokens go on with the word of the token before them, as far as the two tokens can tell."""
    number = [family.name for family in tables.families].index("word_place")
    labels, place_RS = tables.families[number].labels, tables.by_token_VF[text.tokens_BT, number]
    has_letters_RS = place_RS != labels.index("not_a_word")
    follows_letters_RS = jnp.pad(has_letters_RS[:, :-1], ((0, 0), (1, 0)))
    return (place_RS == labels.index("continuation")) & follows_letters_RS & (text.position_BT > 1)


def over_sets(
    network: Network, reading: Reading, text: Text, of_block: Callable
) -> tuple[Float[Array, "R S"], Float[Array, ""]]:
    """Nats of every token, and of all blocks, by `of_block`, a function of `scoring.order_mixture`."""
    length, versions = text.tokens_BT.shape[1], copies.subsets(reading.objective, text)

    def nll_of(first):
        inputs = _inputs(network, reading, text, versions, first)
        return copies.of_copies(network.weighted_nll(inputs), length)

    nll_KRS = jax.lax.map(nll_of, _firsts(reading, text, versions)).reshape(-1, *text.tokens_BT.shape)
    return _by_block(network, reading.objective, text, nll_KRS[: versions.count], of_block)


def _by_block(network, objective, text, nll_KRS, of_block):
    """Blocks are gathered from where they begin, and their values put back to where their tokens stand."""
    size, shape = objective.block_size, text.tokens_BT.shape
    index_RS = jnp.arange(text.tokens_BT.size).reshape(shape)
    place_RS = text.position_BT % size
    is_start_RS = (place_RS == 0) & (text.segment_BT > 0)
    nll_KN = nll_KRS.reshape(len(nll_KRS), -1)

    def visit(carry, columns):
        index_ZU, targets_ZU = columns
        nll_KZUP = nll_KN.at[:, index_ZU[..., None] + jnp.arange(size)].get(mode="fill", fill_value=0)
        return carry, of_block(jnp.moveaxis(nll_KZUP, 0, -2), targets_ZU)

    columns = (index_RS, copies.targets_of_block(objective, text))
    _, found = sweep(visit, (), columns, is_start_RS, Split(network.groups, CHUNK, network.constrain))
    start_RS = jnp.maximum(jnp.arange(shape[1]) - place_RS, 0)
    nats_RSP = jnp.take_along_axis(found.by_place, start_RS[..., None], 1)
    nats_RS = jnp.take_along_axis(nats_RSP, place_RS[..., None], 2)[..., 0]
    return nats_RS, jnp.where(is_start_RS, found.nats, 0).sum()


def _over_versions(network: Network, reading: Reading, text: Text, versions: Versions) -> Prediction:
    """Of versions of a text in which each target is predicted once; several of them share a pass."""

    def add(hidden_RSD, first):
        inputs = _inputs(network, reading, text, versions, first)
        return hidden_RSD + in_text(inputs, network.hidden(inputs), text.tokens_BT.shape), None

    hidden_RSD, _ = jax.lax.scan(add, network.nothing(text), _firsts(reading, text, versions))
    return Prediction(hidden_RSD=hidden_RSD, is_counted_RS=text.is_target_BT)


def _firsts(reading: Reading, text: Text, versions: Versions) -> Int[Array, "N"]:
    """The first version of every pass."""
    return jnp.arange(0, versions.count, _per_pass(reading, text, versions))


def _per_pass(reading: Reading, text: Text, versions: Versions) -> int:
    return copies.per_pass(reading.objective, reading.copies, versions.count, text.tokens_BT.shape[1])


def _inputs(network: Network, reading: Reading, text: Text, versions: Versions, first) -> LossInputs:
    """The inputs of the pass that begins with version `first`."""
    count = _per_pass(reading, text, versions)
    is_masked_KBT, weight_KBT = jax.vmap(versions.of)(first + jnp.arange(count))
    return copies.build(reading.objective, text, network.task.ids, is_masked_KBT, weight_KBT)


def _in_order(network: Network, reading: Reading, text: Text) -> Prediction:
    """Of a chain that goes on, in every block, with the token of which the network is surest; it never sees gold."""
    group_BT, shape = copies.group(reading.objective, text), text.tokens_BT.shape
    unknown_BT = jnp.zeros_like(text.tokens_BT)

    def step(state, _):
        is_masked_BT, hidden_RSD = state
        weight_BT = is_masked_BT.astype(jnp.float32)
        inputs = copies.build(reading.objective, text, network.task.ids, is_masked_BT[None], weight_BT[None])
        new_RSD = in_text(inputs, network.hidden(inputs), shape)
        scores = token_scores(new_RSD, network.head, unknown_BT, is_masked_BT, **network.spread)
        is_next_BT = orders.next_in_group(orders.SURENESS[reading.order](scores), group_BT, is_masked_BT)
        return (is_masked_BT & ~is_next_BT, jnp.where(is_next_BT[..., None], new_RSD, hidden_RSD)), None

    steps = copies.group_size(reading.objective, shape[1])
    (_, hidden_RSD), _ = jax.lax.scan(step, (text.is_target_BT, network.nothing(text)), length=steps)
    return Prediction(hidden_RSD=hidden_RSD, is_counted_RS=text.is_target_BT)


def in_text(inputs: LossInputs, values: Float[Array, "B T *N"], shape: tuple[int, int]) -> Float[Array, "R S *N"]:
    """Moves values from where tokens are predicted to where they stand in the text; several of one token are added.

    Rows of the inputs that belong to one row of the text lie next to each other.
    """

    def of_row(place_T, values_T):
        return jnp.zeros((shape[1], *values_T.shape[1:]), values_T.dtype).at[place_T].add(values_T, mode="drop")

    index_RN = inputs.target_index_BT.reshape(shape[0], -1)
    place_RN = jnp.where(index_RN >= 0, index_RN % shape[1], shape[1])
    return jax.vmap(of_row)(place_RN, values.reshape(shape[0], -1, *values.shape[2:]))


def is_predicted(inputs: LossInputs, shape: tuple[int, int]) -> Bool[Array, "R S"]:
    """Which tokens of the text are targets."""
    return in_text(inputs, jnp.ones(inputs.targets_BT.shape), shape) > 0
