"""A plan by rule against what the compiler finds, what is written of it, and what it says where a step does not fit."""

import dataclasses
import re
import types

import jax
import pytest
from jax.experimental import topologies

from hybridlm.config.errors import ConfigError
from hybridlm.config.objective import autoregressive
from hybridlm.config.storage import override
from hybridlm.planning import chips, plan, program, scaling
from hybridlm.planning.advice import advice
from hybridlm.planning.page import page
from hybridlm.planning.roofline import roofline


def test_bytes_of_the_state_are_those_the_compiler_counts(planned):
    """A quarter of all matrices, all of the norms, two moments for each, and the batch."""
    norms, matrices = 9 * 64, planned.workload.state.params
    whole = sum(leaf.size for leaf in jax.tree.leaves(matrices))
    each = 4 * ((whole - norms) // 4 + norms)
    memory = planned.estimate.memory
    assert memory["parameters"] == memory["gradients"] == each
    assert memory["optimizer"] == pytest.approx(2 * each, abs=16)
    batch = len(planned.workload.batch) * 16 * 128 * 4 // 4
    assert planned.program.arguments == pytest.approx(3 * each + batch, rel=0.02)


def test_traffic_by_rule_is_what_the_compiler_moves(planned):
    gathered = sum(f.count * f.received for f in planned.program.collectives if f.kind == "all-gather")
    assert gathered == pytest.approx(planned.estimate.traffic["gathering parameters"], rel=0.3)


def test_operations_are_six_a_weight_and_a_third_more_where_all_is_computed_again(planned):
    model = planned.workload.experiment.model
    weights = sum(leaf.size for leaf in jax.tree.leaves(planned.workload.state.params)) - 9 * 64
    per_token = 6 * weights + 12 * model.layers * model.heads * model.key_width * (128 + 1) / 2
    work = planned.estimate.work
    assert work.model == pytest.approx(16 * 128 * per_token, rel=0.02)
    assert work.executed / work.model == pytest.approx(4 / 3)


def test_the_page_of_a_machine_with_a_compiler(planned):
    text = page(planned)
    assert text.startswith("small on cpu:4: 4 x cpu, mesh fsdp=4\n")
    assert "16 rows of 128 tokens a step, remat full" in text
    assert "memory per device, by the compiler" in text
    assert re.search(r"received per device and step, by the compiler\n  +\d+ x all-", text)
    assert "\nfits\n" in text
    assert text.endswith("no data sheet says what this chip can do, so no time follows")


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(program.importlib.util, "find_spec", lambda name: None)


@pytest.mark.usefixtures("no_cuda")
def test_without_a_compiler_the_step_is_lowered_and_the_page_says_so(experiment):
    text = page(plan.make(experiment, chips.parse("h100:4")))
    assert "CUDA is not installed (pip install 'hybridlm[cuda]'): lowered for CUDA, not compiled" in text
    assert "by the compiler" not in text
    assert re.search(
        r"fits by rule, and compilers have needed up to 1\.4 times as much: 79\.\d\d of 79\.60 GiB are left", text
    )
    assert re.search(r"limited by \w+: at best \d+\.\d ms, [\d,]+ tokens/s\nexpected, with operations at 55% of", text)


@pytest.mark.usefixtures("no_cuda")
def test_attention_through_cudnn_is_planned_without_cudnn(experiment):
    packed = override(experiment, {"model.dtype": "bfloat16", "model.heads": 1, "model.kv_heads": 1})
    plain = override(packed, {"model.attention_backend": "cudnn"})
    plain = dataclasses.replace(plain, objectives={"ar": autoregressive(across_documents=True)})
    found = [plan.make(one, chips.parse("h100:4")) for one in (plain, packed)]
    assert "neither lowered nor compiled" in page(found[0])
    assert found[0].estimate.memory == pytest.approx(found[1].estimate.memory, rel=0.02)  # facts of documents


def test_what_does_not_fit_says_what_to_change_the_largest_part_first(planned):
    small = dataclasses.replace(planned.topology, chip=dataclasses.replace(planned.topology.chip, memory=2.0**20))
    crowded = dataclasses.replace(planned, topology=small)
    assert not crowded.fits and planned.fits
    assert "does not fit into 0.00 GiB; try:\n  - " in page(crowded)
    rows = ["fewer rows at once: training.accumulate=2", "parts of rows on each device: mesh.sequence=2"]
    logits = ["fewer logits at once: training.head_chunk=512"]
    for kept, head, changes in ((2, 1, rows + logits), (1, 2, logits + rows)):
        estimate = dataclasses.replace(planned.estimate, memory={"kept activations": kept, "head": head})
        assert advice(dataclasses.replace(crowded, estimate=estimate)) == [*changes, "more chips"]
    refused = dataclasses.replace(planned, program=program.NoProgram("Ran out of memory", is_too_large=True))
    assert not refused.fits


def test_time_is_that_of_the_slowest_resource(planned):
    chip = chips.Chip("gpu", flops=1e12, bandwidth=1e12, link=1e9, network=1e6, neighbours=4)
    times = roofline(planned.workload, chip, planned.estimate)
    assert times.operations == pytest.approx(planned.estimate.work.executed / 4 / 1e12)
    assert times.wires == pytest.approx(sum(planned.estimate.traffic.values()) / 1e9)
    assert times.best == max(times.operations, times.memory, times.wires)
    apart = roofline(planned.workload, dataclasses.replace(chip, neighbours=2), planned.estimate)
    assert apart.wires == pytest.approx(1000 * times.wires)
    assert apart.limit == "wires"


def test_gpus_need_not_be_there_to_be_compiled_for(experiment):
    if isinstance(program.devices_of(chips.parse("h100:4")), program.NoProgram):
        pytest.skip("JAX for CUDA is not installed")
    planned = plan.make(experiment, chips.parse("h100:4"))
    assert planned.program.arguments == pytest.approx(planned.estimate.state, rel=0.05)
    gathered = sum(f.count * f.received for f in planned.program.collectives if f.kind == "all-gather")
    assert gathered == pytest.approx(planned.estimate.traffic["gathering parameters"], rel=0.3)


def shapes_asked_for(monkeypatch, plugin, count):
    """What XLA is asked for where this plugin alone is installed."""
    asked = []

    def describe(**told):
        asked.append(told["topology"])
        return types.SimpleNamespace(devices=())

    monkeypatch.setattr(program.importlib.util, "find_spec", lambda name: "is there" if name == plugin else None)
    monkeypatch.setattr(topologies, "get_topology_desc", describe)
    program.devices_of(chips.parse(f"h100:{count}"))
    return asked


@pytest.mark.parametrize(
    ("count", "shape"), [(4, "1x1x4"), (8, "1x1x8"), (16, "1x2x8"), (12, "1x2x6"), (9, "1x3x3"), (17, "1x17x1")]
)
def test_all_hosts_of_gpus_have_as_many(monkeypatch, count, shape):
    assert shapes_asked_for(monkeypatch, "jax_cuda13_plugin", count) == [shape]


def test_either_of_the_extras_for_cuda_compiles(monkeypatch):
    assert shapes_asked_for(monkeypatch, "jax_cuda12_plugin", 4) == ["1x1x4"]


@pytest.mark.usefixtures("no_cuda")
def test_a_line_of_the_scaling_table_is_a_plan(experiment):
    topology = chips.parse("h100:8")
    alone = plan.make(experiment, topology)
    told, _, line, larger = scaling.table(experiment, topology, counts=(8, 16)).splitlines()
    assert told == "2 rows of 128 tokens a chip, as on h100:8"
    speed = alone.workload.tokens / alone.times.expected
    assert line.split()[:3] == ["8", "replica=1,", "fsdp=8"]
    assert f"{speed:,.0f}" in line and f"{speed / 8:,.0f}" in line
    assert larger.split()[:3] == ["16", "replica=2,", "fsdp=8"]


def test_the_scaling_table_says_what_does_not_fit_and_what_fits_tightly(experiment, monkeypatch):
    h100, rule, sizes = chips.parse("h100:8"), scaling.estimate, iter([81.0, 79.0, 75.0])

    def sized(*about):
        found = rule(*about)
        return dataclasses.replace(found, memory=found.memory | {"head": next(sizes) * chips.GIB})

    monkeypatch.setattr(scaling, "estimate", sized)
    *_, large, tight, roomy, note = scaling.table(experiment, h100, counts=(8, 16, 32)).splitlines()
    assert large.endswith("  does not fit") and tight.endswith("  fits tightly") and "fit" not in roomy
    assert note == "fits tightly: 95% of the memory or more by rule; compile it, without --scaling, to be sure"


def test_a_chip_of_unknown_speed_has_no_scaling_table(experiment):
    with pytest.raises(ConfigError, match="--scaling tells speeds, and no data sheet says what --topology=cpu:4 can"):
        scaling.table(experiment, chips.parse("cpu:4"))


def test_a_mesh_that_does_not_divide_is_refused(experiment):
    with pytest.raises(ConfigError, match="mesh sizes .*fsdp=3.* do not multiply to the 8 devices of this run"):
        plan.make(override(experiment, {"mesh.fsdp": 3, "training.batch_rows": 18}), chips.parse("h100:8"))


def test_more_cpu_devices_than_there_are_are_refused(experiment):
    with pytest.raises(ConfigError, match="--topology=cpu:64: this process has 8 devices."):
        plan.make(experiment, chips.parse("cpu:64"))
