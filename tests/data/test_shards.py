import errno
import re

import numpy as np
import pytest
from etils import epath

from hybridlm.data import shards
from hybridlm.data.manifest import record_dtype

RECORD = record_dtype({"tokens": "uint16", "word_band": "int8"}, 64)


@pytest.fixture
def rows():
    random = np.random.default_rng(0)
    block = np.zeros(400, RECORD)
    block["tokens"] = random.integers(0, 300, (400, 64))
    block["word_band"] = random.integers(-2, 6, (400, 64))
    return block


@pytest.fixture
def written(tmp_path, rows):
    path = epath.Path(tmp_path) / "train-00000.array_record"
    return path, shards.write([rows[:60], rows[60:]], path)


def read_all(path, shard):
    return b"".join(shards.ShardReader(path, shard, RECORD).read(list(range(shard.rows))))


def test_records_come_back_in_any_order(written, rows):
    reader = shards.ShardReader(*written, RECORD)
    order = [399, 0, 60, 59, 0]
    assert np.array_equal(np.frombuffer(b"".join(reader.read(order)), RECORD), rows[order])


def test_a_record_is_its_columns_one_after_the_other_little_endian(written, rows):
    (record,) = shards.ShardReader(*written, RECORD).read([7])
    assert record == rows["tokens"][7].astype("<u2").tobytes() + rows["word_band"][7].tobytes()


def test_the_same_rows_make_the_same_file(written, rows, tmp_path):
    other = shards.write([rows], epath.Path(tmp_path) / "other.array_record")
    assert (other.sha256, other.bytes, other.rows) == (written[1].sha256, written[1].bytes, 400)


def test_no_flipped_bit_passes_unnoticed(written, rows):
    path, shard = written
    content, random, noticed = path.read_bytes(), np.random.default_rng(1), 0
    for _ in range(64):
        damaged = bytearray(content)
        damaged[random.integers(len(content))] ^= 1 << random.integers(8)
        path.write_bytes(bytes(damaged))
        try:
            assert read_all(path, shard) == rows.tobytes()  # the bit lies in padding between records
        except shards.DamagedData as error:
            noticed += 1
            assert str(path) in str(error)
            continue
        with pytest.raises(shards.DamagedData, match="its SHA-256 is not the one recorded"):
            shards.ShardReader(path, shard, RECORD).verify()
    assert noticed > 10


def test_a_damaged_record_is_named_and_the_others_still_read(written, rows):
    path, shard = written
    damaged = bytearray(path.read_bytes())
    damaged[shard.bytes // 6] ^= 4
    path.write_bytes(bytes(damaged))
    with pytest.raises(shards.DamagedData) as error:
        read_all(path, shard)
    record = int(
        re.search(r"record (\d+) cannot be read .* copy it again, or prepare the data anew", str(error.value))[1]
    )
    others = [n for n in range(400) if n != record]
    read = shards.ShardReader(path, shard, RECORD).read(others)
    assert np.array_equal(np.frombuffer(b"".join(read), RECORD), rows[others])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (lambda content: content[:65536], "it has 65536 bytes, not {bytes}"),
        (lambda content: b"", "it has 0 bytes, not {bytes}"),
        (lambda content: bytes(len(content)), "it holds 0 records, not 400"),
        (None, "it is missing"),
    ],
    ids=["truncated", "emptied", "overwritten", "deleted"],
)
def test_a_file_that_is_not_what_was_written_is_refused_at_once(written, content, problem):
    path, shard = written
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content(path.read_bytes()))
    with pytest.raises(shards.DamagedData, match=f"array_record: {problem.format(bytes=shard.bytes)}. The file is dam"):
        shards.ShardReader(path, shard, RECORD)


def test_another_layout_is_refused(written):
    other = record_dtype({"tokens": "uint32"}, 64)
    with pytest.raises(shards.DamagedData, match="record 3 has not the 256 bytes of a row"):
        shards.ShardReader(*written, other).read([3, 4])


def test_a_full_disk_is_an_error_of_the_operating_system(rows, tmp_path):
    (tmp_path / "full.array_record").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as error:
        shards.write([rows], epath.Path(tmp_path) / "full.array_record")
    assert error.value.errno == errno.ENOSPC
