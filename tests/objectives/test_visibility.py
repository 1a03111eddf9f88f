"""What a prediction depends on, seen through a real network: gradients that must be exactly zero, and all others."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm import attention
from hybridlm.attention import dense
from hybridlm.attention.plans import Plan
from hybridlm.config.model import ModelConfig
from hybridlm.config.objective import autoregressive, block_diffusion, prefix_lm
from hybridlm.facts.head import logits
from hybridlm.models import decoder
from hybridlm.objectives import single
from hybridlm.objectives.text import Text

CONFIG = ModelConfig(width=8, layers=2, heads=2, kv_heads=2, ffn=12, tied_head=False)
V = 96
"""As many ids as the batch has slots, so that a slot may have an embedding of its own."""


@pytest.fixture(scope="module")
def params():
    random = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(random.normal(0, 0.3, x.shape), x.dtype), decoder.shapes(CONFIG, V))


@jax.jit
def losses(params, inputs_BT, facts, sees_BTT, targets_BT):
    """NLL of every target."""
    hidden_BTD, _ = decoder.apply(CONFIG, V, params, inputs_BT, facts, Plan(dense, sees_BTT).mix)
    log_p_BTV = jax.nn.log_softmax(logits(decoder.head(params, CONFIG, V), hidden_BTD))
    return -jnp.take_along_axis(log_p_BTV, targets_BT[..., None], axis=-1)[..., 0]


@jax.jit
@jax.jacrev
def gradients(table_VD, params, *asked):
    """Of the NLL of every target, with respect to the table of embeddings."""
    return losses({**params, "embedding": {"tokens": table_VD}}, *asked)


def question(inputs, inputs_BT=None):
    """The arguments of `losses` that an objective's inputs stand for."""
    plan = attention.plan(inputs.mask, inputs.facts, dtype="float32", head_width=CONFIG.key_width)
    facts = dataclasses.replace(inputs.facts, extra={}, in_order=False)
    return (inputs.inputs_BT if inputs_BT is None else inputs_BT), facts, plan.prepared, inputs.targets_BT


def may_depend(objective, batch, asked, other, asked_stream, stream, prefix) -> bool:
    """Whether a prediction may depend on what stands at another place of the row, in words of the text alone."""
    (row, column), (other_row, other_column) = asked, other
    segment, position = batch["segment_ids"], batch["positions"]
    read_at = position[asked]
    if row != other_row or not segment[other]:
        return False
    if objective.across_documents:
        return other_column <= column
    if segment[asked] != segment[other]:
        return False
    left, right = objective.window or (len(segment[0]),) * 2
    if not -right * CONFIG.layers <= column - other_column <= left * CONFIG.layers:
        return False
    if objective.layout == "bidirectional":
        return True
    if objective.layout == "prefix":
        return position[other] < prefix or position[other] <= read_at
    if objective.layout == "causal":
        return position[other] <= read_at
    if objective.streams == 2 and asked_stream == 0:  # where the clean stream predicts, it is causal
        return stream == 0 and position[other] <= read_at
    if objective.layout == "random_order":  # slots hold the tokens in their order
        return other_column == column if stream == 1 else other_column < column
    block, other_block = read_at // objective.block_size, position[other] // objective.block_size
    if objective.streams == 1:
        return other_block <= block
    return other_block == block if stream == 1 else other_block < block


def test_a_prediction_depends_on_exactly_what_its_objective_shows(draw, objective, batch, params):
    inputs = draw(objective)
    size, length = inputs.inputs_BT.size, batch["tokens"].shape[1]
    own_ids = jnp.arange(size, dtype=jnp.int32).reshape(inputs.inputs_BT.shape)
    found_TVD = gradients(params["embedding"]["tokens"], params, *question(inputs, own_ids))
    depends = np.abs(np.asarray(found_TVD)).reshape(size, V, -1)[:, :size].max(-1) > 0
    prefix = np.asarray(inputs.facts.prefix_length)[:, :length]

    def where(slot):
        row, column = np.unravel_index(slot, inputs.inputs_BT.shape)
        return (int(row), int(column) % length), int(column) // length

    wanted, found = [], []
    for at in np.flatnonzero(np.asarray(inputs.target_index_BT) >= 0):
        asked, asked_stream = where(at)
        for slot in range(size):
            other, stream = where(slot)
            wanted.append(may_depend(objective, batch, asked, other, asked_stream, stream, prefix[asked]))
            found.append(depends[at, slot])
    np.testing.assert_array_equal(found, wanted)
    assert 0 < np.mean(wanted) < 1


