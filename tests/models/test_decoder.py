"""Laws of the decoder: what may depend on what, and what must not depend on anything."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.model import ModelConfig
from hybridlm.facts import head, tokens
from hybridlm.models import decoder

VOCAB = 13
SMALL = {"width": 16, "heads": 4, "kv_heads": 2, "ffn": 24}


def dense(mask_BTS, layer, q, k, v, state):
    """Attention in float32 softmax under a boolean mask: the smallest `mix` there is."""
    return jax.nn.dot_product_attention(q, k, v, mask=mask_BTS[:, None]), state


def alone(layer, q, k, v, state):
    """A `mix` that moves nothing between tokens."""
    return jnp.repeat(v, q.shape[2] // k.shape[2], axis=2), state


def causal(length):
    return functools.partial(dense, jnp.tril(jnp.ones((1, length, length), bool)))


def small(**switches):
    """A config and parameters of its shapes: normal ones, but zero where they start at zero for time conditioning."""
    config, rng = ModelConfig(**SMALL | switches), np.random.default_rng(0)

    def draw(path, leaf):
        spread = 0.0 if path[-1].key == "time" else 0.3
        return jnp.asarray(rng.normal(path[-1].key == "scale", spread, leaf.shape), jnp.float32)

    return config, jax.tree.map_with_path(draw, decoder.shapes(config, VOCAB))


def ids(length=6, rows=2):
    return jnp.arange(rows * length, dtype=jnp.int32).reshape(rows, length) % VOCAB


def hidden(config, params, tokens_BT, mix, facts=None, **given):
    facts = tokens.one_document(tokens_BT.shape[1]) if facts is None else facts
    return decoder.apply(config, VOCAB, params, tokens_BT, facts, mix, **given)[0]


class OfProjection:
    """A `mix` that takes the projection itself, or refuses it."""

    def __init__(self, mix, takes):
        self.mix, self.takes, self.asked = mix, takes, 0

    def __call__(self, layer, q, k, v, state):
        return self.mix(layer, q, k, v, state)

    def of_projection(self, qkv_BTJRK, rotation, heads_of):
        self.asked += 1
        return self.mix(None, *heads_of(qkv_BTJRK, rotation), None)[0] if self.takes else None


SWITCHES = [{}, {"positions": "none"}, {"attention_bias": "all"}, {"qk_norm": "head"}]


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
@pytest.mark.parametrize("takes", [True, False])
def test_a_mix_that_takes_the_projection_is_given_what_heads_are_made_of(switches, takes):
    """But for a norm between the two, which has a gradient of its own; biases are in the projection."""
    config, params = small(**switches)
    mix = OfProjection(causal(6), takes)
    np.testing.assert_array_equal(hidden(config, params, ids(), mix), hidden(config, params, ids(), causal(6)))
    assert bool(mix.asked) == ("qk_norm" not in switches)


def test_grouped_heads_equal_repeated_heads():
    config, params = small()
    repeated = ModelConfig(**SMALL | {"kv_heads": 4})
    qkv_LDJRK = params["layers"]["attention"]["qkv"]
    queries, shared = qkv_LDJRK[..., :2, :], jnp.repeat(qkv_LDJRK[:, :, :, None, 2:], 2, axis=3)
    apart = jnp.concatenate([queries[..., None, :], shared], axis=-2).reshape(2, 16, 4, 3, 4)
    attention = params["layers"]["attention"] | {"qkv": apart}
    ungrouped = params | {"layers": params["layers"] | {"attention": attention}}
    expected = hidden(config, params, ids(), causal(6))
    np.testing.assert_allclose(hidden(repeated, ungrouped, ids(), causal(6)), expected, atol=1e-5)


def test_later_tokens_have_exactly_no_gradient():
    config, params = small()

    def at_third(table):
        changed = params | {"embedding": {"tokens": table}}
        return jnp.sum(hidden(config, changed, ids(rows=1), causal(6))[0, 2] * jnp.arange(16.0))

    gradient_VD = jax.jit(jax.grad(at_third))(params["embedding"]["tokens"])
    touched = np.any(np.asarray(gradient_VD) != 0, axis=1)
    assert touched.tolist() == [True] * 3 + [False] * (VOCAB - 3)


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_packed_documents_equal_separate_ones(positions):
    config, params = small(positions=positions, max_positions=3)
    facts = tokens.from_columns([[1, 1, 1, 2, 2, 2]], [[0, 1, 2, 0, 1, 2]])
    same = facts.segment[:, :, None] == facts.segment[:, None, :]
    packed = hidden(config, params, ids(rows=1), functools.partial(dense, jnp.tril(same)), facts)
    apart = hidden(config, params, ids(length=3, rows=2), causal(3))
    np.testing.assert_allclose(packed, apart.reshape(packed.shape), atol=1e-5)


def test_positions_are_seen_only_where_the_model_has_them():
    order = jnp.array([3, 1, 0, 2])
    everyone = functools.partial(dense, jnp.ones((1, 4, 4), bool))
    for positions, is_blind in (("none", True), ("rotary", False), ("learned", False)):
        config, params = small(positions=positions, max_positions=4)
        config_ids = ids(4, rows=1)
        shuffled = hidden(config, params, config_ids[:, order], everyone)
        straight = hidden(config, params, config_ids, everyone)[:, order]
        assert np.allclose(shuffled, straight, atol=1e-5) == is_blind, positions


def test_time_conditioning_starts_as_nothing_and_is_local_to_its_token():
    config, params = small(time_conditioning=True, norm="layer")
    plain = ModelConfig(**SMALL, norm="layer")
    noise_BT = jnp.array([[0.0, 0.3, 0.3, 1.0, 0.5, 0.0]] * 2)
    unconditioned = hidden(plain, params, ids(), alone)
    np.testing.assert_array_equal(hidden(config, params, ids(), alone, noise_BT=noise_BT), unconditioned)

    trained = jax.tree.map(lambda x: x + 0.01, params)
    clean = hidden(config, trained, ids(), alone)
    noisy = hidden(config, trained, ids(), alone, noise_BT=noise_BT)
    assert (np.any(clean != noisy, axis=-1) == (noise_BT > 0)).all()


@pytest.mark.parametrize(
    "switches",
    [
        {"norm_placement": "post", "final_dense": "gelu"},
        {"norm_placement": "output", "time_conditioning": True},
        {"parallel_residual": True, "time_conditioning": True},
    ],
    ids=str,
)
def test_the_last_tokens_alone_are_the_last_of_all(switches):
    config, params = small(**switches)
    params = jax.tree.map(lambda x: x + 0.01, params)
    noise_BT = jnp.linspace(0, 1, 12).reshape(2, 6)
    everyone = functools.partial(dense, jnp.ones((1, 6, 6), bool))
    whole = hidden(config, params, ids(), everyone, noise_BT=noise_BT)
    last = hidden(config, params, ids(), everyone, noise_BT=noise_BT, first=4)
    np.testing.assert_allclose(last, whole[:, 4:], atol=1e-6)


def test_each_norm_placement_and_residual_is_another_network():
    variants = [{"norm_placement": place} for place in ("pre", "post", "output")] + [{"parallel_residual": True}]
    answers = [hidden(*small(**variant), ids(), alone) for variant in variants]
    for i, one in enumerate(answers):
        assert all(not np.allclose(one, other, atol=1e-3) for other in answers[:i])


def test_ids_outside_the_vocabulary_become_nan_instead_of_another_word():
    config, params = small()
    answer = hidden(config, params, jnp.array([[0, -1, 12, 13]]), alone)
    assert np.isnan(answer).all(axis=-1).tolist() == [[False, True, False, True]]


def test_bfloat16_activations_keep_float32_gradients_and_nearly_the_numbers():
    config, params = small()
    half = ModelConfig(**SMALL, dtype="bfloat16")
    answer = hidden(half, params, ids(), causal(6))
    assert answer.dtype == jnp.bfloat16
    exact = hidden(config, params, ids(), causal(6))
    assert 0 < jnp.linalg.norm(answer.astype(jnp.float32) - exact) < 0.03 * jnp.linalg.norm(exact)
    gradient = jax.grad(lambda p: jnp.sum(hidden(half, p, ids(), causal(6)).astype(jnp.float32)))
    assert {leaf.dtype for leaf in jax.tree.leaves(jax.eval_shape(gradient, params))} == {jnp.dtype("float32")}


def test_head_never_predicts_padding_of_the_vocabulary_or_forbidden_ids():
    config, params = small(vocab_multiple=8, tied_head=False, head_bias=True)
    record = decoder.head(params, config, VOCAB, never_ids=(3,))
    probability_V = jax.nn.softmax(head.logits(record, jnp.ones((16,))))
    assert probability_V.shape == (16,)
    assert (np.flatnonzero(probability_V == 0) == [3, 13, 14, 15]).all()


def test_head_follows_the_switches():
    config, params = small(logit_softcap=5.0, head_bias=True)
    params["head"]["bias"] = jnp.arange(13.0)
    hidden_D = jnp.linspace(-50, 50, 16)
    raw_V = params["embedding"]["tokens"] @ hidden_D
    expected_V = 5 * jnp.tanh(raw_V / 5) + jnp.arange(13.0)
    np.testing.assert_allclose(head.logits(decoder.head(params, config, VOCAB), hidden_D), expected_V, rtol=1e-5)
    assert decoder.head(params, config, VOCAB).never_V is None


def test_head_refuses_an_id_it_does_not_have():
    config, params = small(vocab_multiple=8)
    with pytest.raises(ValueError, match=r"never_ids must be vocabulary ids from 0 to 12, but \[14\] are not"):
        decoder.head(params, config, VOCAB, never_ids=(1, 14))
