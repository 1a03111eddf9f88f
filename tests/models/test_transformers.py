"""Seven families of `transformers` are switches of one decoder: same weights, same float32 numbers."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.model import ModelConfig
from hybridlm.facts import head, tokens
from hybridlm.models import decoder

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"


def nested(npz) -> dict:
    params: dict = {}
    for path in npz.files:
        *parents, leaf = path.split("/")
        if parents[:1] == ["params"]:
            table = params
            for parent in parents[1:]:
                table = table.setdefault(parent, {})
            table[leaf] = jnp.asarray(npz[path], jnp.float32)
    return params


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "olmo2", "gpt2", "neox", "bert"])
def test_same_numbers_as_transformers(family):
    npz = np.load(FIXTURES / f"{family}.npz")
    config, params, ids = ModelConfig(**json.loads(str(npz["config"]))), nested(npz), jnp.asarray(npz["ids"])
    vocab_size, length = 61, ids.shape[1]
    expected = decoder.shapes(config, vocab_size)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, expected)

    def mix(layer, q, k, v, state):
        return jax.nn.dot_product_attention(q, k, v, is_causal=family != "bert"), state

    hidden, _ = decoder.apply(config, vocab_size, params, ids, tokens.one_document(length), mix)
    np.testing.assert_allclose(hidden, npz["hidden"], rtol=0, atol=1e-5)
    if "logits" in npz:
        logits = head.logits(decoder.head(params, config, vocab_size), hidden)
        np.testing.assert_allclose(logits, npz["logits"], rtol=0, atol=1e-5)
