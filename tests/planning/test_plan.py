"""A plan by rule against what the compiler finds, what is written of it, and what it says where a step does not fit."""

import dataclasses
import re
import types

import jax
import pytest
from jax.experimental import topologies
from jax.sharding import AbstractMesh

from hybridlm.config.errors import ConfigError
from hybridlm.config.objective import autoregressive
from hybridlm.config.storage import override
from hybridlm.planning import chips, plan, program, scaling, workload
from hybridlm.planning.advice import advice
from hybridlm.planning.estimate import estimate, work_of
from hybridlm.planning.page import page
from hybridlm.planning.roofline import roofline
from hybridlm.sharding.mesh import AXES


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
    assert re.search(r"fits by rule, even if it needs 1\.6 times as much: 79\.\d\d of 79\.60 GiB are left", text)
    assert "assumed" not in text, "the kernel of the head is for one device alone"
    assert re.search(r"limited by \w+: at best \d+\.\d ms, [\d,]+ tokens/s\nexpected, with operations at 55% of", text)


@pytest.mark.usefixtures("no_cuda")
def test_attention_through_cudnn_is_planned_without_cudnn(experiment):
    packed = override(experiment, {"model.dtype": "bfloat16", "model.heads": 1, "model.kv_heads": 1})
    plain = override(packed, {"model.attention_backend": "cudnn"})
    plain = dataclasses.replace(plain, objectives={"ar": autoregressive(across_documents=True)})
    found = [plan.make(one, chips.parse("h100:4")) for one in (plain, packed)]
    assert "neither lowered nor compiled" in page(found[0])
    assert found[0].estimate.memory == pytest.approx(found[1].estimate.memory, rel=0.02)  # facts of documents


def test_what_a_pass_keeps_is_counted_where_no_device_could_take_all_rows(experiment):
    """A kernel for TPUs lists 64 blocks for each of 4,096 rows, twice what one device has room for; it has sixteen."""
    many = override(experiment, {"training.batch_rows": 4096, "data.row_length": 4096})
    few = override(many, {"training.batch_rows": 1024})
    machine = chips.parse("v5e:4x4")
    kept = [work_of(workload.make(one, workload.task_of(one), machine), machine.chip).kept for one in (few, many)]
    assert kept[1] == pytest.approx(4 * kept[0], rel=0.01)


def by_rule(planned, room, **kept):
    """The plan on devices of so much memory, where no compiler answers; `kept` is what a pass keeps, of all devices."""
    small = dataclasses.replace(planned.topology, chip=dataclasses.replace(planned.topology.chip, memory=room))
    work = dataclasses.replace(planned.estimate.work, **kept)
    found = estimate(planned.workload, work)
    nothing = program.NoProgram("no compiler")
    return dataclasses.replace(planned, topology=small, estimate=found, program=nothing)


def test_what_fits_by_rule_may_not_fit_where_compilers_have_needed_more(planned):
    takes = sum(planned.estimate.memory.values())
    fits = {room: by_rule(planned, room * takes).fit for room in (1.61, 1.59, 1.01, 0.99)}
    assert fits == {1.61: "fits", 1.59: "may not fit", 1.01: "may not fit", 0.99: "does not fit"}
    roomy = dataclasses.replace(planned, topology=by_rule(planned, 1.01 * planned.needed).topology)
    assert roomy.fit == "fits", "as compiled, which is no guess"
    refused = dataclasses.replace(planned, program=program.NoProgram("Ran out of memory", is_too_large=True))
    assert refused.fit == "does not fit", "whatever the rule says"
    said = (
        r"may not fit into [\d.]+ GiB: [\d.]+ by rule, and compilers have needed up to 1\.6 times as much; try:\n  - "
    )
    assert re.search(said, page(by_rule(planned, 1.2 * takes)))


