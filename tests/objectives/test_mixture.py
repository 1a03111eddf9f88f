"""A mixture is its objectives side by side: the same targets, the same visibility, weights by ratio."""

import dataclasses
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm import masks
from hybridlm.config.errors import ConfigError
from hybridlm.config.objective import (
    autoregressive,
    block_diffusion,
    eso_lm,
    masked_diffusion,
    masked_lm,
    part_names,
    prefix_lm,
    shared_ar_diffusion,
    windowed_blocks,
)
from hybridlm.config.rows import allocate
from hybridlm.masks import materialize
from hybridlm.objectives import mixture, single

ONE_STREAM = {
    "ar": autoregressive(),
    "mlm": masked_lm(0.5, predicts="next"),
    "prefix": prefix_lm(0.2, 0.5, ratio=0.65),  # so that each gets four rows, and shapes are those of the other tests
}
TWO_STREAMS = {"ar": autoregressive(), "block": block_diffusion(4), "masked": masked_diffusion()}
NARROW = {"windowed": windowed_blocks(4, 5), "shared": shared_ar_diffusion(4, 0.5), "eso": eso_lm()}
"""With windows, an objective of two losses, and one that rearranges its rows."""
MIXTURES = pytest.mark.parametrize(
    "objectives", [ONE_STREAM, TWO_STREAMS, NARROW], ids=["one stream", "two streams", "windows and two losses"]
)


@pytest.fixture
def rows(text):
    """Twelve rows of text, every token of which still knows its place."""
    many = jax.tree.map(lambda column: jnp.tile(column, (3, 1)), text)
    place = jnp.arange(many.tokens_BT.size, dtype=jnp.int32).reshape(many.tokens_BT.shape)
    return dataclasses.replace(many, columns={"place": place})


def parts_alone(objectives, rows, ids, key):
    """Each objective by itself on the rows that the mixture gives it."""
    first = 0
    for number, (name, objective) in enumerate(objectives.items()):
        count = allocate(objectives, rows.tokens_BT.shape[0]).rows[name]
        part = rows.rows(first, first + count)
        yield number, objective, single.build(name, objective, part, ids, jax.random.fold_in(key(), number))
        first += count


def pairs(inputs, mask):
    """Who sees whom, as places in the text and streams."""
    sees = np.asarray(materialize(mask, inputs.facts))
    name = np.asarray(inputs.facts.place) * 2 + np.asarray(inputs.facts.stream)
    row, query, key = np.nonzero(sees)
    return set(zip(name[row, query].tolist(), name[row, key].tolist(), strict=True))


@pytest.mark.parametrize(
    ("objectives", "first"),
    [
        ({"fine": block_diffusion(2), "eso": eso_lm()}, 12),
        ({"block": block_diffusion(4), "ar": autoregressive()}, 0),
        ({"block": block_diffusion(4), "shared": shared_ar_diffusion(4)}, 0),
    ],
    ids=["noisy streams alone", "plain rows too", "a clean stream too"],
)
def test_targets_begin_where_the_first_of_all_begin(objectives, first, rows, ids):
    assert mixture.build(objectives, rows, ids, jax.random.key(0)).first_target == first


@MIXTURES
def test_everybody_sees_what_they_see_alone(objectives, rows, ids):
    joined = mixture.build(objectives, rows, ids, jax.random.key(0))
    alone = [pairs(one, one.mask) for _, _, one in parts_alone(objectives, rows, ids, lambda: jax.random.key(0))]
    assert joined.mask == (masks.unified() & mixture.WINDOW if objectives is NARROW else masks.unified())
    assert pairs(joined, joined.mask) == set.union(*alone)
    assert sum(map(len, alone)) == len(set.union(*alone))


