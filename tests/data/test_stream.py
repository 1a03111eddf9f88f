import dataclasses
import threading

import numpy as np
import pytest
from etils import epath

from hybridlm.config.errors import ConfigError
from hybridlm.config.sources import Mixing, Source
from hybridlm.data import shards, writing
from hybridlm.data.prepare import prepare
from hybridlm.data.progress import silent
from hybridlm.data.rows import Rows
from hybridlm.data.stream import TrainStream

BATCH = 12


MIXING = (
    Mixing(shares={"prose": 0.75, "tables": 0.25}),
    Mixing(shares={"prose": 0.1, "tables": 0.9}, from_step=50),
)


@pytest.fixture(scope="module")
def rows(prepared):
    return prepared.rows("train")


@pytest.fixture(scope="module")
def two_sources(config, source, tmp_path_factory):
    """Two sources with rules of their own, and hardly any text in the second one."""
    directory = tmp_path_factory.mktemp("two")
    (directory / "tables.txt").write_text("\n".join(f"{n},{n * n}" for n in range(99)))
    named = (
        Source(path=str(source), name="prose", licence="CC0"),
        Source(path=str(directory / "tables.txt"), name="tables", language="numbers", validation=0.0, test=0.0),
    )
    config = dataclasses.replace(config, sources=named, mixing=MIXING)
    return prepare(config, directory / "data", progress=silent)


def mixed(rows, **options):
    return TrainStream(rows, **{"seed": 5, "batch_rows": BATCH, "mixing": MIXING} | options)


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


@pytest.mark.parametrize("own", [(0, 1, 2), (11,), (0, 4, 8), tuple(range(BATCH))], ids=str)
def test_any_process_reads_its_rows_of_the_same_global_batch(rows, own):
    whole = TrainStream(rows, seed=5, batch_rows=BATCH)
    part = TrainStream(rows, seed=5, batch_rows=BATCH, own_rows=own)
    for step in (0, 7, 1000):
        assert same(part.batch(step), {name: column[list(own)] for name, column in whole.batch(step).items()})
        assert part.global_indices(step) == whole.indices(step)


def test_every_epoch_reads_every_row_once_in_an_order_of_its_own(rows):
    epochs = {}
    for seed in (3, 4):
        read = order(TrainStream(rows, seed=seed, batch_rows=1), range(3 * len(rows)))
        for epoch in range(3):
            epochs[seed, epoch] = read[epoch * len(rows) : (epoch + 1) * len(rows)]
    assert all(sorted(epoch) == list(range(len(rows))) for epoch in epochs.values())
    assert len({tuple(epoch) for epoch in epochs.values()}) == 6, "also epoch 1 of seed 3 and epoch 0 of seed 4 differ"


def test_sources_mix_in_exact_shares_and_each_reads_all_its_rows_before_any_twice(two_sources):
    rows = two_sources.rows("train")
    (_, prose), (first, stop) = rows.ranges["prose"], rows.ranges["tables"]
    assert (first, stop) == (prose, len(rows)), "the rows of a source follow each other"
    stream = mixed(rows)
    read = {name: [] for name in rows.ranges}
    for step in range(60):
        batch = stream.indices(step)
        for index in batch:
            read["prose" if index < prose else "tables"].append(index)
        if step == 49:
            assert {name: len(indices) for name, indices in read.items()} == {"prose": 450, "tables": 150}
    assert {name: len(indices) for name, indices in read.items()} == {"prose": 450 + 12, "tables": 150 + 108}
    assert stream.epochs(60) == {"prose": 462 / prose, "tables": 258 / (stop - first)}
    for name, indices in read.items():
        begin, end = rows.ranges[name]
        epoch = [indices[n : n + end - begin] for n in range(0, len(indices), end - begin)]
        assert all(sorted(part) == list(range(begin, end)) for part in epoch[:-1])
        assert len({tuple(part) for part in epoch[:2]}) == 2, "in another order"


def test_mixing_is_the_same_on_any_number_of_processes_and_from_any_step(two_sources):
    rows = two_sources.rows("train")
    whole = order(mixed(rows), range(46, 54))
    parts = [mixed(rows, own_rows=range(first, first + 4)) for first in (0, 4, 8)]
    assert whole == [index for step in range(46, 54) for part in parts for index in part.indices(step)]


def test_shares_to_come_change_nothing_before(two_sources):
    rows = two_sources.rows("train")
    assert order(mixed(rows, mixing=MIXING[:1]), range(50)) == order(mixed(rows), range(50))
    assert mixed(rows, mixing=MIXING[:1]).indices(50) != mixed(rows).indices(50)


def test_what_is_known_of_a_source_stands_in_the_manifest_and_rules_its_rows(two_sources):
    manifest = two_sources.manifest
    assert [(source.called, source.licence) for source in manifest.sources] == [("prose", "CC0"), ("tables", "")]
    assert "numbers" in manifest.domains and list(manifest.splits["validation"].ranges) == ["prose"]
    assert all(split.fill >= 0.9 for split in manifest.splits.values()), "in rows of 32 tokens"
    columns = two_sources.rows("train").read(range(*manifest.splits["train"].ranges["tables"]))
    assert {manifest.domains[n] for n in columns["language"][columns["segment_ids"] > 0]} == {"numbers"}


def test_a_share_for_a_source_without_rows_is_refused(rows):
    with pytest.raises(ConfigError, match="data.mixing gives a share to 'prose', but the training rows come from '/"):
        mixed(rows)


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
