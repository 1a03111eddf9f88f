"""A checkpoint comes back bit for bit, on any mesh, or is refused by name, and then the step before it is used."""

import concurrent.futures
import contextlib
import dataclasses
import resource
import shutil
import signal
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from etils import epath
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from hybridlm.config.errors import ConfigError
from hybridlm.storage import digests
from hybridlm.storage.checkpoints import CheckpointError, Checkpoints

METADATA = {"config": {"training": {"steps": 30}}, "fingerprints": {"tokenizer": "sha256:ab"}}
FLIPS = 64


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """What a training loop keeps, in small: a step, weights in two dtypes, an optimizer's nested tuples."""

    step: int
    params: dict
    optimizer: tuple


def make_state(step):
    random = np.random.default_rng(step)
    params = {
        "embedding": {"tokens": jnp.asarray(random.normal(size=(16, 8)), jnp.float32)},
        "head": {"bias": jnp.asarray(random.normal(size=(8,)), jnp.bfloat16)},
    }
    return State(step, params, optax.adamw(optax.constant_schedule(1e-3)).init(params))


def on(devices, tree, axis=0):
    """A restore target for `tree`, this axis of its leaves cut over so many devices."""
    mesh = jax.make_mesh((devices,), ("fsdp",), devices=jax.devices()[:devices], axis_types=(AxisType.Auto,))

    def place(leaf):
        if isinstance(leaf, int):
            return leaf
        cut = PartitionSpec(*[None] * axis, "fsdp") if leaf.ndim > axis else PartitionSpec()
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=NamedSharding(mesh, cut))

    return jax.tree.map(place, tree)


def assert_equal_bits(got, wanted):
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted)):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    """A directory with steps 10 and 20, to be copied."""
    directory = tmp_path_factory.mktemp("pristine") / "checkpoints"
    checkpoints = Checkpoints(directory)
    for step in (10, 20):
        checkpoints.save(step, make_state(step), METADATA)
    checkpoints.close()
    return directory


@pytest.fixture
def directory(two_steps, tmp_path):
    return epath.Path(shutil.copytree(two_steps, tmp_path / "checkpoints"))


def files(directory):
    return sorted(root / name for root, _, names in directory.walk() for name in names)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


# What is saved comes back


@pytest.mark.parametrize("devices", [1, 2, 4, 8])
def test_the_state_comes_back_bit_for_bit_on_any_mesh(two_steps, devices):
    checkpoints = Checkpoints(two_steps, read_only=True)
    target = on(devices, make_state(20))
    restored = checkpoints.restore(checkpoints.latest_valid(), target)
    assert_equal_bits(restored, make_state(20))
    assert restored.params["embedding"]["tokens"].sharding == target.params["embedding"]["tokens"].sharding


def test_a_directory_may_be_named_from_where_one_stands(tmp_path, monkeypatch):
    """As the README does: --workdir=runs/quickstart."""
    monkeypatch.chdir(tmp_path)
    with contextlib.closing(Checkpoints("runs/one/checkpoints")) as checkpoints:
        checkpoints.save(10, make_state(10), METADATA)
    with contextlib.closing(Checkpoints("runs/one/checkpoints")) as checkpoints:
        assert checkpoints.latest_valid() == 10
        assert_equal_bits(checkpoints.restore(10, on(1, make_state(10))), make_state(10))


@pytest.mark.parametrize(("devices", "axis"), [(8, 0), (2, 1)])
def test_a_state_saved_in_other_parts_restores_on_two_devices(tmp_path, devices, axis):
    """Saved before the mesh changed, or the rules that say which axis of a parameter is cut."""
    state = make_state(3)
    spread = jax.device_put(state.params, jax.tree.map(lambda leaf: leaf.sharding, on(devices, state.params, axis)))
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(3, {"params": spread}, {})
    checkpoints.close()
    restored = Checkpoints(tmp_path).restore(3, on(2, {"params": state.params}))
    assert_equal_bits(restored, {"params": state.params})