@MIXTURES
def test_targets_and_weights_are_those_of_the_parts_by_ratio(objectives, batch, rows, ids):
    joined = mixture.build(objectives, rows, ids, jax.random.key(1))
    tokens, places = np.asarray(rows.tokens_BT), np.asarray(joined.target_index_BT)
    counted = places[places >= 0]
    assert len(set(counted)) == len(counted) or objectives is NARROW
    np.testing.assert_array_equal(np.asarray(joined.targets_BT)[places >= 0], tokens.reshape(-1)[counted])
    total = sum(objective.ratio for objective in objectives.values())
    for _, objective, one in parts_alone(objectives, rows, ids, lambda: jax.random.key(1)):
        own = [joined.parts.index(part) for part in one.parts]
        is_part = np.isin(np.asarray(joined.part_BX)[:, 0], own)
        for name, factor in (("train_weight_BT", objective.ratio / total), ("score_weight_BT", 1), ("noise_BT", 1)):
            mine, alone = (np.asarray(getattr(inputs, name)) for inputs in (joined, one))
            np.testing.assert_allclose(np.sort(mine[is_part], None), np.sort(alone * factor, None), rtol=1e-6)
        if objective.corruption in ("none", "all"):
            np.testing.assert_allclose(
                np.asarray(joined.train_weight_BT)[is_part].sum(), objective.ratio / total, rtol=1e-5
            )


@MIXTURES
def test_rows_come_in_the_order_of_the_allocation_and_know_their_part(objectives, rows, ids):
    joined = mixture.build(objectives, rows, ids, jax.random.key(2))
    allocation = allocate(objectives, rows.tokens_BT.shape[0])
    names = [joined.parts[part].name.partition(".")[0] for part in np.asarray(joined.part_BX)[:, 0]]
    assert names == [list(objectives)[number] for number in allocation.order]
    assert joined.inputs_BT.shape == (allocation.wide, allocation.streams * rows.tokens_BT.shape[1])
    assert joined.parts == sum((single.parts(name, objective) for name, objective in objectives.items()), ())
    assert tuple(part.name for part in joined.parts) == part_names(objectives)
    assert not joined.dense
    index, block = np.asarray(joined.facts.index), np.asarray(joined.facts.block)
    is_single = np.asarray(joined.facts.stream).max(1) == 0
    assert joined.facts.in_order == (allocation.streams == 1)
    length = rows.tokens_BT.shape[1]
    assert (index == np.arange(index.shape[1]) % length).all(), "every row of text counts as it does alone"
    is_valid = np.asarray(joined.facts.valid)[is_single] == 1
    assert all(np.all(np.diff(b[v]) >= 0) for b, v in zip(block[is_single], is_valid, strict=True))


def test_a_single_objective_keeps_its_mask_and_weights(text, ids):
    joined = mixture.build({"ar": autoregressive(ratio=7.0)}, text, ids, jax.random.key(3))
    alone = single.build("ar", autoregressive(), text, ids, jax.random.fold_in(jax.random.key(3), 0))
    assert jax.tree.structure(joined) == jax.tree.structure(alone)
    for one, other in zip(jax.tree.leaves(joined), jax.tree.leaves(alone), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("objectives", [{"ar": autoregressive()}, TWO_STREAMS], ids=["one", "several"])
def test_a_mask_of_ones_own_joins_by_and(objectives, rows, ids):
    also = masks.custom(lambda q, k: (q.position - k.position) % 2 == 0)
    plain, narrowed = (mixture.build(objectives, rows, ids, jax.random.key(4), also=m) for m in (None, also))
    both = materialize(plain.mask, plain.facts) & materialize(also, plain.facts)
    np.testing.assert_array_equal(materialize(narrowed.mask, narrowed.facts), both)


def causal_only(name, objective, text, ids, key, *, sample=None):
    """A builder whose mask is not the one rule."""
    return single.build(name, autoregressive(), text, ids, key)


def by_facts(name, objective, text, ids, key, *, sample=None):
    """The same builder, which leaves visibility to the facts."""
    return dataclasses.replace(causal_only(name, objective, text, ids, key), mask=masks.unified())


def test_a_builder_joins_a_mixture_only_under_the_one_rule(rows, ids, monkeypatch):
    own = types.SimpleNamespace(causal_only=causal_only, by_facts=by_facts)
    monkeypatch.setitem(sys.modules, "own_objectives", own)

    def build(function):
        mine = autoregressive(builder=f"own_objectives:{function}")
        return mixture.build({"mine": mine, "block": block_diffusion(4)}, rows.rows(0, 8), ids, jax.random.key(5))

    assert [part.name for part in build("by_facts").parts] == ["mine", "block"]
    with pytest.raises(ConfigError) as refusal:
        build("causal_only")
    assert str(refusal.value) == (
        "all rows of a mixture see by one rule, masks.unified(), but objectives.mine.builder returned "
        f"mask={causal_only('', None, rows, ids, jax.random.key(0)).mask!r}; say who sees whom in facts.block and "
        "facts.stream, or train this objective alone."
    )
