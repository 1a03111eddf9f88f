"""The optimizer as data: AdamW (Loshchilov & Hutter 2019) on a schedule, or any optax transformation by import path."""

import fnmatch
import importlib

import jax
import optax
from jaxtyping import PyTree

from hybridlm.config.errors import ConfigError, nearest, require
from hybridlm.config.training import OptimizerConfig

UNDECAYED = ("*embedding*", "*norm", "*scale", "*bias")
"""Paths of leaves that weight decay never touches, whatever their shape: layers are stacked, so the scale of a norm is
a matrix too, and only its name tells. Anything with fewer than two axes is left alone as well."""


def make(config: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    """The gradient transformation of a run of `total_steps`; its updates carry the learning rate already."""
    rate = learning_rate_at(config, total_steps)
    if config.name != "adamw":
        return _imported(config, rate)
    own = {name: getattr(config, name) for name in ("b1", "b2", "eps", "weight_decay")}
    adamw = optax.adamw(rate, mu_dtype=config.first_moment, mask=is_decayed, **own)
    return optax.chain(optax.clip_by_global_norm(config.clip), adamw) if config.clip else adamw


def learning_rate_at(config: OptimizerConfig, total_steps: int) -> optax.Schedule:
    """Step, from 0 -> learning rate: a linear rise, then the config's schedule down to `final` at `total_steps`."""
    peak, last = config.learning_rate, config.learning_rate * config.final
    falling = config.decay_steps(total_steps)
    require(
        config.warmup + falling < total_steps,
        f"optimizer.warmup={config.warmup} and a decay over {falling} steps leave none of training.steps={total_steps} "
        "at the peak learning rate; shorten them, or train for longer.",
    )
    rise = optax.linear_schedule(0.0, peak, config.warmup)
    match config.schedule:
        case "cosine":
            fall = optax.cosine_decay_schedule(peak, total_steps - config.warmup, alpha=config.final)
            return optax.join_schedules([rise, fall], [config.warmup])
        case "wsd":
            parts = [rise, optax.constant_schedule(peak), optax.linear_schedule(peak, last, falling)]
            return optax.join_schedules(parts, [config.warmup, total_steps - falling])
        case _:
            return optax.join_schedules([rise, optax.constant_schedule(peak)], [config.warmup])


def is_decayed(params: PyTree) -> PyTree:
    """True for the leaves that weight decay shrinks: matrices, whatever layer they belong to."""

    def decays(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return leaf.ndim >= 2 and not any(fnmatch.fnmatch(name, pattern) for pattern in UNDECAYED)

    return jax.tree_util.tree_map_with_path(decays, params)


def _imported(config: OptimizerConfig, rate: optax.Schedule) -> optax.GradientTransformation:
    build = _load(config.name)
    try:
        optimizer = build(rate, **config.options)
    except TypeError as error:
        raise ConfigError(
            f"optimizer.name={config.name!r} does not accept (learning_rate, **{config.options}): {error}; "
            "change --config.optimizer.options to its keyword arguments."
        ) from error
    require(
        isinstance(optimizer, optax.GradientTransformation),
        f"optimizer.name={config.name!r} returned {type(optimizer).__name__}, not an optax.GradientTransformation; "
        "name a function such as 'optax.contrib:muon'.",
    )
    return optimizer


def _load(name: str):
    module_name, _, function = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(
            f"optimizer.name={name!r}: {error}; write 'package.module:function', and install a missing package."
        ) from error
    if not hasattr(module, function):
        hint = nearest(function, (public for public in dir(module) if not public.startswith("_")))
        raise ConfigError(f"optimizer.name={name!r}: {module_name} has no {function!r}{hint}")
    return getattr(module, function)
