"""On several devices each runs the kernel for its own tokens, and what comes out is what the plain path gives there."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import mosaic_gpu as plgpu
from jax.sharding import AbstractMesh, AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from hybridlm.config.mesh import MeshConfig
from hybridlm.facts import devices
from hybridlm.facts.head import Head
from hybridlm.scoring import nll, odds
from hybridlm.sharding import mesh, rules

B, T, D, V = 8, odds.TOKENS, odds.DEPTH, 2 * odds.IDS
CUTS_ROWS = [{"data": 2}, {"data": 1, "fsdp": 2}, {"data": 2, "fsdp": 2}, {"replica": 2, "data": 2, "fsdp": 2}]
CUTS_MORE = [{"data": 2, "tensor": 2}, {"data": 1, "sequence": 2}]


def defined(hidden_ND, kernel_VD, bias_V, targets_N, target_logit_N):
    """What the kernel computes, which is tested elsewhere; takes no time to compile."""
    logits_NV = jnp.einsum("nd,vd->nv", hidden_ND, kernel_VD, preferred_element_type=jnp.float32) + bias_V
    is_target_NV = targets_N[:, None] == jnp.arange(len(bias_V))
    more_NV = jnp.minimum(logits_NV - target_logit_N[:, None], odds.WORST)
    odds_NV = jnp.where(is_target_NV, 0, jnp.exp(more_NV))
    return odds_NV.astype(jnp.bfloat16), odds_NV.sum(1)


@pytest.fixture
def hopper(monkeypatch):
    """The CPU's devices count as Hopper GPUs, and the kernel is replaced by its definition."""
    monkeypatch.setattr(devices, "CAPABILITIES", {None})
    monkeypatch.setattr(odds, "odds", defined)


def on_mesh(sizes):
    return mesh.make(MeshConfig(**{"data": 1} | sizes), jax.devices()[: int(np.prod(list(sizes.values())))])


def arrays():
    """Hidden states, the table, its bias; targets, and weights that are 0 from another place on in every row."""
    random = np.random.default_rng(0)
    hidden_BTD = jnp.asarray(random.normal(size=(B, T, D)), jnp.bfloat16)
    kernel_VD = jnp.asarray(random.normal(size=(V, D)) / 4, jnp.float32)
    bias_V = jnp.asarray(random.normal(size=V), jnp.float32)
    weight_BT = random.uniform(0.1, 1, (B, T)) * (np.arange(T) < np.linspace(0, T, B)[:, None])
    return (hidden_BTD, kernel_VD, bias_V), jnp.asarray(random.integers(V, size=(B, T))), jnp.float32(weight_BT)


def program(where, dense):
    """The loss with every token's nll and all gradients, compiled for arrays that lie as in training."""
    constrain, chunk = rules.constrain(where), odds.TOKENS
    trained, targets_BT, weight_BT = arrays()
    rows, table = rules.batch_sharding(where), rules.shardings({"head": {"kernel": trained[1]}}, where)
    places = (rows, table["head"]["kernel"], NamedSharding(where, P()))
    how = {"groups": rules.parts(where, "batch"), "chunk": chunk, "dense": dense, "constrain": constrain}

    def loss(trained, targets_BT, weight_BT):
        hidden_BTD, kernel_VD, bias_V = trained
        return nll.weighted_nll(hidden_BTD, Head(kernel_VD, bias_V), targets_BT, weight_BT, **how)

    step = jax.jit(jax.value_and_grad(loss, has_aux=True), in_shardings=(places, rows, rows))
    return step.lower(trained, targets_BT, weight_BT).compile()


def said(where):
    how = {"groups": rules.parts(where, "batch"), "chunk": odds.TOKENS, "constrain": rules.constrain(where)}
    return nll.explain(V, D, None, jnp.bfloat16, B * T, dense=True, **how)


def taken(compiled):
    """The numbers a program gives, as float32."""
    out = compiled(*jax.device_put(arrays(), compiled.input_shardings[0]))
    return [np.asarray(x, np.float32) for x in jax.tree.leaves(out)]