@pytest.mark.parametrize(
    ("room", "passes", "found"),
    [(3.3, 2, "the fewest passes that fit"), (3.1, 4, "the fewest passes that fit"), (1.5, 4, "not enough alone")],
)
def test_the_fewest_passes_that_fit_are_named(planned, room, passes, found):
    """Sixteen rows on four devices fall into 1, 2 or 4 passes; one keeps 4 GiB a device, beside which all is little.
    What is told of more passes is what a plan of them says."""
    large = by_rule(planned, room * chips.GIB, kept=16 * chips.GIB)
    changed = override(planned.workload.experiment, {"training.accumulate": passes})
    work = dataclasses.replace(large.estimate.work, kept=16 * chips.GIB / passes)
    memory = estimate(workload.make(changed, planned.workload.task, large.topology), work).memory
    takes = sum(memory.values()) / chips.GIB
    assert takes == pytest.approx(4 / passes, abs=0.02)
    assert memory["summed gradients"] == memory["gradients"], "those of earlier passes lie beside those of the last"
    assert advice(large) == [
        f"fewer rows at once: training.accumulate={passes}, {found}: {takes:.2f} GiB by rule, up to {1.6 * takes:.2f} "
        "compiled",
        "fewer logits at once: training.head_chunk=512",
        "more chips",
    ]


def test_advice_names_nothing_that_would_not_help(planned):
    """What a pass keeps is less than a second set of gradients, and one row on each device cannot be halved."""
    little = by_rule(planned, 2.0**17, kept=64)
    assert advice(little)[-1] == "more chips: the state and its gradients alone take 0.00 GiB"
    assert not any("accumulate" in change for change in advice(little))
    four = override(planned.workload.experiment, {"training.batch_rows": 4})
    single = dataclasses.replace(little, workload=dataclasses.replace(planned.workload, experiment=four))
    assert "parts of rows on each of more chips: mesh.sequence=2" in advice(single)
    cut = AbstractMesh((1, 1, 4, 1, 2), AXES)
    again = dataclasses.replace(single, workload=dataclasses.replace(single.workload, mesh=cut))
    assert "parts of rows on each of more chips: mesh.sequence=4" in advice(again), "twice what it has"


@pytest.mark.usefixtures("no_cuda")
def test_the_plan_of_gpus_says_that_its_head_writes_logits(experiment):
    """6 of 8 bytes for each of 1,024 x 512 logits; a kernel that asks its machine cannot be planned from elsewhere."""
    large = override(experiment, {"model.dtype": "bfloat16", "training.head_chunk": 2**20})
    said = "assumed: a head that writes logits, 3.00 GiB more than the kernel that H100s take"
    assert said in page(plan.make(large, chips.parse("h100:1")))
    assert said in page(plan.make(override(large, {"mesh.data": 1, "mesh.fsdp": 2}), chips.parse("h100:2")))
    assert "assumed" not in page(plan.make(override(large, {"mesh.data": 1, "mesh.tensor": 2}), chips.parse("h100:2")))
    assert "assumed" not in page(plan.make(override(large, {"model.dtype": "float32"}), chips.parse("h100:1")))


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


def test_the_scaling_table_says_what_does_not_fit_and_what_may_not(experiment, monkeypatch):
    h100, rule, sizes = chips.parse("h100:8"), scaling.estimate, iter([81.0, 51.0, 48.0])

    def sized(*about):
        found = rule(*about)
        return dataclasses.replace(found, memory=found.memory | {"head": next(sizes) * chips.GIB})

    monkeypatch.setattr(scaling, "estimate", sized)
    *_, large, tight, roomy, note = scaling.table(experiment, h100, counts=(8, 16, 32)).splitlines()
    assert large.endswith("  does not fit") and tight.endswith("  may not fit") and "fit" not in roomy
    assert note.startswith(
        "may not fit: by rule it does, and compilers have needed up to 1.6 times as much; compile it"
    )


def test_a_chip_of_unknown_speed_has_no_scaling_table(experiment):
    with pytest.raises(ConfigError, match="--scaling tells speeds, and no data sheet says what --topology=cpu:4 can"):
        scaling.table(experiment, chips.parse("cpu:4"))


def test_a_mesh_that_does_not_divide_is_refused(experiment):
    with pytest.raises(ConfigError, match="mesh sizes .*fsdp=3.* do not multiply to the 8 devices of this run"):
        plan.make(override(experiment, {"mesh.fsdp": 3, "training.batch_rows": 18}), chips.parse("h100:8"))


def test_more_cpu_devices_than_there_are_are_refused(experiment):
    with pytest.raises(ConfigError, match="--topology=cpu:64: this process has 8 devices."):
        plan.make(experiment, chips.parse("cpu:64"))
