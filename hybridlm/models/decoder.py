"""The decoder as a Flax module, and beside it the plain functions through which every other room uses it.

tokens + facts -> embeddings -> layers, in which the injected `mix` moves information between tokens -> hidden states.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from hybridlm.config.model import ModelConfig
from hybridlm.facts.head import Head
from hybridlm.facts.tokens import TokenFacts
from hybridlm.models import time
from hybridlm.models.activations import ACTIVATIONS
from hybridlm.models.layer import Constrain, Mix, Shared, layer
from hybridlm.models.norms import norm
from hybridlm.models.parameters import Leaf, leaves
from hybridlm.models.rotary import rotation
from hybridlm.models.stack import over_layers


def anywhere(x: Array, names: Sequence[str | None]) -> Array:
    """The `constrain` of a single device: an array may lie where it likes."""
    return x


class Leaves(nn.Module):
    """Declares a nested table of leaves as parameters under the same paths."""

    table: Mapping[str, Any]

    @nn.compact
    def __call__(self) -> dict:
        return {
            name: self.param(name, entry.draw) if isinstance(entry, Leaf) else Leaves(entry, name=name)()
            for name, entry in self.table.items()
        }


class Decoder(nn.Module):
    """A transformer decoder; `vocab_size` is the tokenizer's, before padding."""

    config: ModelConfig
    vocab_size: int

    @nn.compact
    def parameters(self) -> dict:
        """The parameter tree, declared once; `init` with this method never runs the network."""
        return {name: Leaves(table, name=name)() for name, table in leaves(self.config, self.vocab_size).items()}

    def __call__(
        self,
        tokens_BT: Int[Array, "B T"],
        facts: TokenFacts,
        mix: Mix,
        *,
        state: Any = None,
        noise_BT: Float[Array, "B T"] | None = None,
        constrain: Constrain = anywhere,
        first: int = 0,
    ) -> tuple[Float[Array, "B U D"], Any]:
        """Hidden states after the final norm from token `first` on, and the new state of every layer, stacked."""
        config, params = self.config, self.parameters()
        shared = Shared(rotation(config, facts.position), _time(config, params, tokens_BT, noise_BT), mix, constrain)
        h_BTD = _embed(config, params["embedding"], tokens_BT, facts, constrain)
        h_BTD = constrain(h_BTD, ("batch", "token", "model"))
        step = functools.partial(layer, config, shared)
        last = functools.partial(step, first=first)
        h_BTD, state = over_layers(step, last, params["layers"], h_BTD, state, loop=config.loop, remat=config.remat)
        h_BTD = h_BTD[:, first - tokens_BT.shape[1] :]  # layers of a scan are all alike: the last makes every token
        if config.final_dense != "none":
            h_BTD = _dense(config, params["final_dense"], h_BTD)
        if config.final_norm:
            h_BTD = norm(config, params["final_norm"], h_BTD, shared.time_BTE)
        return h_BTD, state


def _time(config, params, tokens_BT, noise_BT):
    if not config.time_conditioning:
        return None
    noise_BT = jnp.zeros(tokens_BT.shape) if noise_BT is None else noise_BT
    return time.features(params["time"], noise_BT).astype(config.dtype)


def _embed(config, params, tokens_BT, facts, constrain):
    # brought together first: rows of a table cut along D would move all activations to where they belong, twice
    h_BTD = _rows(constrain(params["tokens"], ("id", None)), tokens_BT)
    if "positions" in params:
        h_BTD = h_BTD + _rows(params["positions"], facts.position)
    if "norm" in params:
        h_BTD = norm(config, params["norm"], h_BTD)
    return h_BTD.astype(config.dtype)


def _dense(config, params, h_BTD):
    kernel_DD, bias_D = (params[name].astype(h_BTD.dtype) for name in ("dense", "dense_bias"))
    return ACTIVATIONS[config.final_dense](h_BTD @ kernel_DD + bias_D)


def _rows(table_VD, ids_BT):
    """Rows of a table; an id outside it becomes NaN, where plain indexing would quietly read some other row."""
    return table_VD.at[ids_BT].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


def init(config: ModelConfig, vocab_size: int, key: Key[Array, ""]) -> dict:
    """Fresh float32 parameters as a plain nested dict."""
    return Decoder(config, vocab_size).init(key, method="parameters")["params"]


def shapes(config: ModelConfig, vocab_size: int) -> dict:
    """The tree of `init` as shapes and dtypes; allocates nothing."""
    return jax.eval_shape(functools.partial(init, config, vocab_size), jax.random.key(0))


def apply(
    config: ModelConfig,
    vocab_size: int,
    params: Mapping[str, Any],
    tokens_BT: Int[Array, "B T"],
    facts: TokenFacts,
    mix: Mix,
    *,
    state: Any = None,
    noise_BT: Float[Array, "B T"] | None = None,
    constrain: Constrain = anywhere,
    first: int = 0,
) -> tuple[Float[Array, "B U D"], Any]:
    """Hidden states after the final norm from token `first` on, and the state `mix` returned for every layer, stacked.

    `noise_BT` is the share of tokens a corruption replaces, 1 - alpha(t); None is clean text. A token id or a learned
    position outside its table gives NaN at that token.
    """
    network = Decoder(config, vocab_size)
    given = {"state": state, "noise_BT": noise_BT, "constrain": constrain, "first": first}
    return network.apply({"params": params}, tokens_BT, facts, mix, **given)


def head(params: Mapping[str, Any], config: ModelConfig, vocab_size: int, never_ids: Sequence[int] = ()) -> Head:
    """The map from hidden states to logits; ids the tokenizer lacks are never predicted, nor are `never_ids`."""
    own = params.get("head", {})
    return Head(
        kernel_VD=params["embedding"]["tokens"] if config.tied_head else own["kernel"],
        bias_V=own.get("bias"),
        never_V=_never(config.padded_vocab(vocab_size), vocab_size, never_ids),
        softcap=config.logit_softcap or None,
    )


def _never(rows, vocab_size, never_ids):
    outside = [i for i in never_ids if not 0 <= i < vocab_size]
    if outside:
        raise ValueError(f"never_ids must be vocabulary ids from 0 to {vocab_size - 1}, but {outside} are not.")
    is_never_V = np.arange(rows) >= vocab_size
    is_never_V[list(never_ids)] = True
    return jnp.asarray(is_never_V) if is_never_V.any() else None