def test_what_a_masked_token_is_reaches_nothing_that_predicts_it(draw, objective, batch, text, ids):
    inputs, length = draw(objective), batch["tokens"].shape[1]
    if objective.corruption in ("none", "spans", "uniform"):
        return
    is_hidden = np.zeros(batch["tokens"].shape, bool)
    is_mask = np.asarray(inputs.inputs_BT)[:, -length:] == ids.mask
    is_hidden.reshape(-1)[np.asarray(inputs.facts.place)[:, -length:][is_mask]] = True
    assert is_hidden.any()
    other = dataclasses.replace(text, tokens_BT=jnp.where(is_hidden, text.tokens_BT % 20 + 10, text.tokens_BT))
    changed = single.build("one", objective, other, ids, jax.random.key(0))
    np.testing.assert_array_equal(changed.inputs_BT[:, -length:], inputs.inputs_BT[:, -length:])
    np.testing.assert_array_equal(changed.train_weight_BT, inputs.train_weight_BT)
    if objective.streams == 1:
        np.testing.assert_array_equal(changed.inputs_BT, inputs.inputs_BT)


def test_nothing_is_nan_though_a_row_holds_no_text_and_its_tokens_see_nothing(draw, objective, params):
    assert np.isfinite(losses(params, *question(draw(objective)))).all()


SEPARATE = ("autoregressive", "prefix", "masked_lm", "masked_diffusion", "block_diffusion", "span_corruption")
SEPARATE += ("eso_lm", "shared_ar_diffusion", "windowed_blocks")


@pytest.mark.parametrize("name", SEPARATE)
def test_packed_documents_are_separate_sequences(name, draw, objectives, batch, text, ids, params):
    objective = {**objectives, "prefix": prefix_lm(0.5, 0.5)}[name]
    packed, length = draw(objective), batch["tokens"].shape[1]
    row, start = np.nonzero((batch["positions"] == 0) & (batch["segment_ids"] > 0))
    row, start = row[:4], start[:4]
    place = np.minimum(start[:, None] + np.arange(length), length - 1)
    is_there = batch["segment_ids"][row[:, None], place] == batch["segment_ids"][row, start][:, None]
    is_there &= start[:, None] + np.arange(length) < length

    def alone(column):
        """The four documents of the first two rows, each moved to the start of a row of its own, in every stream."""
        streams = np.split(np.asarray(column), column.shape[1] // length, axis=1)
        return np.concatenate([np.where(is_there, x[row[:, None], place], 0) for x in streams], axis=1)

    lone = Text(*(jnp.asarray(alone(batch[column])) for column in ("tokens", "segment_ids", "positions")), {})
    lone = dataclasses.replace(lone, segment_BT=(lone.segment_BT > 0).astype(jnp.int32))
    apart = single.build("one", objective, lone, ids, jax.random.key(0))
    # an order drawn for the packed row goes along with its documents
    facts = dataclasses.replace(apart.facts, position=jnp.asarray(alone(packed.facts.position)))
    apart = dataclasses.replace(apart, targets_BT=jnp.asarray(alone(packed.targets_BT)), facts=facts)
    nll = alone(losses(params, *question(packed)))
    nll_apart = np.asarray(losses(params, *question(apart, jnp.asarray(alone(packed.inputs_BT)))))
    np.testing.assert_allclose(nll_apart[nll != 0], nll[nll != 0], atol=1e-5)
    assert np.sum(nll != 0) == np.sum(batch["segment_ids"][:2] > 0) * objective.streams


def test_an_empty_prefix_is_autoregression(draw, params):
    plain, prefixed = draw(autoregressive()), draw(prefix_lm(0.0, 0.0))
    for field in ("inputs_BT", "targets_BT", "target_index_BT", "train_weight_BT", "score_weight_BT", "noise_BT"):
        np.testing.assert_array_equal(getattr(plain, field), getattr(prefixed, field), err_msg=field)
    one, other = (losses(params, *question(inputs)) for inputs in (plain, prefixed))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_blocks_of_one_token_are_exact_and_equal_one_pass_per_token(draw, batch, ids, params):
    objective = block_diffusion(1, corruption="all")
    nll = [np.asarray(losses(params, *question(draw(objective, seed)))) for seed in (0, 1)]
    np.testing.assert_array_equal(*nll)
    length, row = batch["tokens"].shape[1], 1
    left_to_right = draw(autoregressive())
    for first in range(1, length, 4):
        steps = range(first, min(first + 4, length))
        inputs = np.tile(batch["tokens"][row], (4, 1))
        for line, position in enumerate(steps):
            inputs[line, position:] = ids.mask
        one_document = dataclasses.replace(
            left_to_right, facts=jax.tree.map(lambda x: jnp.tile(x[row], (4, 1)), left_to_right.facts)
        )
        targets = jnp.tile(jnp.asarray(batch["tokens"][row]), (4, 1))
        passes = losses(params, *question(one_document, jnp.asarray(inputs))[:3], targets)
        for line, position in enumerate(steps):
            np.testing.assert_allclose(passes[line, position], nll[0][row, length + position], atol=1e-5)
