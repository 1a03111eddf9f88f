"""The fused backends against the dense reference on a real card, forward and backward, in bfloat16.

JAX_PLATFORMS=cuda python -m pytest -n0 -m gpu tests/attention/test_on_gpu.py
JAX_PLATFORMS=cuda python tests/attention/test_on_gpu.py [PART OF A NAME]     without pytest: prints the errors

The second way compiles every case in a process of its own, all at once, and then runs one after the other, alone.
"""

import faulthandler
import functools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from hybridlm import attention, masks
from hybridlm.attention.mosaic import call, cuts
from hybridlm.facts import tokens
from hybridlm.models.rotary import rotate

NEAR = 0.015
"""The largest relative error (of norms); one rounding to bfloat16 costs up to 0.004."""
NAMES = ("out", "dq", "dk", "dv")
IN_ONE_PASS = "mosaic, all gradients in one pass"
AS_EXPRESSION, EXPRESSION_IN_ONE_PASS = "mosaic, reading the expression", "reading the expression, in one pass"
"""As rows too long for bits are taken."""
KERNELS = {IN_ONE_PASS: (True, True), AS_EXPRESSION: (False, False), EXPRESSION_IN_ONE_PASS: (False, True)}
"""Whether they read bits, and whether all gradients are made in one pass."""


def random(q_facts, k_facts, H, J, K):
    """q, k, v and a cotangent for these tokens."""
    (B, T), S = q_facts.shape, (k_facts or q_facts).shape[1]
    generator = np.random.default_rng(T + K)
    shapes = (B, T, H, K), (B, S, J, K), (B, S, J, K), (B, T, H, K)
    return [jnp.asarray(generator.standard_normal(shape, np.float32), jnp.bfloat16) for shape in shapes]


def compiled(function, *arguments):
    return jax.jit(function).lower(*arguments).compile()


def with_gradients(attend, *arrays):
    *given, dout = arrays
    out, pull = jax.vjp(attend, *given)
    return out, *pull(dout)


def chosen(backend, mask, q_facts, k_facts, q):
    """The attention of a backend, asked for by name; `test_plans.py` holds what the router chooses."""
    if backend in KERNELS:
        in_bits, in_one_pass = KERNELS[backend]
        K, prepared = q.shape[-1], call.prepare(mask, q_facts, k_facts, in_bits=in_bits)
        cut = cuts.CUTS[K]._replace(backward=cuts.IN_ONE_PASS[K] if in_one_pass else None)
        return lambda *qkv: call.attend(prepared, *qkv, K**-0.5, cut)[0]
    return attention.plan(mask, q_facts, k_facts, dtype=q.dtype, head_width=q.shape[-1], backend=backend).attend


def through(backend, mask, q_facts, k_facts, *arrays):
    """Output and gradients of a backend."""
    return with_gradients(chosen(backend, mask, q_facts, k_facts, arrays[0]), *arrays)


def errors(found, expected):
    """Relative errors by name; a gradient of nothing is held against the size of its inputs."""
    pairs = {name: (np.asarray(a, np.float64), np.asarray(b, np.float64)) for name, a, b in zip(NAMES, found, expected)}
    return {name: np.linalg.norm(a - b) / (np.linalg.norm(b) or np.sqrt(b.size)) for name, (a, b) in pairs.items()}


