"""The kernels in Pallas's interpreter against the dense reference, and their lowering for a TPU that is not there."""

import functools
import re

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from jax.sharding import PartitionSpec as P

from hybridlm import masks
from hybridlm.attention import dense
from hybridlm.attention.splash import call
from hybridlm.facts import tokens

BLOCK, B, T, S, H, J, K = 16, 2, 40, 50, 4, 2, 8
FIRST = S - T
"""Queries are the keys from here on; no length is a multiple of the block."""


def facts_of(seed, streams=1):
    """Two rows of packed documents and padding, each with a prefix and depths of its own, in one or two streams."""
    draws = np.random.default_rng(seed)
    length = S // streams
    segment = np.stack([np.repeat([1, 2, 3, 0], draws.multinomial(length, [0.3, 0.3, 0.3, 0.1])) for _ in range(B)])
    segment = np.tile(segment, streams)
    index = np.tile(np.arange(length), (B, streams))
    prefix = np.broadcast_to(draws.integers(0, length, (B, 1)), segment.shape)
    return tokens.from_columns(
        segment,
        index,
        index_BT=index,
        block_BT=index // 4,
        stream_BT=np.repeat(np.tile(np.arange(streams), (B, 1)), length, 1),
        extra={"prefix_length": prefix, "depth": draws.integers(0, 9, segment.shape)},
    )


def random(seed):
    draws = np.random.default_rng(seed)
    shapes = (B, T, H, K), (B, S, J, K), (B, S, J, K), (B, T, H, K)
    return [draws.normal(size=shape).astype(np.float32) for shape in shapes]


def all_of(attend, q, k, v, dout):
    """Log-sum-exp, output, and the gradients of queries, keys and values."""
    out, pull, lse = jax.vjp(attend, q, k, v, has_aux=True)
    return lse, out, *pull(dout)


@functools.partial(jax.jit, static_argnums=0)
def fused(mask, q_facts, k_facts, *arrays):
    prepared = call.prepare(mask, q_facts, k_facts, BLOCK)
    return all_of(lambda *a: call.attend(prepared, *a, 0.3, interpret=True), *arrays)


@functools.partial(jax.jit, static_argnums=0)
def reference(mask, q_facts, k_facts, *arrays):
    sees_BTS = dense.prepare(mask, q_facts, k_facts)

    def attend(q, k, v):
        scores = 0.3 * jnp.einsum("BTHK,BSHK->BHTS", q, jnp.repeat(k, H // J, 2))
        lse = jax.nn.logsumexp(jnp.where(sees_BTS[:, None], scores, -jnp.inf), -1)
        return dense.attend(sees_BTS, q, k, v, 0.3), lse

    return all_of(attend, *arrays)


def check(mask, seed, streams=1):
    k_facts = facts_of(seed, streams)
    q_facts = jax.tree.map(lambda column: column[:, FIRST:], k_facts)
    arrays = random(seed)
    found, wanted = fused(mask, q_facts, k_facts, *arrays), reference(mask, q_facts, k_facts, *arrays)
    for name, got, want in zip(("lse", "out", "dq", "dk", "dv"), found, wanted, strict=True):
        np.testing.assert_allclose(got, want, atol=2e-5, rtol=2e-5, err_msg=f"{name} of {mask}")
    is_seen_BS = np.asarray(masks.materialize(mask, q_facts, k_facts)).any(1)
    assert not np.asarray(found[4])[~is_seen_BS].any(), "an unseen key has no gradient"


NAMED = {
    "packed": (masks.causal() & masks.same_segment() & masks.valid(), 1),
    "a prefix per row": (masks.causal() | masks.prefix(), 1),
    "two streams": (masks.unified(), 2),
}


@pytest.mark.parametrize("name", NAMED)
def test_new_facts_are_data(name):
    """One program per mask serves every batch."""
    mask, streams = NAMED[name]
    before = fused._cache_size()
    for seed in range(6):
        check(mask, seed, streams)
    assert fused._cache_size() == before + 1


ATOMS = [
    masks.causal(),
    masks.window(7, 3),
    masks.same_segment(),
    masks.custom(lambda q, k: (q.position - k.position) % 3 == 0),
    masks.custom(lambda q, k: q.depth > k.index // 4),
]
drawn = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: two[0] & two[1]),
        st.tuples(inner, inner).map(lambda two: two[0] | two[1]),
        inner.map(lambda one: ~one),
    ),
    max_leaves=4,
)