def test_a_step_that_reuses_the_buffers_cannot_reach_a_running_save(tmp_path):
    step = jax.jit(lambda weights: 2 * weights + 1, donate_argnums=0)
    weights = jnp.arange(2.0**20)
    saved = np.array(weights)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"params": weights}, {})
    for _ in range(5):
        weights = step(weights)
    checkpoints.close()
    assert_equal_bits(Checkpoints(tmp_path).restore(1, on(1, {"params": saved})), {"params": saved})


def test_weights_come_back_without_the_optimizer(two_steps):
    state = make_state(10)
    assert_equal_bits(Checkpoints(two_steps, read_only=True).restore_params(10, on(4, state.params)), state.params)


def test_metadata_is_kept_with_a_table_of_leaves(two_steps):
    metadata = Checkpoints(two_steps, read_only=True).read_metadata(10)
    leaves = metadata.pop("leaves")
    assert metadata == METADATA
    assert leaves["step"] == "int"
    assert leaves["params/embedding/tokens"] == "float32[16,8]"
    assert leaves["params/head/bias"] == "bfloat16[8]"
    assert leaves["optimizer/0/count"] == "int32[]"


def test_the_plain_tool_reads_our_directories(two_steps):
    """A checkpoint is no captive of this package."""
    with ocp.CheckpointManager(two_steps, options=ocp.CheckpointManagerOptions(read_only=True)) as manager:
        assert list(manager.all_steps()) == [10, 20]
        target = on(1, make_state(20))
        restored = manager.restore(20, args=ocp.args.Composite(state=ocp.args.StandardRestore(target)))
    assert_equal_bits(restored["state"], make_state(20))


def test_the_newest_few_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 10):
        checkpoints.save(step, {"params": jnp.ones(2)}, {})
    checkpoints.close()
    assert names(epath.Path(tmp_path)) == ["10", "2"]


def test_a_step_saved_twice_or_just_restored_is_left_alone(directory):
    before = (directory / "20" / digests.MANIFEST).read_text()
    checkpoints = Checkpoints(directory)
    checkpoints.save(checkpoints.latest_valid(), make_state(99), {})
    checkpoints.close()
    assert (directory / "20" / digests.MANIFEST).read_text() == before


def test_a_step_of_somebody_else_is_never_overwritten(directory):
    with pytest.raises(CheckpointError, match="20 is there already; resume from it, or move it away"):
        Checkpoints(directory).save(20, make_state(99), {})
    assert digests.damage(directory / "20") == []


# What is damaged is found


def test_a_flipped_bit_falls_back_to_the_step_before(directory, caplog):
    random = np.random.default_rng(0)
    whole = [path for path in files(directory / "20") if path.stat().length]
    for path in random.choice(whole, FLIPS):
        content = bytearray(path.read_bytes())
        content[random.integers(len(content))] ^= 1 << int(random.integers(8))
        healthy, _ = path.read_bytes(), path.write_bytes(bytes(content))
        caplog.clear()
        assert Checkpoints(directory).latest_valid() == 10
        assert str(path.relative_to(directory / "20")) in caplog.text
        aside = directory / "20.damaged-1"
        (aside / path.relative_to(directory / "20")).write_bytes(healthy)
        aside.rename(directory / "20")
    assert Checkpoints(directory).latest_valid() == 20


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
    ],
    ids=["deleted", "emptied", "cut"],
)
def test_each_missing_or_shortened_file_is_found(directory, harm):
    for path in files(directory / "20"):
        healthy = path.read_bytes()
        harm(path)
        assert path.name in " ".join(digests.damage(directory / "20"))
        path.write_bytes(healthy)
    harm(path)
    assert Checkpoints(directory).latest_valid() == 10


