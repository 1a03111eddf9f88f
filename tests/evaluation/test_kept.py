"""What was kept is there again for the same request, and for no other; what was cut off counts for nothing."""

import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from hybridlm.evaluation import kept as keeping
from hybridlm.evaluation.kept import Kept


@pytest.fixture
def always(monkeypatch):
    """Sums are saved after every batch."""
    monkeypatch.setattr(keeping, "SHARE", np.inf)
    monkeypatch.setattr(keeping, "SOONEST", 0.0)


def batch(number):
    return {"nats of/ar": np.full(3, number, np.float32), "document": np.arange(number)}


def filled(directory, count):
    kept = Kept(directory, "asked")
    for number in range(count):
        kept.append(batch(number))
        kept.save(lambda done=number: {"total": np.array([done])})
    return kept


def numbers(kept):
    return [len(arrays["document"]) for arrays in kept]


def test_batches_come_back_in_order_as_often_as_asked(tmp_path):
    kept = filled(tmp_path / "partial", 3)
    assert numbers(kept) == numbers(kept) == [0, 1, 2]
    (*_, last) = kept
    np.testing.assert_array_equal(last["nats of/ar"], np.full(3, 2, np.float32))
    assert last["nats of/ar"].dtype == np.float32


def test_a_later_call_goes_on_where_the_sums_were_saved(tmp_path, monkeypatch, always):
    kept = filled(tmp_path, 2)
    monkeypatch.setattr(kept, "_due", np.inf)
    kept.append(batch(9))
    kept.save(lambda: {"total": np.array([9])})
    again = Kept(tmp_path, "asked")
    assert len(again) == 2 and again.sums == {"total": np.array([1])}, "the third was not summed, so it is read again"
    again.append(batch(2))
    assert numbers(again) == [0, 1, 2]


def test_another_request_begins_anew(tmp_path, always):
    filled(tmp_path, 2)
    other = Kept(tmp_path, "asked otherwise")
    assert len(other) == 0 and other.sums is None
    assert len(Kept(tmp_path, "asked")) == 2, "nothing is lost to a call that is refused before its first batch"
    other.append(batch(1))
    assert {path.name for path in tmp_path.iterdir()} == {"request.txt", "000000.npz"}
    assert len(Kept(tmp_path, "asked")) == 0


def test_saving_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    clock = iter([7.0, 60.0, 67.0, 68.0, 68.0, 80.0, 88.5, 89.0, 89.0])
    monkeypatch.setattr(keeping, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    kept, saved = Kept(tmp_path, "asked"), []

    def sums():
        saved.append(len(saved))
        return {}

    for expected in (0, 0, 1, 1, 2):  # none in the first minute, and after a save of one second none for twenty
        kept.save(sums)
        assert len(saved) == expected


def test_of_a_batch_only_arrays_that_are_asked_for_are_read(tmp_path, monkeypatch):
    kept, read, member = filled(tmp_path, 1), [], zipfile.ZipFile.open
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda file, name: read.append(name) or member(file, name))
    (arrays,) = kept
    assert set(arrays) == {"nats of/ar", "document"} and not read
    assert arrays["document"].size == 0 and read == ["document.npy"]


def test_nothing_is_left_after_removal(tmp_path):
    filled(tmp_path / "partial", 1).remove()
    assert not list(tmp_path.iterdir())
