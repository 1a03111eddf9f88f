"""The training step as JAX's users write it, for `benchmarks.train_step` to be compared with.

    python -m benchmarks.jax_step                             124M parameters, 32 rows of 1024
    python -m benchmarks.jax_step --preset=1.3B --rows=8 --length=2048

One function of nested dicts: layers unrolled, cuDNN's attention through `jax.nn`, all logits in float32 at once, and
optax; float32 parameters, products in bfloat16. The network is the preset's own. Prints the other benchmarks' line.
"""

import argparse
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.torch_step import Shape, asked, batch, report


def parameters(shape: Shape) -> dict:
    """Normal matrices, norms of ones."""
    m, random = shape.model, np.random.default_rng(0)

    def matrix(*size):
        return jnp.asarray(random.normal(0, m.init_std, size), jnp.float32)

    def layer():
        return {
            "norms": jnp.ones((2, m.width)),
            "qkv": matrix(m.width, 3, m.heads, m.key_width),
            "out": matrix(m.heads, m.key_width, m.width),
            "up": matrix(m.width, 2, m.ffn),
            "down": matrix(m.ffn, m.width),
        }

    head = {} if m.tied_head else {"head": matrix(shape.vocabulary, m.width)}
    return head | {
        "tokens": matrix(shape.vocabulary, m.width),
        "layers": [layer() for _ in range(m.layers)],
        "norm": jnp.ones(m.width),
    }


def loss(shape: Shape, params: dict, tokens, targets, weights):
    """Mean cross-entropy of the next token."""
    m = shape.model
    angle = jnp.arange(shape.length)[:, None] * m.rotary_base ** (-jnp.arange(0, m.key_width, 2) / m.key_width)
    cosine, sine = jnp.cos(angle)[:, None], jnp.sin(angle)[:, None]

    def normed(x, scale):
        wide = x.astype(jnp.float32)
        return (wide * jax.lax.rsqrt(jnp.mean(wide**2, -1, keepdims=True) + m.norm_eps) * scale).astype(x.dtype)

    def turned(x):
        first, second = jnp.split(x.astype(jnp.float32), 2, -1)
        return jnp.concatenate([first * cosine - second * sine, second * cosine + first * sine], -1).astype(x.dtype)

    def product(pattern, x, kernel):
        return jnp.einsum(pattern, x, kernel.astype(x.dtype))

    h = params["tokens"].astype(jnp.bfloat16)[tokens]
    for layer in params["layers"]:
        q, k, v = jnp.unstack(product("btd,dchk->btchk", normed(h, layer["norms"][0]), layer["qkv"]), axis=2)
        seen = jax.nn.dot_product_attention(turned(q), turned(k), v, is_causal=True, implementation="cudnn")
        h = h + product("bthk,hkd->btd", seen, layer["out"])
        gate, up = jnp.unstack(product("btd,dcf->btcf", normed(h, layer["norms"][1]), layer["up"]), axis=2)
        h = h + product("btf,fd->btd", jax.nn.silu(gate) * up, layer["down"])
    logits = product("btd,vd->btv", normed(h, params["norm"]), params.get("head", params["tokens"])).astype(jnp.float32)
    nll = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    return jnp.sum(nll * weights) / jnp.sum(weights)


def stepper(shape: Shape) -> Callable[[int], None]:
    """Takes so many compiled steps and waits for them."""
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(3e-4, b1=0.9, b2=0.95, weight_decay=0.1))
    columns = jax.tree.map(jnp.asarray, batch(shape))

    def step(params, state):
        gradient = jax.grad(loss, 1)(shape, params, *columns)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    compiled, params = jax.jit(step, donate_argnums=(0, 1)), parameters(shape)
    held = [params, optimizer.init(params)]

    def take(times):
        for _ in range(times):
            held[:] = compiled(*held)
        jax.block_until_ready(held)

    return take


def main() -> None:
    """Prints one line."""
    flags = asked(argparse.ArgumentParser(description=__doc__))
    if flags.shape.two_streams:
        print("skipped: for two streams `jax.nn` has dense attention alone")
        return
    report(f"jax {jax.__version__} cuDNN", flags.shape, stepper(flags.shape), flags.pairs, flags.burst)


if __name__ == "__main__":
    main()
