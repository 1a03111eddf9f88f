"""Our decoder as samplers want it: nothing is done per token that could be done once."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from hybridlm.config.model import ModelConfig
from hybridlm.models import decoder
from hybridlm.offline.opened import Opened
from hybridlm.sampling.network import Network, stacked, unstacked
from hybridlm.sampling.samplers import Trained

ROUNDED = ("tokens", "kernel", "qkv", "out", "up", "down", "dense")
"""Names of the matrices that products read in the network's own dtype; norms stay in float32."""

SUMMED = {"qkv": 1, "up": 1, "down": 1, "out": 2}
"""Over how many axes, the first ones of a layer's matrix, its product sums."""


def of_decoder(
    config: ModelConfig, vocab_size: int, params: Mapping[str, Any], never_ids: Sequence[int] = ()
) -> Network:
    """The decoder, with matrices rounded to its dtype once instead of at every token.

    An unrolled decoder holds every layer's parameters in arrays of their own, so that no token pays for slicing them,
    and what a product sums over lies side by side in memory, so that the product with one token is a sum along rows.
    """
    rounded = jax.tree.map_with_path(functools.partial(_rounded, config.dtype), dict(params))
    if config.loop == "unroll":
        rounded["layers"] = tuple(jax.tree.map_with_path(_sums_last, one) for one in unstacked(rounded["layers"]))
    return Network(rounded, *_functions(config, vocab_size, tuple(never_ids)))


def of_opened(opened: Opened) -> Network:
    """The network on one device, its layers unrolled; ids that the tokenizer lacks are never written."""
    task = opened.task
    config = dataclasses.replace(task.model, loop="unroll", remat="none")
    holes = range(opened.tokenizer.vocab_size, task.vocab_size)
    params = jax.device_put(opened.params, jax.devices()[0])
    return of_decoder(config, task.vocab_size, params, never_ids=sorted({*task.ids.never, *holes}))


def trained(opened: Opened) -> Trained:
    """What a sampler asks of the model."""
    experiment, ids = opened.experiment, opened.task.ids
    about = {"mask_id": ids.mask, "eos": opened.tokenizer.eos, "size": ids.size, "never": ids.never}
    return Trained(objectives=experiment.objectives, mask=experiment.mask, **about)


@functools.cache
def _functions(config: ModelConfig, vocab_size: int, never_ids: tuple[int, ...]) -> tuple[Callable, Callable]:
    """The same two functions for equal arguments, so that equal networks share what is compiled."""
    head = functools.partial(decoder.head, config=config, vocab_size=vocab_size, never_ids=never_ids)
    return functools.partial(_apply, config, vocab_size), head


def _rounded(dtype: str, path: tuple, leaf: Array) -> Array:
    return leaf.astype(dtype) if path[-1].key in ROUNDED else leaf


def _sums_last(path: tuple, leaf: Array) -> Array:
    axes = range(SUMMED.get(path[-1].key, 0))
    return jnp.moveaxis(leaf, axes, range(-len(axes), 0))


def _sums_first(path: tuple, leaf: Array) -> Array:
    axes = range(SUMMED.get(path[-1].key, 0))
    return jnp.moveaxis(leaf, range(-len(axes), 0), axes)


def _apply(
    config: ModelConfig, vocab_size: int, params: Mapping[str, Any], tokens_BT: Int[Array, "B T"], *rest, **given
) -> tuple[Float[Array, "B T D"], Any]:
    if isinstance(params["layers"], tuple):
        # turning them back costs nothing: XLA reads them as they lie
        layers = [jax.tree.map_with_path(_sums_first, one) for one in params["layers"]]
        params = {**params, "layers": stacked(layers)}
    return decoder.apply(config, vocab_size, params, tokens_BT, *rest, **given)