def test_the_damaged_step_is_renamed_and_its_number_free_again(directory):
    for number in (1, 2):
        (directory / "20" / "state" / "_METADATA").write_text("{")
        checkpoints = Checkpoints(directory)
        assert checkpoints.latest_valid() == 10
        checkpoints.save(20, make_state(20), METADATA)
        checkpoints.close()
        assert (directory / f"20.damaged-{number}" / "state" / "_METADATA").read_text() == "{"
    assert names(directory) == ["10", "20", "20.damaged-1", "20.damaged-2"]


def test_an_empty_step_is_no_checkpoint(directory, caplog):
    (directory / "30").mkdir()
    assert Checkpoints(directory).latest_valid() == 20
    assert "checkpoint 30 is damaged and left out: manifest.json is missing" in caplog.text


def test_a_run_never_starts_from_scratch_because_all_is_damaged(directory):
    for step in ("10", "20"):
        (directory / step / "state" / "manifest.ocdbt").unlink()
    for _ in range(2):  # the second start finds nothing but what the first has renamed
        with pytest.raises(CheckpointError, match=r"every one is damaged.*To start from scratch on purpose, move that"):
            Checkpoints(directory).latest_valid()


def test_where_nothing_was_saved_there_is_nothing_to_resume(tmp_path):
    assert Checkpoints(tmp_path / "new").latest_valid() is None
    assert Checkpoints(tmp_path / "absent", read_only=True).latest_valid() is None


def test_a_damaged_step_named_outright_is_refused(directory):
    (directory / "10" / "metadata" / "metadata").write_text("{}")
    with pytest.raises(CheckpointError, match="10 cannot be trusted: metadata/metadata has 2 bytes instead of"):
        Checkpoints(directory).restore(10, on(1, make_state(10)))


def test_a_reader_changes_nothing_under_a_running_trainer(directory):
    (directory / "20" / "state" / "_METADATA").unlink()
    (directory / "30").mkdir()
    (directory / "30.saving").touch()
    (directory / "40.orbax-checkpoint-tmp").mkdir()
    before = files(directory)
    reader = Checkpoints(directory, read_only=True)
    assert reader.steps() == [10, 20], "30 is still being saved"
    assert reader.latest_valid() == 10
    assert files(directory) == before


# What does not fit is refused


def replaced(state, **params):
    return dataclasses.replace(state, params=state.params | params)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda s: replaced(s, head={"bias": s.params["head"]["bias"].astype(jnp.float32)}),
            "params/head/bias: stored bfloat16[8], wanted float32[8]",
        ),
        (
            lambda s: replaced(s, embedding={"tokens": jnp.zeros((32, 8))}),
            "params/embedding/tokens: stored float32[16,8], wanted float32[32,8]",
        ),
        (lambda s: replaced(s, norm=jnp.zeros(8)), "params/norm: stored nothing, wanted float32[8]"),
        (lambda s: replaced(s, head={}), "params/head/bias: stored bfloat16[8], wanted nothing"),
        (lambda s: dataclasses.replace(s, step=jnp.int32(3)), "step: stored int, wanted int32[]"),
    ],
    ids=["dtype", "shape", "missing", "extra", "kind"],
)
def test_another_leaf_is_refused_in_one_line(two_steps, change, line):
    with pytest.raises(ConfigError, match="the model or the optimizer was changed since") as refusal:
        Checkpoints(two_steps, read_only=True).restore(20, on(1, change(make_state(20))))
    assert str(refusal.value).splitlines()[1:] == [f"  {line}"]


def test_weights_of_another_shape_are_refused_too(two_steps):
    target = on(1, make_state(20).params | {"norm": jnp.zeros(8)})
    with pytest.raises(ConfigError, match=r"params/norm: stored nothing, wanted float32\[8\]"):
        Checkpoints(two_steps, read_only=True).restore_params(20, target)


def test_a_target_must_say_where_arrays_lie(two_steps):
    target = jax.eval_shape(lambda: make_state(20).params)
    with pytest.raises(ValueError, match=r"has no sharding.*give each jax.ShapeDtypeStruct its sharding"):
        Checkpoints(two_steps, read_only=True).restore_params(20, target)