def hold_against_reference(backend, mask, q_facts, k_facts=None, *, H, J, K):
    """Near the reference in float32 with memory poisoned before; zeros where nothing is seen; ours twice alike."""
    arrays = q_facts, k_facts, *random(q_facts, k_facts, H, J, K)
    wide = *arrays[:2], *(array.astype(jnp.float32) for array in arrays[2:])
    with jax.default_matmul_precision("highest"):
        reference = compiled(functools.partial(through, "dense", mask), *wide)
    fused = compiled(functools.partial(through, backend, mask), *arrays)
    seen = compiled(functools.partial(masks.materialize, mask), q_facts, k_facts)

    def check():
        expected = reference(*wide)
        jax.block_until_ready([jnp.full(2**26, jnp.nan) for _ in range(4)])
        found, again = fused(*arrays), fused(*arrays)
        off = errors(found, expected)
        assert max(off.values()) < NEAR, f"{mask!r} is off by {off}"
        hidden = ~np.asarray(seen(q_facts, k_facts))
        for name, got, repeated in zip(NAMES, found, again):
            unseen = hidden.all(2 if name in ("out", "dq") else 1)
            assert not np.asarray(got)[unseen].any(), f"{name} where nothing is seen"
            added_up = KERNELS[backend][1] if backend in KERNELS else cuts.pays(mask, q_facts.shape[1], K)
            if backend != "cudnn" and not (added_up and name == "dq"):
                assert np.array_equal(got, repeated), f"{name} of {mask!r} differs between two runs"
        return off

    return [check]


def packed(T, *ends):
    """Rows of documents that end there; what follows the last is padding."""
    segment = np.stack([np.searchsorted(end, np.arange(T), side="right") + 1 for end in ends])
    segment = np.where(segment > np.array([len(end) for end in ends])[:, None], 0, segment)
    index = np.broadcast_to(np.arange(T), segment.shape)
    return tokens.from_columns(segment, index, index_BT=index)


