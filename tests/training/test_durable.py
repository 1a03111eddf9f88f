"""A crash at any moment leaves the old file or the new one."""

import os

import pytest
from etils import epath

from hybridlm.training import durable


@pytest.fixture
def path(tmp_path):
    return epath.Path(tmp_path / "file.json")


def test_data_name_and_directory_reach_the_disk_in_this_order(path, monkeypatch):
    calls = []
    opened = {}
    monkeypatch.setattr(os, "open", lambda place, *_, real=os.open: opened.setdefault("directory", real(place, *_)))
    monkeypatch.setattr(os, "fsync", lambda n: calls.append("directory" if n == opened.get("directory") else "data"))
    monkeypatch.setattr(os, "replace", lambda old, new, real=os.replace: (calls.append("name"), real(old, new)))
    durable.replace(path, "new")
    assert calls == ["data", "name", "directory"]
    assert path.read_text() == "new"


def test_a_failed_write_leaves_the_old_text(path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    durable.replace(path, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        durable.replace(path, "new")
    assert path.read_text() == "old"


@pytest.mark.parametrize("stores_objects", [False, True])
def test_appending_keeps_what_was_there(path, monkeypatch, stores_objects):
    monkeypatch.setattr(durable, "is_object_store", lambda _: stores_objects)
    durable.replace(path, "1\n")
    durable.append(path, "2\n")
    assert path.read_text() == "1\n2\n"


def test_object_stores_are_told_by_their_url(path):
    assert durable.is_object_store(epath.Path("gs://bucket/run"))
    assert not durable.is_object_store(path)
