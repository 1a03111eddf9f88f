"""Whoever encodes a corpus, in however many parts and after whatever kill, the rows are the same bytes."""

import dataclasses

import numpy as np
import pytest
from etils import epath

from hybridlm.config.errors import ConfigError
from hybridlm.data import encoding, workers
from hybridlm.data.corpus import survey_for_training
from hybridlm.data.encoding import Chunks, Side
from hybridlm.data.prepare import prepare, prepare_part
from hybridlm.data.progress import silent


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(encoding, "CHUNK_BYTES", 2_000)
    monkeypatch.setattr(workers, "MOST_PROCESSES", 1)


def shard_bytes(directory):
    return {path.name: path.read_bytes() for path in epath.Path(directory).glob("*.array_record")}


def test_parts_made_on_their_own_give_the_rows_of_one_process(prepared, config, tmp_path, monkeypatch):
    for part in (2, 0):
        prepare_part(config, tmp_path / "data", part, 3, progress=silent)
        assert not (tmp_path / "data").exists()
    made = []
    make = Chunks.make
    monkeypatch.setattr(Chunks, "make", lambda self, *rest: (made.append((self.numbers, rest[0])), make(self, *rest)))
    prepare(config, tmp_path / "data", progress=silent)
    assert made and all(numbers == every[1::3] for every, numbers in made), "only what no part has made"
    assert shard_bytes(tmp_path / "data") == shard_bytes(prepared.directory)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_processes_share_the_work_and_give_the_same_rows(prepared, config, tmp_path, monkeypatch):
    # a process that is started knows nothing of the small chunks of this one
    monkeypatch.setattr(encoding, "CHUNK_BYTES", 1 << 22)
    prepare_part(config, tmp_path / "data", 0, 1, progress=silent)
    work = epath.Path(tmp_path) / "data.partial" / "work"
    (work / workers.CHUNKS).rmtree()
    chunks = workers.find(work)[2][0]
    passed = []
    with workers.started([[str(work), "train", str(part), "2"] for part in range(2)]) as running:
        workers.wait(running, chunks, chunks.missing(), passed.append)
    assert sum(passed) == chunks.bytes(chunks.numbers) and not chunks.missing()
    prepare(config, tmp_path / "data", progress=silent)
    assert shard_bytes(tmp_path / "data") == shard_bytes(prepared.directory)


def test_a_kill_loses_no_chunk_that_was_finished(prepared, config, tmp_path, monkeypatch):
    encode, calls = encoding.encode, []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(*arguments)

    monkeypatch.setattr(encoding, "encode", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(config, tmp_path / "data", progress=silent)
    monkeypatch.setattr(
        "hybridlm.data.prepare.survey_for_training", lambda *_: pytest.fail("the corpus was surveyed before")
    )
    prepare(config, tmp_path / "data", progress=silent)
    chunks = len(np.unique([call[0][0][1].id for call in calls]))
    assert len(calls) == chunks + 1, "only the chunk in which it was killed was made twice"
    assert shard_bytes(tmp_path / "data") == shard_bytes(prepared.directory)


def test_another_config_begins_anew(config, tmp_path):
    prepare_part(config, tmp_path / "data", 0, 2, progress=silent)
    changed = dataclasses.replace(config, vocab_size=290)
    assert prepare(changed, tmp_path / "data", progress=silent).tokenizer.vocab_size == 290


def test_a_worker_that_fails_says_why(config, tmp_path):
    corpus = survey_for_training(config, silent)
    chunks = Chunks(corpus, Side("train", corpus.entries, ()), epath.Path(tmp_path) / "chunks")
    with (
        pytest.raises(OSError, match=r"(?s)a process that encodes text has failed: .*corpus.parquet"),
        workers.started([[str(tmp_path), "train", "0", "1"]]) as running,
    ):
        running[0].wait()
        workers.wait(running, chunks, [0], lambda done: None)


@pytest.mark.parametrize(
    ("directory", "part", "problem"), [("gs://b/d", 0, "is not in a file system"), ("d", 2, "part 2 of")]
)
def test_parts_that_cannot_be_are_refused(config, directory, part, problem):
    with pytest.raises(ConfigError, match=problem):
        prepare_part(config, directory, part, 2, progress=silent)