@settings(max_examples=2)
@given(drawn)
def test_any_mask_equals_the_reference(mask):
    check(mask, 0)
    check(mask, 1)


def test_the_contents_of_hidden_blocks_do_not_matter():
    """Keys and values that no query of their block sees are not even read."""
    k_facts = facts_of(0)
    q_facts = jax.tree.map(lambda column: column[:, FIRST:], k_facts)
    mask = masks.custom(lambda q, k: k.index < 2 * BLOCK)
    q, k, v, dout = random(0)
    wanted = fused(mask, q_facts, k_facts, q, k, v, dout)
    k, v = (jnp.asarray(x).at[:, 2 * BLOCK :].set(jnp.nan) for x in (k, v))
    for got, want in zip(fused(mask, q_facts, k_facts, q, k, v, dout), wanted, strict=True):
        np.testing.assert_array_equal(got, want)


PACKED = masks.causal() & masks.same_segment()


def loss(segment, q, k, v):
    prepared = call.prepare(PACKED, tokens.from_columns(segment, tokens.along_row(segment.shape)), None)
    for _layer in range(2):
        q, _ = call.attend(prepared, q, k, v, 0.1)
    return q.astype(jnp.float32).sum()


def lowered_text(function, rows=4):
    segment = jax.ShapeDtypeStruct((rows, 256), jnp.int32)
    arrays = [jax.ShapeDtypeStruct((rows, 256, heads, 64), jnp.bfloat16) for heads in (4, 2, 2)]
    return jax.jit(function).trace(segment, *arrays).lower(lowering_platforms=("tpu",)).as_text()


def test_forward_and_both_gradients_are_one_kernel_each_for_all_layers():
    each = jax.vmap(lambda *row: loss(*(array[None] for array in row)))
    gradient = jax.grad(lambda q, k, v, segment: jax.checkpoint(each)(segment, q, k, v).sum(), (0, 1, 2))
    text = lowered_text(lambda segment, q, k, v: gradient(q, k, v, segment), rows=2)
    assert text.count("tpu_custom_call") == 3


def test_rows_and_heads_may_be_sharded():
    mesh = jax.sharding.AbstractMesh((2, 2), ("data", "heads"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    heads = P("data", None, "heads")
    shards = jax.shard_map(
        lambda *arrays: loss(*arrays)[None, None],
        mesh=mesh,
        in_specs=(P("data"), heads, heads, heads),
        out_specs=P("data", "heads"),
        check_vma=False,
    )
    assert "tensor<2x2x256x64xbf16>" in lowered_text(shards), "two of four rows, two of four heads"


@pytest.mark.parametrize(
    ("queries", "keys", "heads", "text"),
    [
        (256, 128, 2, "there are 256 queries and 128 keys, but the mask was prepared for 128 and 128. A plan serves"),
        (128, 64, 2, "there are 128 queries and 64 keys, but the mask was prepared for 128 and 128. A plan serves"),
        (128, 128, 3, "3 query heads cannot share 2 key heads evenly. Let the second divide the first."),
    ],
)
def test_refused(queries, keys, heads, text):
    prepared = call.prepare(masks.causal(), tokens.one_document(128), None)
    with pytest.raises(ValueError, match=re.escape(text)):
        call.attend(prepared, jnp.zeros((1, queries, heads, 64)), *jnp.zeros((2, 1, keys, 2, 64)), 0.1)


def test_a_list_beyond_scalar_memory_is_refused(monkeypatch):
    monkeypatch.setattr(call, "MOST_BLOCKS", 7)
    text = (
        "2 rows of 2 x 2 blocks are 8 on one device, whose scalar memory holds a list of 7. Give each device fewer rows"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        call.prepare(masks.causal(), facts_of(0), None, 25)