def two_streams(T, block):
    """Clean tokens, then noisy copies of them."""
    index = np.tile(np.arange(T // 2), 2)[None]
    stream = (np.arange(T) >= T // 2)[None].astype(np.int32)
    return tokens.from_columns(np.ones_like(index), index, index_BT=index, block_BT=index // block, stream_BT=stream)


def one_document(*, T=256, lengths=(0, 1, 77, 256), **extra):
    """Rows of one document with a fact of the row each."""
    ones = np.ones((len(lengths), T), np.int32)
    columns = {name: np.array(values)[:, None] * ones for name, values in {"length": lengths, **extra}.items()}
    return tokens.from_columns(ones, np.arange(T) * ones, extra=columns)


CAUSAL, IN_DOCUMENTS = masks.causal(), masks.same_segment() & masks.valid()


def documents():
    """The last document of a row ends before the row; no block divides the length. With 8 heads more tiles than a
    card has processors, so that thread blocks take several."""
    return packed(1000, (180, 500, 612, 990), (1000,), (3,), (64, 128, 777))


def case_packed_documents_and_padding_no_block_divides_64_wide():
    return hold_against_reference("mosaic", CAUSAL & IN_DOCUMENTS, documents(), H=16, J=8, K=64)


def case_two_sided_window_in_documents_128_wide():
    return hold_against_reference("mosaic", masks.window(70, 3) & IN_DOCUMENTS, documents(), H=8, J=8, K=128)


def case_block_diffusion_in_two_streams_one_key_head_128_wide():
    return hold_against_reference("mosaic", masks.block_diffusion(), two_streams(2048, 32), H=16, J=1, K=128)


def case_block_diffusion_in_two_streams_64_wide():
    return hold_against_reference("mosaic", masks.block_diffusion(), two_streams(1024, 16), H=4, J=4, K=64)


def case_block_diffusion_in_two_streams_as_an_expression_64_wide():
    return hold_against_reference(AS_EXPRESSION, masks.block_diffusion(), two_streams(1024, 16), H=16, J=16, K=64)


def case_packed_documents_as_an_expression_128_wide():
    return hold_against_reference(AS_EXPRESSION, CAUSAL & IN_DOCUMENTS, documents(), H=8, J=8, K=128)


def case_in_one_pass_packed_documents_as_an_expression_128_wide():
    return hold_against_reference(EXPRESSION_IN_ONE_PASS, CAUSAL & IN_DOCUMENTS, documents(), H=8, J=4, K=128)


def case_a_dense_array_64_wide():
    seen = np.random.default_rng(0).random((500, 500)) < np.linspace(0, 0.2, 500)
    return hold_against_reference("mosaic", masks.dense(seen), packed(500, (500,), (400,)), H=4, J=2, K=64)


def case_a_prefix_for_each_row_128_wide():
    facts = one_document(T=640, lengths=(640,) * 3, prefix_length=(1, 130, 640))
    return hold_against_reference("mosaic", CAUSAL | masks.prefix(), facts, H=4, J=2, K=128)


def case_a_user_s_mask_and_queries_from_an_offset_on():
    keys = packed(777, (300, 700))
    queries = jax.tree.map(lambda column: column[:, 500:], keys)
    mask = masks.custom(lambda q, k: ((q.index - k.index) % 3 == 0) & (q.index >= k.index) & ~(q.segment == k.segment))
    return hold_against_reference("mosaic", mask, queries, keys, H=4, J=2, K=64)


def case_everything_128_wide():
    mask = masks.custom(lambda q, k: q.index >= 0)
    return hold_against_reference("mosaic", mask, packed(512, (512,)), H=2, J=2, K=128)


def case_causal_with_a_window_of_one_and_padding_64_wide():
    facts = one_document(T=202, lengths=(0, 150, 202))
    taken = CAUSAL, CAUSAL & masks.window(0), CAUSAL & masks.padding()
    return [check for mask in taken for check in hold_against_reference("mosaic", mask, facts, H=4, J=2, K=64)]


def case_in_one_pass_packed_documents_and_padding_64_wide():
    return hold_against_reference(IN_ONE_PASS, CAUSAL & IN_DOCUMENTS, documents(), H=16, J=4, K=64)


def case_in_one_pass_two_sided_window_in_documents_128_wide():
    return hold_against_reference(IN_ONE_PASS, masks.window(70, 3) & IN_DOCUMENTS, documents(), H=8, J=8, K=128)


def case_in_one_pass_block_diffusion_one_key_head_128_wide():
    return hold_against_reference(IN_ONE_PASS, masks.block_diffusion(), two_streams(2048, 32), H=16, J=1, K=128)


def case_in_one_pass_strided_as_the_router_takes_it_64_wide():
    mask = CAUSAL & masks.strided(4) & IN_DOCUMENTS
    assert cuts.pays(mask, 1000, 64)
    return hold_against_reference("mosaic", mask, documents(), H=8, J=2, K=64)


def case_in_one_pass_everything_64_wide():
    mask = masks.custom(lambda q, k: q.index >= 0)
    return hold_against_reference(IN_ONE_PASS, mask, packed(2048, (2048,), (2048,)), H=4, J=4, K=64)


def case_the_gradient_of_a_projection_64_wide():
    return of_projection(CAUSAL & IN_DOCUMENTS, packed(1024, (180, 500, 1024), (300, 990)), J=8, group=1, K=64)


def case_the_gradient_of_a_projection_grouped_128_wide():
    return of_projection(CAUSAL & masks.window(300), one_document(T=640, lengths=(640,) * 4), J=2, group=4, K=128)


def of_projection(mask, facts, *, J, group, K):
    """Rotated queries and keys out of one array, whose gradient the kernels write where it belongs."""
    (B, T), generator = facts.shape, np.random.default_rng(0)
    shapes = (B, T, J, group + 2, K), (B, T, J * group, K)
    x, dout = (jnp.asarray(generator.standard_normal(shape, np.float32), jnp.bfloat16) for shape in shapes)
    angles = jnp.asarray(generator.uniform(0, 6, (1, T, K // 2)), jnp.float32)
    rotation = jnp.cos(angles), jnp.sin(angles)

    def heads_of(x, rotation):
        q, k, v = x[:, :, :, :-2].reshape(shapes[1]), x[:, :, :, -2], x[:, :, :, -1]
        return rotate(q, rotation), rotate(k, rotation), v

    def fused(facts, x, dout):
        planned = attention.plan(mask, facts, dtype=x.dtype, head_width=K, backend="mosaic")
        return with_gradients(lambda x: planned.mix.of_projection(x, rotation, heads_of), x, dout)

    def reference(facts, x, dout):
        planned = attention.plan(mask, facts, dtype=x.dtype, head_width=K, backend="dense")
        return with_gradients(lambda x: planned.attend(*heads_of(x, rotation)), x, dout)

    wide = [array.astype(jnp.float32) for array in (x, dout)]
    with jax.default_matmul_precision("highest"):
        reference = compiled(reference, facts, *wide)
    fused = compiled(fused, facts, x, dout)

    def check():
        expected = reference(facts, *wide)
        jax.block_until_ready([jnp.full(2**26, jnp.nan) for _ in range(4)])
        found, again = fused(facts, x, dout), fused(facts, x, dout)
        assert np.array_equal(found[1], again[1]), "differs between two runs"
        pairs = [(found[0], expected[0]), *((found[1][..., n, :], expected[1][..., n, :]) for n in (0, -2, -1))]
        off = errors(*zip(*pairs))
        assert max(off.values()) < NEAR, f"off by {off}"
        return off

    return [check]


def case_log_sum_exp_and_keys_that_are_hidden_and_not_a_number():
    mask, facts = CAUSAL & IN_DOCUMENTS, packed(300, (100, 200))
    q, k, v, dout = random(facts, None, 2, 2, 64)
    seen = np.asarray(masks.materialize(mask, facts))[0]
    scores = jnp.einsum("BTHK,BSHK->BHTS", *(array.astype(jnp.float32) for array in (q, k)), precision="highest")
    wanted = jax.nn.logsumexp(jnp.where(seen, scores / 8, -jnp.inf), -1)
    prepared = call.prepare(mask, facts, None)

    def with_sum(q, k, v, dout):
        out, pull, lse = jax.vjp(lambda *qkv: call.attend(prepared, *qkv, 1 / 8), q, k, v, has_aux=True)
        return lse, out, *pull(dout)

    fused = compiled(with_sum, q, k, v, dout)

    def check():
        found = fused(q, k, v, dout)
        rows = seen.any(1)
        assert np.isneginf(np.asarray(found[0])[..., ~rows]).all()
        broken = fused(q, jnp.where(seen.any(0)[:, None, None], k, jnp.nan), v, dout)
        for name, got, want in zip(("lse", "out", "dq", "dk", "dv"), broken, found):
            if name != "dq":  # adds 0 times the hidden keys of a block with visible ones
                assert np.array_equal(got, want), f"{name} reads keys that are hidden"
        off = float(abs(found[0] - wanted)[..., rows].max())
        assert off < NEAR, f"the log-sum-exp is off by {off}"
        return {"lse": off}

    return [check]


def case_mapped_sharded_and_recomputed():
    return in_many_ways(CAUSAL & IN_DOCUMENTS, same=1e-5)


def case_in_one_pass_mapped_sharded_and_recomputed():
    return in_many_ways(CAUSAL & IN_DOCUMENTS & masks.strided(2), same=1e-3)  # dq is added up in another order


def in_many_ways(mask, same):
    facts = packed(256, (100, 256), (30, 200))
    arrays = random(facts, None, 2, 2, 64)

    def attend(segment, *qkv):
        known = tokens.from_columns(segment, jnp.arange(segment.shape[1])[None])
        return chosen("mosaic", mask, known, None, qkv[0])(*qkv)

    def plain(segment, *arrays):
        return with_gradients(functools.partial(attend, segment), *arrays)

    def mapped(segment, *arrays):
        each = jax.vmap(lambda segment, *one: plain(segment[None], *(array[None] for array in one)))
        return [array[:, 0] for array in each(segment, *arrays)]

    def recomputed(segment, *arrays):
        return with_gradients(jax.checkpoint(functools.partial(attend, segment)), *arrays)

    mesh = jax.make_mesh((1, 1), ("data", "heads"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    heads = P("data", None, "heads")
    sharded = jax.shard_map(plain, mesh=mesh, in_specs=(P("data"), *[heads] * 4), out_specs=heads, check_vma=False)
    ways = {"mapped": mapped, "sharded": sharded, "recomputed": recomputed}
    once, *others = (compiled(way, facts.segment, *arrays) for way in (plain, *ways.values()))

    def check():
        expected = once(facts.segment, *arrays)
        off = {name: max(errors(way(facts.segment, *arrays), expected).values()) for name, way in zip(ways, others)}
        assert max(off.values()) < same, f"not the same: {off}"
        return off

    return [check]


def cudnn(mask, facts=None, *, J=4, K=64):
    return hold_against_reference("cudnn", mask, facts or one_document(), H=4, J=J, K=K)


def case_cudnn_64_wide():
    window, padding = masks.window(100), masks.padding()
    taken = CAUSAL, masks.bidirectional(), CAUSAL & window, padding, CAUSAL & padding
    return [check for mask in taken for check in cudnn(mask)]


def case_cudnn_128_wide_and_grouped():
    taken = CAUSAL, masks.bidirectional(), CAUSAL & masks.window(100)
    return [check for mask in taken for check in cudnn(mask, J=2, K=128)] + cudnn(CAUSAL & masks.padding(), J=1, K=128)


def case_cudnn_windows_of_one_and_longer_than_the_row():
    return cudnn(CAUSAL & masks.window(0)) + cudnn(CAUSAL & masks.window(1000))


def case_cudnn_lengths_that_are_no_multiple_of_a_block():
    facts = one_document(T=202, lengths=(0, 150, 202))
    return cudnn(CAUSAL & masks.padding(), facts) + cudnn(CAUSAL, facts)


CASES: dict[str, Callable] = {name[5:]: case for name, case in list(globals().items()) if name.startswith("case_")}
"""Each compiles when it is called, and gives the checks to run then; a check returns errors by name."""

try:
    import pytest
except ImportError:  # run as a script
    pass
else:

    @pytest.mark.gpu
    @pytest.mark.parametrize("case", CASES.values(), ids=CASES)
    def test_on_gpu(case):
        if jax.default_backend() != "gpu":
            pytest.skip(f"these kernels need an NVIDIA GPU, and this is {jax.default_backend()}")
        for check in case():
            check()


def text(found):
    """Errors for people."""
    return "; ".join(" ".join(f"{name} {value:.2g}" for name, value in errors.items()) for errors in found)


def work(pipe, name):
    """A process: compiles a case, says so, and runs it when it is told to."""
    faulthandler.register(signal.SIGUSR1)
    try:
        checks = CASES[name]()
        pipe.send(True)
        pipe.recv()
        pipe.send(text([check() for check in checks]))
    except Exception as problem:  # the other cases go on
        pipe.send(f"FAILED {type(problem).__name__}: {str(problem)[:500]}")


def receive(process, pipe, seconds, doing):
    """What a process says in time; if nothing, it shows where it is, and ends."""
    try:
        if pipe.poll(max(0, seconds)):
            return pipe.recv()
        os.kill(process.pid, signal.SIGUSR1)
        time.sleep(1)
        return f"FAILED, {doing} for too long"
    except EOFError:
        return f"FAILED, ended while {doing}"


def run(names, seconds=120):
    """All cases at once until compiled, then one by one; how many failed."""
    # nobody takes the whole card, or spends minutes on trying out how the reference multiplies fastest
    os.environ.update(XLA_PYTHON_CLIENT_PREALLOCATE="false", XLA_FLAGS="--xla_gpu_autotune_level=0")
    spawn, running, start, failed = multiprocessing.get_context("spawn"), [], time.monotonic(), 0
    for name in names:
        pipe, end = spawn.Pipe()
        process = spawn.Process(target=work, args=(end, name), daemon=True)
        process.start()
        end.close()
        running.append((name, process, pipe))
    for name, process, pipe in running:
        said = receive(process, pipe, start + seconds - time.monotonic(), "compiling")
        if said is True:
            pipe.send("go")
            said = receive(process, pipe, 10, "running")
        process.kill()
        failed += said.startswith("FAILED")
        print(f"{time.monotonic() - start:5.1f} s  {name}: {said}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(run([name for name in CASES if all(part in name for part in sys.argv[1:])]))