# What fails while saving is heard


def broken(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("place", ["arrays", "manifest"])
def test_a_save_that_fails_later_is_heard_and_cleaned_up(directory, monkeypatch, place):
    checkpoints = Checkpoints(directory)
    if place == "arrays":
        monkeypatch.setattr(ocp.CompositeCheckpointHandler, "finalize", broken)
    else:
        monkeypatch.setattr(digests, "seal", broken)
    checkpoints.save(30, make_state(30), METADATA)
    concurrent.futures.wait([checkpoints._pending])
    with pytest.raises(CheckpointError, match=r"checkpoint 30 could not be saved.*No space left.*Older.*are intact"):
        checkpoints.poll()
    monkeypatch.undo()
    checkpoints.poll()  # once is enough
    checkpoints.close()
    assert names(directory) == ["10", "20"]


def test_closing_hears_of_a_failure_too(directory, monkeypatch):
    checkpoints = Checkpoints(directory)
    monkeypatch.setattr(digests, "seal", broken)
    checkpoints.save(30, make_state(30), METADATA)
    with pytest.raises(CheckpointError, match="checkpoint 30 could not be saved"):
        checkpoints.close()


def test_closing_looks_for_the_last_checkpoint(directory):
    checkpoints = Checkpoints(directory)
    checkpoints.save(30, make_state(30), METADATA)
    checkpoints._pending.result()
    (directory / "30" / digests.MANIFEST).unlink()
    with pytest.raises(CheckpointError, match="30, has lost its manifest"):
        checkpoints.close()


def test_a_full_disk_leaves_older_steps_and_no_debris(directory):
    """The kernel refuses to let any file grow past a megabyte, as it does on a full disk."""
    checkpoints = Checkpoints(directory)
    large = {"params": jax.random.bits(jax.random.key(0), (2**20,), jnp.uint32)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        with pytest.raises(CheckpointError, match=r"checkpoint 30 could not be saved.*Check free space"):
            checkpoints.save(30, large, {})
            checkpoints.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(directory) == ["10", "20"]
    assert Checkpoints(directory).latest_valid() == 20


def test_what_a_killed_save_left_is_removed_at_the_next_start(directory):
    (directory / "30").mkdir()
    (directory / "30" / "half").touch()
    (directory / "30.saving").touch()
    (directory / "40.orbax-checkpoint-tmp").mkdir()
    (directory / "40.saving").touch()
    (directory / "20.saving").touch()  # killed between its manifest and the removal of its mark
    assert Checkpoints(directory).latest_valid() == 20
    assert names(directory) == ["10", "20"]


KILLED_WHILE_SAVING = """
import os, signal, sys, threading
import numpy as np
from hybridlm.storage.checkpoints import Checkpoints

checkpoints = Checkpoints(sys.argv[1])
state = {"params": np.random.default_rng(0).bytes(2**22)}
state = {"params": np.frombuffer(state["params"], np.uint8)}
threading.Timer(float(sys.argv[2]), os.kill, (os.getpid(), signal.SIGKILL)).start()
for step in range(1, 1000):
    checkpoints.save(step, state, {})
"""


@pytest.mark.slow
@pytest.mark.parametrize("seconds", np.linspace(0.01, 0.4, 12))
def test_a_killed_run_resumes_from_its_newest_sealed_step_without_help(tmp_path, seconds):
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED_WHILE_SAVING), tmp_path, str(seconds)])
    assert killed.returncode == -signal.SIGKILL
    directory = epath.Path(tmp_path)
    sealed = [int(path.name) for path in directory.iterdir() if path.name.isdecimal() and digests.is_sealed(path)]
    assert Checkpoints(tmp_path).latest_valid() == max(sealed, default=None)
    assert not any("damaged" in name or "tmp" in name or "saving" in name for name in names(directory))
