"""A crash at any moment leaves the old file or the new one."""

import os

import pytest
from etils import epath

from hybridlm.storage import durable


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


def test_a_directory_moves_with_all_its_files(tmp_path):
    directory = epath.Path(tmp_path / "20")
    (directory / "deep").mkdir(parents=True)
    (directory / "deep" / "file").write_text("text")
    durable.move(directory, epath.Path(tmp_path / "aside"))
    assert [str(path.relative_to(tmp_path)) for path in durable.files(epath.Path(tmp_path))] == ["aside/deep/file"]
