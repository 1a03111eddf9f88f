import dataclasses
import threading

import numpy as np
import pytest
from etils import epath

from hybridlm.config.errors import ConfigError
from hybridlm.data import shards, writing
from hybridlm.data.prepare import prepare
from hybridlm.data.progress import silent
from hybridlm.data.rows import Rows
from hybridlm.data.stream import TrainStream

BATCH = 12


@pytest.fixture(scope="module")
def rows(prepared):
    return prepared.rows("train")


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def order(stream, steps):
    return [index for step in steps for index in stream.indices(step)]


def test_a_batch_depends_on_seed_and_step_alone(rows, prepared):
    stream = TrainStream(rows, seed=5, batch_rows=BATCH)
    seen = [stream.batch(step) for step in range(4)]
    other = TrainStream(prepared.rows("train"), seed=5, batch_rows=BATCH)
    assert all(same(other.batch(step), seen[step]) for step in (3, 1, 2, 1, 0))
    assert not same(seen[0], seen[1])
    assert not same(TrainStream(rows, seed=6, batch_rows=BATCH).batch(0), seen[0])


@pytest.mark.parametrize("count", [2, 3, 12])
def test_any_number_of_processes_reads_the_same_global_batch(rows, count):
    whole = TrainStream(rows, seed=5, batch_rows=BATCH)
    parts = [
        TrainStream(rows, seed=5, batch_rows=BATCH, process_index=index, process_count=count) for index in range(count)
    ]
    for step in (0, 7, 1000):
        batches = [part.batch(step) for part in parts]
        joined = {name: np.concatenate([batch[name] for batch in batches]) for name in rows.names}
        assert same(joined, whole.batch(step))


def test_every_epoch_reads_every_row_once_in_an_order_of_its_own(rows):
    epochs = {}
    for seed in (3, 4):
        read = order(TrainStream(rows, seed=seed, batch_rows=1), range(3 * len(rows)))
        for epoch in range(3):
            epochs[seed, epoch] = read[epoch * len(rows) : (epoch + 1) * len(rows)]
    assert all(sorted(epoch) == list(range(len(rows))) for epoch in epochs.values())
    assert len({tuple(epoch) for epoch in epochs.values()}) == 6, "also epoch 1 of seed 3 and epoch 0 of seed 4 differ"


def test_reading_ahead_gives_the_same_batches_and_ends_its_thread(rows):
    stream = TrainStream(rows, seed=5, batch_rows=BATCH)
    ahead = list(stream.prefetch(3, 20))
    assert len(ahead) == 17 and all(same(batch, stream.batch(3 + n)) for n, batch in enumerate(ahead))
    unfinished = stream.prefetch(0, 10**9)
    next(unfinished)
    assert any(thread.name.startswith("prefetch") for thread in threading.enumerate())
    unfinished.close()
    assert not any(thread.name.startswith("prefetch") for thread in threading.enumerate())


def test_a_damaged_record_reaches_the_reader_of_its_step(rows, monkeypatch):
    stream = TrainStream(rows, seed=5, batch_rows=BATCH)
    whole = Rows.read

    def read(self, indices):
        if indices == stream.indices(2):
            raise shards.DamagedData(epath.Path("shard"), "record 1 cannot be read")
        return whole(self, indices)

    monkeypatch.setattr(Rows, "read", read)
    batches = stream.prefetch(0, 9)
    assert same(next(batches), stream.batch(0)) and same(next(batches), stream.batch(1))
    with pytest.raises(shards.DamagedData, match="record 1 cannot be read"):
        next(batches)


def test_a_batch_must_divide_over_the_processes(rows):
    with pytest.raises(ConfigError, match=r"training.batch_rows=10 must be a multiple of the number of processes, 4"):
        TrainStream(rows, seed=0, batch_rows=10, process_count=4)


def test_evaluation_reads_all_rows_in_order_and_pads_the_last_batch(prepared):
    rows = prepared.rows("validation")
    batches = list(rows.batches(7))
    whole = rows.read(range(len(rows)))
    assert len(rows) % 7 != 0 and all(batch["tokens"].shape == (7, 32) for batch in batches)
    for name in rows.names:
        assert np.array_equal(np.concatenate([batch[name] for batch in batches])[: len(rows)], whole[name])
    empty = {name: values[len(rows) % 7 :] for name, values in batches[-1].items()}
    assert (empty["segment_ids"] == 0).all() and (empty["tokens"] == prepared.tokenizer.pad).all()


def test_rows_over_several_shards_are_numbered_through(prepared, config, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "TOKENS_PER_SHARD", 10 * 32)
    monkeypatch.setattr(writing, "TOKENS_PER_BLOCK", 4 * 32)
    many = prepare(config, tmp_path / "data", progress=silent).rows("train")
    one = prepared.rows("train")
    indices = np.random.default_rng(0).permutation(len(one))
    assert same(many.read(indices), one.read(indices))
    assert len(many._readers) > 5
    with pytest.raises(IndexError, match=f"rows are numbered 0 to {len(one) - 1}, but 0 to {len(one)} were asked for"):
        many.read([0, len(one)])


def test_an_id_outside_the_vocabulary_names_shard_and_record(prepared):
    tokenizer = prepared.tokenizer
    smaller = dataclasses.replace(tokenizer, token_bytes=tokenizer.token_bytes[:-1])
    rows = Rows(prepared.directory, prepared.manifest, "train", smaller)
    last = tokenizer.vocab_size - 1
    tokens = prepared.rows("train").read(range(len(rows)))["tokens"]
    first = int(np.argmax((tokens == last).any(axis=1)))
    with pytest.raises(ConfigError) as error:
        rows.read(range(first + 1))
    assert f"train-00000.array_record, record {first}: token id {last} lies outside the vocabulary" in str(error.value)
