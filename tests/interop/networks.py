"""What the tests of this room share: the networks that `transformers` saved, and our decoder's answers to its ids."""

import dataclasses
import pathlib

import jax
import numpy as np

from hybridlm.facts import head, tokens
from hybridlm.models import decoder

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


def answers(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Token ids and the logits of the network itself."""
    npz = np.load(FIXTURES / name / "answers.npz")
    return npz["ids"], npz["logits"]


def logits(model, params, ids_BT, window: int = 0) -> jax.Array:
    """Our logits; a token sees `window` others before it (0: all), and later ones too where the layout says so."""
    query, key = np.indices(2 * ids_BT.shape[1:])
    sees = np.ones(query.shape, bool)
    if model.objective.layout == "causal":
        sees &= key <= query
    if window:
        sees &= query - key <= window

    def mix(layer, q, k, v, state):
        return jax.nn.dot_product_attention(q, k, v, mask=sees[None, None]), state

    config = dataclasses.replace(model.config, loop="scan")  # the same numbers, compiled faster

    @jax.jit
    def forward(params, ids_BT):
        facts = tokens.one_document(ids_BT.shape[1])
        h_BTD, _ = decoder.apply(config, model.vocab_size, params, ids_BT, facts, mix)
        return head.logits(decoder.head(params, config, model.vocab_size), h_BTD)

    return forward(params, ids_BT)
