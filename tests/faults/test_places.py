"""Faults of files, each on a disk and in a store of objects: what was damaged, cut off or changed is found in both."""

import contextlib
import json
import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from hybridlm.config.errors import ConfigError
from hybridlm.config.sources import AuditConfig, Source
from hybridlm.data import sources
from hybridlm.data.documents import Document, Dropped
from hybridlm.data.prepared import open_prepared
from hybridlm.evaluation import kept
from hybridlm.storage import durable, lines
from hybridlm.storage.checkpoints import CheckpointError, Checkpoints
from hybridlm.storage.compatibility import check_fingerprints
from hybridlm.training import writers
from hybridlm.training.anomalies import Window
from hybridlm.training.goodput import Goodput
from tests.faults import bucket

FINGERPRINTS = {"tokenizer": "sha256:ab", "data": "sha256:cd", "mask": "sha256:ef"}
SHARD = "train-00000.array_record"


def flip(path: epath.Path) -> None:
    """One bit, where a shard has a record and not the space between two."""
    content = bytearray(path.read_bytes())
    content[len(content) // 6] ^= 4
    path.write_bytes(bytes(content))


def cut(path: epath.Path) -> None:
    """The last byte is gone."""
    path.write_bytes(path.read_bytes()[:-1])


@pytest.fixture(scope="module")
def saved(place):
    """Checkpoints of a run that remembers what it saw and where its time went."""
    window, directory = Window(6.0), place / "checkpoints"
    window.judge(2.5, 1.0)
    memory = {"window": window.state, "goodput": Goodput(lambda: 7.0).account()}
    with contextlib.closing(Checkpoints(directory)) as checkpoints:
        for step in (10, 20):
            state = {"params": jnp.arange(64.0) + step}
            checkpoints.save(step, state, {"fingerprints": FINGERPRINTS, "memory": memory})
    return directory


def on(devices, dtype=jnp.float32):
    """A restore target, its values cut over so many devices."""
    mesh = jax.make_mesh((devices,), ("fsdp",), devices=jax.devices()[:devices], axis_types=(AxisType.Auto,))
    return {"params": jax.ShapeDtypeStruct((64,), dtype, sharding=NamedSharding(mesh, PartitionSpec("fsdp")))}


@pytest.mark.parametrize("devices", [1, 4])
def test_another_mesh_restores_the_same_bits(saved, devices):
    found = Checkpoints(saved, read_only=True).restore(20, on(devices))["params"]
    assert len(found.sharding.device_set) == devices
    np.testing.assert_array_equal(found, np.arange(64.0) + 20)


def test_another_dtype_is_refused(saved):
    with pytest.raises(ConfigError, match=r"params: stored float32\[64\], wanted bfloat16\[64\]"):
        Checkpoints(saved, read_only=True).restore(20, on(1, jnp.bfloat16))


@pytest.mark.parametrize("what", FINGERPRINTS)
def test_another_tokenizer_data_or_mask_is_refused(saved, what):
    stored = Checkpoints(saved, read_only=True).read_metadata(20)["fingerprints"]
    check_fingerprints(stored, FINGERPRINTS, step=20)
    with pytest.raises(ConfigError, match=f"another {what}.*\n  {what}: stored {stored[what]}, now sha256:99"):
        check_fingerprints(stored, FINGERPRINTS | {what: "sha256:99"}, step=20)


def test_a_resumed_run_remembers_the_steps_before_and_the_time(saved):
    memory = Checkpoints(saved, read_only=True).read_metadata(10)["memory"]
    assert Window(6.0, memory["window"]).state == {"values": [(2.5, 1.0)], "was_odd": ""}
    again = Goodput(lambda: 30.0)
    again.resume(memory["goodput"])
    assert again.scalars()["goodput/lost_s"] == 23


def test_without_any_whole_checkpoint_nothing_is_restored(saved):
    directory = saved.parent / "all damaged"
    durable.copy(saved, directory)
    for step in (10, 20):
        cut(max(durable.files(directory / str(step)), key=lambda path: path.stat().length))
    with pytest.raises(CheckpointError, match="every one is damaged"):
        Checkpoints(directory).latest_valid()


@pytest.fixture
def rows(place, prepared):
    """Prepared rows, copied there."""
    durable.copy(prepared.directory, place / "rows")
    yield place / "rows"
    (place / "rows").rmtree()


DAMAGE = {
    "a flipped bit": (flip, "record [0-9]+ cannot be read|did not arrive as it was written: its SHA-256 is not"),
    "cut": (cut, "it has [0-9]+ bytes, not [0-9]+. The file is damaged"),
    "missing": (lambda path: path.unlink(), "it is missing. The file is damaged"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_shard_is_named(rows, damage):
    harm, says = DAMAGE[damage]
    harm(rows / SHARD)
    with pytest.raises(OSError, match=f"{re.escape(str(rows / SHARD))}.*({says})"):
        train = open_prepared(rows).rows("train")
        train.read(range(len(train)))


def test_bad_text_is_left_out_and_a_bad_line_is_named(place):
    folder = place / "texts"
    folder.mkdir()
    (folder / "empty.txt").write_text(" \n")
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    (folder / "whole.jsonl").write_text('{"text": ""}\n{"text": "kept"}\n')

    def read(**audit):
        return list(sources.read(Source(path=str(folder)), AuditConfig(**audit)))

    assert read() == [
        Dropped("empty.txt", "empty", 2),
        Dropped("latin.txt", "not UTF-8", 4),
        Dropped("whole.jsonl:1", "empty", 0),
        Document("whole.jsonl:2", "kept", "whole.jsonl:2", "whole"),
    ]
    with pytest.raises(ConfigError, match="latin.txt: not UTF-8, and data.audit.not_utf8='fail' allows no such"):
        read(not_utf8="fail")
    (folder / "whole.jsonl").write_text('{"text": "fine"}\n{"text": "cut sh')
    with pytest.raises(ConfigError, match="whole.jsonl, line 2: not valid JSON"):
        read()


def test_metrics_go_on_where_tensorboard_cannot(place, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    with contextlib.closing(writers.Writers(place / "run")) as sink:
        monkeypatch.setattr(writers.EventsWriter, "write_event", full)
        for step in (1, 2):
            sink.write(step, {"train/loss": 1.0})
    assert [json.loads(line)["step"] for line in lines.read(place / "run" / "metrics.jsonl")] == [1, 2]
    assert caplog.text.count("TensorBoard is off for the rest of this run") == 1


def test_an_evaluation_that_was_stopped_goes_on(place, monkeypatch):
    """Two batches were kept, a third was not summed yet; a store refuses for a moment, which changes nothing."""
    monkeypatch.setattr(kept, "SHARE", np.inf)
    monkeypatch.setattr(kept, "SOONEST", 0.0)
    first = kept.Kept(place / "partial", "asked")
    for number in (0, 1):
        bucket.REFUSALS += [ConnectionError("503")]
        first.append({"nats": np.full(3, number)})
        first.save(lambda done=number: {"total": np.array([done])})
    bucket.REFUSALS.clear()
    first.append({"nats": np.full(3, 9)})
    again = kept.Kept(place / "partial", "asked")
    assert again.sums == {"total": np.array([1])} and [batch["nats"][0] for batch in again] == [0, 1]
    assert len(kept.Kept(place / "partial", "asked otherwise")) == 0


@pytest.fixture
def compiled(place):
    """A directory that JAX keeps compiled programs in, while the test lasts."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(place / "compiled"))
    compilation_cache.reset_cache()
    yield place / "compiled"
    jax.config.update("jax_compilation_cache_dir", before)
    compilation_cache.reset_cache()


def test_a_damaged_program_is_compiled_again(compiled):
    def tripled():
        return float(jax.jit(lambda x: 3 * x + 0.125)(2.0))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tripled() == tripled() == 6.125
    programs = [path for path in durable.files(compiled) if path.name.endswith("-cache")]
    assert programs
    for path in programs:
        path.write_bytes(b"?")
    with pytest.warns(UserWarning, match="Error reading persistent compilation cache entry"):
        assert tripled() == 6.125
