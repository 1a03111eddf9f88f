"""A small network with random weights, large enough that every token matters."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.model import ModelConfig
from hybridlm.models import decoder
from hybridlm.offline import networks

VOCAB = 17


@pytest.fixture(scope="session")
def small():
    """Makes a network from switches of `ModelConfig`; for equal ones the same, so that nothing compiles twice."""

    @functools.cache
    def make(**switches):
        config = ModelConfig(**{"width": 16, "layers": 2, "heads": 4, "kv_heads": 2, "ffn": 24} | switches)
        rng = np.random.default_rng(0)

        def spread(path, leaf):
            return jnp.asarray(rng.normal(path[-1].key == "scale", 0.4, leaf.shape), jnp.float32)

        params = jax.tree.map_with_path(spread, decoder.shapes(config, VOCAB))
        return networks.of_decoder(config, VOCAB, params)

    return make
