import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from hybridlm.facts.head import Head
from hybridlm.scoring.layout import lay_out
from hybridlm.scoring.token_scores import METRICS, metrics, token_scores

BLOCK = 128  # the least a block can hold
NEVER_IDS = [3, 20]


def head_of(vocabulary, width, *, bias=True, softcap=None, seed=1):
    random = np.random.default_rng(seed)
    return Head(
        kernel_VD=jnp.asarray(random.normal(size=(vocabulary, width)), jnp.float32),
        bias_V=jnp.asarray(random.normal(size=vocabulary), jnp.float32) if bias else None,
        never_V=jnp.isin(jnp.arange(vocabulary), jnp.array(NEVER_IDS)),
        softcap=softcap,
    )


def tokens_of(shape, vocabulary, width, seed=2):
    """Hidden states, and targets that no head of these tests refuses."""
    random = np.random.default_rng(seed)
    hidden = random.normal(size=(*shape, width)) / width**0.25
    targets = random.choice(np.delete(np.arange(vocabulary), NEVER_IDS), size=shape)
    return jnp.asarray(hidden, jnp.float32), jnp.asarray(targets, jnp.int32)


def classes_of(vocabulary, seed=3):
    """Two families: 3 classes numbered 0 to 2, the last of one member; and odd and even ids, 3 and 4."""
    first = np.random.default_rng(seed).integers(0, 2, vocabulary)
    first[vocabulary // 2] = 2
    return np.stack([first, 3 + np.arange(vocabulary) % 2], axis=1)


def logits_of(hidden, head):
    """In float64, from the numbers as they are rounded."""
    z = np.asarray(hidden, np.float64) @ np.asarray(head.kernel_VD.astype(hidden.dtype), np.float64).T
    z = z if head.softcap is None else head.softcap * np.tanh(z / head.softcap)
    z = z if head.bias_V is None else z + np.asarray(head.bias_V, np.float64)
    return z if head.never_V is None else np.where(head.never_V, -np.inf, z)


def oracle(z_NV, targets_N, classes_VF):
    """Every score from all logits at once, in float64."""
    n = np.arange(len(z_NV))
    log_p_NV = z_NV - np.logaddexp.reduce(z_NV, axis=1, keepdims=True)
    p_NV, z_N = np.exp(log_p_NV), z_NV[n, targets_N]
    others_NV = np.where(np.arange(z_NV.shape[1]) == targets_N[:, None], -np.inf, z_NV)
    with np.errstate(invalid="ignore"):
        entropy_N = -np.where(p_NV > 0, p_NV * log_p_NV, 0).sum(1)
    own_NVF = classes_VF == classes_VF[targets_N][:, None]
    return {
        "nll": -log_p_NV[n, targets_N],
        "entropy": entropy_N,
        "brier": ((p_NV - np.eye(z_NV.shape[1])[targets_N]) ** 2).sum(1),
        "top_id": z_NV.argmax(1),
        "confidence": p_NV.max(1),
        "is_correct": z_NV.argmax(1) == targets_N,
        "margin": z_N - others_NV.max(1),
        "rank": 1 + (others_NV > z_N[:, None]).sum(1),
        "gate": -np.logaddexp.reduce(np.where(own_NVF, log_p_NV[..., None], -np.inf), axis=1),
        "class_mass": np.stack([p_NV[:, (classes_VF == c).any(1)].sum(1) for c in range(classes_VF.max() + 1)], 1),
    }


def check(scores, expected, *, rtol=2e-7, ranks=0):
    """Floats to 1e-5, all else exactly; but `ranks` may differ, by one, where two logits are within rounding."""
    for name, value in expected.items():
        actual = np.asarray(getattr(scores, name))
        if name == "rank":
            assert np.abs(actual - value).max() <= 1
            assert (actual != value).sum() <= ranks
        elif value.dtype == float:
            np.testing.assert_allclose(actual, value, rtol=rtol, atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(actual, value, err_msg=name)
    np.testing.assert_array_equal(scores.gate + scores.within, np.asarray(scores.nll)[:, None] + 0 * scores.gate)


_score = jax.jit(token_scores, static_argnames=("chunk", "block", "groups"))


@pytest.mark.parametrize("vocabulary", [2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1])
def test_every_score_is_that_of_float64_whatever_the_blocks_leave_over(vocabulary):
    """A last block filled up with zero columns would add up to log(4 / 3) nats (tokamax chunked_xla)."""
    head, classes_VF = head_of(vocabulary, 12, softcap=6.0), classes_of(vocabulary)
    hidden, targets = tokens_of((50,), vocabulary, 12)
    scores = _score(hidden, head, targets, layout=lay_out(vocabulary, classes_VF), chunk=16, block=BLOCK)
    check(scores, oracle(logits_of(hidden, head), np.asarray(targets), classes_VF), ranks=1)


def test_bfloat16_hidden_states_are_summed_in_float32():
    """Summed in bfloat16 as they came, log-sum-exp would be off by 0.06 nats (tokamax chunked_xla)."""
    vocabulary, width = 300, 64
    head, classes_VF = head_of(vocabulary, width, bias=False), classes_of(vocabulary)
    hidden, targets = tokens_of((40,), vocabulary, width)
    hidden = hidden.astype(jnp.bfloat16)
    scores = _score(hidden, head, targets, layout=lay_out(vocabulary, classes_VF), chunk=40, block=BLOCK)
    check(scores, oracle(logits_of(hidden, head), np.asarray(targets), classes_VF), ranks=2)


V = BLOCK + 1
LAYOUT = lay_out(V, classes_of(V))


@st.composite
def logit_rows(draw):
    """Logits of one token that are hard in some way."""
    random = np.random.default_rng(draw(st.integers(0, 2**31)))
    kind = draw(st.sampled_from(["ordinary", "extreme", "equal", "tied", "impossible", "certain"]))
    if kind == "ordinary":
        return random.normal(0, 3, V)
    if kind == "extreme":
        return random.choice([-80.0, 80.0], V)
    if kind == "equal":
        return np.full(V, draw(st.sampled_from([-80.0, 0.0, 80.0])))
    if kind == "tied":
        return random.integers(-3, 3, V).astype(float)
    if kind == "impossible":
        return np.where(random.uniform(size=V) < 0.5, -np.inf, random.normal(0, 3, V))
    return np.where(np.arange(V) == random.integers(V), 80.0, -80.0)


@settings(max_examples=60)
@given(logit_rows(), st.integers(0, 2**31))
def test_hard_logits(row_V, seed):
    """Ties, logits 160 nats apart (classes that would underflow), ids of probability 0, ids never predicted."""
    row_V = row_V.astype(np.float32)
    row_V[0] = max(row_V[0], -80)
    possible = np.flatnonzero(np.isfinite(row_V) & ~np.isin(np.arange(V), NEVER_IDS))
    targets = np.random.default_rng(seed).choice(possible, 4)
    never_V = np.isin(np.arange(V), NEVER_IDS)
    head = Head(jnp.ones((V, 2)), jnp.asarray(row_V), jnp.asarray(never_V))
    scores = _score(jnp.zeros((4, 2)), head, jnp.asarray(targets), layout=LAYOUT, chunk=4, block=BLOCK)
    z_V = np.where(never_V, -np.inf, row_V.astype(float))
    expected = oracle(np.tile(z_V, (4, 1)), targets, classes_of(V))
    assert np.isfinite(np.concatenate([np.ravel(x) for x in jax.tree.leaves(scores)])).all()
    check(scores, expected)


def _row(logits, target, classes=range(8)):
    """Scores of one token with these logits, of which there are at most 8."""
    logits = np.pad(np.asarray(logits, np.float32), (0, 8 - len(logits)), constant_values=-np.inf)
    layout = lay_out(8, np.resize(classes, (8, 1)))
    layout = dataclasses.replace(layout, count=8)
    head = Head(jnp.zeros((8, 1)), jnp.asarray(logits))
    scores = _score(jnp.zeros((1, 1)), head, jnp.array([target]), layout=layout)
    return jax.tree.map(lambda x: np.asarray(x)[0], scores)


def test_a_picture_of_one_token():
    """p = 1/2, 1/4, 1/8, 1/8 and the target is the second; odd ids are one class, even ids the other."""
    scores = _row(np.log([4, 2, 1, 1]), 1, classes=[0, 1])
    assert scores.nll == pytest.approx(np.log(4))
    assert scores.entropy == pytest.approx((0.5 * 1 + 0.25 * 2 + 0.25 * 3) * np.log(2))
    assert scores.brier == pytest.approx(0.5**2 + 0.75**2 + 2 * 0.125**2)
    assert (scores.top_id, scores.confidence, scores.is_correct, scores.rank) == (0, pytest.approx(0.5), False, 2)
    assert scores.margin == pytest.approx(-np.log(2))
    assert scores.class_mass[:2] == pytest.approx([0.625, 0.375])
    assert scores.gate == pytest.approx([-np.log(0.375)])
    assert scores.within == pytest.approx([np.log(1.5)])
    assert [bool(scores.is_in_top(k)) for k in (1, 2)] == [False, True]


def test_ties_do_not_count_against_the_target_and_the_lowest_id_is_the_top():
    scores = _row([1, 2, 2, 2, 0], 2)
    assert (scores.rank, scores.top_id, scores.is_correct, scores.margin) == (1, 1, False, 0)
    scores = _row([1, 2, 2, 2, 0], 1)
    assert (scores.rank, scores.top_id, scores.is_correct, scores.margin) == (1, 1, True, 0)


def test_equal_kernel_rows_tie_though_their_logits_are_summed_in_another_order():
    hidden, targets = tokens_of((64,), 40, 500)
    head = Head(head_of(40, 500).kernel_VD)
    rank = oracle(logits_of(hidden, head), np.asarray(targets), classes_of(40))["rank"]
    scores = _score(hidden, Head(jnp.tile(head.kernel_VD, (4, 1))), targets, block=BLOCK)
    np.testing.assert_array_equal(scores.rank, 4 * (rank - 1) + 1)


@pytest.mark.parametrize("target", [0, 1])
def test_the_margin_leaves_out_the_best_id_where_that_is_0(target):
    """Comparing the argmax with truth, not with positions, takes the wrong second there (levanter top2_gap)."""
    assert _row([5, 3, 1], target).margin == pytest.approx(2 if target == 0 else -2)


def test_a_log_of_a_softmax_would_be_infinite():
    """Softmax then log loses what is less likely than 1e-45 (torchmetrics); here 160 nats stay 160, gate and all."""
    scores = _row([80, -80, -80], 2, classes=[0, 1, 1, 2])
    assert scores.nll == pytest.approx(160)
    assert scores.gate == pytest.approx([160 - np.log(2)], abs=2e-5)
    assert scores.within == pytest.approx([np.log(2)], abs=2e-5)


def test_nats_stay_nats():
    """A perplexity of 2 ** nats is not one (inseq): a uniform guess among V has the perplexity V."""
    scores = _row(np.zeros(8), 7)
    assert np.exp(scores.nll) == pytest.approx(8, rel=1e-5)
    assert np.exp(scores.entropy) == pytest.approx(8, rel=1e-5)


def test_what_is_not_needed_is_zero_even_where_padding_is_not_a_number():
    vocabulary, head = 60, head_of(60, 5)
    hidden, targets = tokens_of((4, 7), vocabulary, 5)
    needed = jnp.arange(28).reshape(4, 7) % 3 == 0
    everything = _score(hidden, head, targets, chunk=8)
    some = _score(jnp.where(needed[..., None], hidden, jnp.nan), head, targets, needed, groups=2, chunk=4)
    for a, b in zip(jax.tree.leaves(some), jax.tree.leaves(everything)):
        is_needed = np.asarray(needed).reshape(4, 7, *[1] * (b.ndim - 2))
        np.testing.assert_allclose(a, np.where(is_needed, b, 0), atol=1e-6)
    assert not some.is_in_top()[~needed].any()


def test_metrics_come_in_the_order_of_their_names():
    scores = jax.tree.map(lambda x: x[None], _row(np.log([4, 2, 1, 1]), 1))
    named = dict(zip(METRICS, np.asarray(metrics(scores))[:, 0]))
    assert named["nll"] == pytest.approx(np.log(4))
    assert named["confidence"] == pytest.approx(0.5)
    assert (named["accuracy"], named["top-5 accuracy"], named["reciprocal rank"]) == (0, 1, 0.5)


def test_memory_is_two_blocks_of_logits_however_large_the_vocabulary():
    vocabulary, tokens, width, chunk, block = 262_144, 8192, 16, 1024, 8192
    shapes = (
        jax.ShapeDtypeStruct((tokens, width), jnp.bfloat16),
        jax.ShapeDtypeStruct((vocabulary, width), jnp.bfloat16),
        jax.ShapeDtypeStruct((tokens,), jnp.int32),
    )
    layout = lay_out(vocabulary, classes_of(vocabulary))
    score = jax.jit(lambda h, k, t, layout: token_scores(h, Head(k), t, layout=layout, chunk=chunk, block=block))
    memory = score.lower(*shapes, layout).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 2 * chunk * block * 4 + memory.output_size_in_bytes


COLLECTIVE = re.compile(r" (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)\(")


def _on_mesh(data, tensor):
    """Scores of the same tokens on data × tensor devices, and the program that made them."""
    mesh = jax.make_mesh((data, tensor), ("data", "tensor"), axis_types=(AxisType.Auto,) * 2)
    axes = {"batch": "data", "vocab": "tensor", None: None}

    def constrain(x, names):
        return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, P(*(axes[name] for name in names))))

    vocabulary = 4 * BLOCK
    layout = lay_out(vocabulary, classes_of(vocabulary), shards=tensor)
    score = functools.partial(token_scores, groups=data, chunk=16, block=BLOCK // 2, constrain=constrain)
    by_rows, by_ids, here = (NamedSharding(mesh, spec) for spec in (P("data"), P("tensor"), P()))
    step = jax.jit(
        lambda h, kernel_VD, t, layout: score(h, Head(kernel_VD), t, layout=layout),
        in_shardings=(by_rows, by_ids, by_rows, here),
    )
    hidden, targets = tokens_of((8, 16), vocabulary, 8)
    arguments = (hidden, head_of(vocabulary, 8).kernel_VD, targets, layout)
    compiled = step.lower(*arguments).compile()
    return compiled(*jax.device_put(arguments, compiled.input_shardings[0])), compiled.as_text()


@pytest.fixture(scope="module")
def one_device():
    return _on_mesh(1, 1)[0]


def test_data_parallel_devices_give_the_same_bytes_and_never_meet(one_device):
    scores, program = _on_mesh(8, 1)
    for a, b in zip(jax.tree.leaves(scores), jax.tree.leaves(one_device)):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    assert not COLLECTIVE.search(program)


def test_a_vocabulary_cut_over_devices_gives_the_same_and_they_meet_once_per_chunk_not_per_block(one_device):
    scores, program = _on_mesh(2, 4)
    for a, b in zip(jax.tree.leaves(scores), jax.tree.leaves(one_device)):
        if a.dtype == jnp.float32:
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
        else:
            np.testing.assert_array_equal(a, b)
    meetings = [line for line in program.splitlines() if COLLECTIVE.search(line)]
    assert meetings
    assert max(line.count("while/body") for line in meetings) == 1