def assert_alike(found, expected):
    """All within the rounding of bfloat16: loss, nll, and the gradients of hidden states, table and bias."""
    for ours, plain in zip(found, expected, strict=True):
        assert np.linalg.norm(ours - plain) < 5e-3 * np.linalg.norm(plain)


@pytest.fixture(scope="module")
def plain():
    """What one device gives that is no Hopper GPU."""
    return taken(program(on_mesh({"data": 1}), dense=True))


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("sizes", CUTS_ROWS, ids=str)
def test_every_mesh_that_cuts_rows_alone_gives_what_one_device_gives(sizes, dense, plain, hopper, monkeypatch):
    chunks = []
    monkeypatch.setattr(odds, "odds", lambda *given: chunks.append(given[0].shape) or defined(*given))
    assert_alike(taken(program(on_mesh(sizes), dense)), plain)
    assert set(chunks) == {(odds.TOKENS, D)}, "of one device"
    assert said(on_mesh(sizes)) == "a kernel that writes no logits"


def test_the_kernel_itself_runs_on_the_rows_of_each_device(plain, monkeypatch):
    monkeypatch.setattr(devices, "CAPABILITIES", {None})
    monkeypatch.setattr(nll, "_nll_and_gradient", None)
    monkeypatch.setattr(odds, "odds", functools.partial(odds.odds, interpret=plgpu.InterpretGPUParams()))
    # the interpreter asks one device that has ended whether barriers are left, while another has some
    interpreter = "jax._src.pallas.mosaic_gpu.interpret.gpu_callbacks"
    monkeypatch.setattr(f"{interpreter}.call_assert_no_barriers_allocated", lambda token: token)
    assert_alike(taken(program(on_mesh({"data": 2, "fsdp": 2}), dense=True)), plain)


@pytest.mark.parametrize("sizes", CUTS_MORE, ids=str)
def test_a_mesh_that_cuts_the_vocabulary_takes_the_plain_path_and_says_so(sizes, plain, hopper, monkeypatch):
    monkeypatch.setattr(odds, "odds", None)
    assert_alike(taken(program(on_mesh(sizes), dense=False)), plain)
    assert said(on_mesh(sizes)) == "logits of 256 tokens at once (a mesh that divides more than rows)"


@pytest.mark.parametrize("dense", [True, False])
def test_devices_meet_around_the_sweep_and_not_in_every_chunk(dense, hopper):
    text = program(on_mesh({"data": 2, "fsdp": 2}), dense).as_text()
    collective = re.compile(r" (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\(")
    outside_loops = text[text.index("\nENTRY") :]
    assert "while(" in outside_loops
    assert set(collective.findall(text)) <= {"all-gather", "all-reduce", "reduce-scatter"}
    assert collective.findall(text) == collective.findall(outside_loops)
    assert collective.findall(text).count("all-gather") == 1, "the table, once"


@pytest.mark.parametrize("sizes", [(1, 2, 1, 1, 1), (1, 2, 4, 1, 1)])
def test_it_lowers_for_gpus_that_are_not_there(sizes, monkeypatch):
    where = AbstractMesh(sizes, mesh.AXES, axis_types=(AxisType.Auto,) * len(sizes))
    monkeypatch.setattr(devices, "obstacle", lambda constrain: None)
    how = {"groups": where.size, "chunk": T, "dense": False, "constrain": rules.constrain(where)}

    def loss(hidden_BTD, kernel_VD, targets_BT, weight_BT):
        return nll.weighted_nll(hidden_BTD, Head(kernel_VD), targets_BT, weight_BT, **how)

    (hidden_BTD, kernel_VD, _), *constants = jax.eval_shape(arrays)
    traced = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True)).trace(hidden_BTD, kernel_VD, *constants)
    assert traced.lower(lowering_platforms=("cuda",)).as_text().count("mosaic_gpu_v2") == 1
