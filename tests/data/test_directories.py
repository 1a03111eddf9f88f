import errno
import hashlib

import pytest
from etils import epath

from hybridlm.config.errors import ConfigError
from hybridlm.data import directories

FILES = {"a.txt": "one", "b.txt": "two", "last.json": "{}"}


def fill(folder):
    for name, text in FILES.items():
        (folder / name).write_text(text)


def content(folder):
    return {path.name: path.read_text() for path in epath.Path(folder).iterdir()}


@pytest.fixture(params=["local", "bucket"])
def target(request, tmp_path, monkeypatch):
    """A directory that is not there yet; a bucket is any path that only epath may write to."""
    if request.param == "bucket":
        monkeypatch.setattr(directories, "is_local", lambda path: False)
    return epath.Path(tmp_path) / "parent" / "data"


def test_a_directory_appears_with_all_its_files(target):
    with directories.whole(target, last="last.json") as partial:
        fill(partial)
        assert not target.exists()
    assert content(target) == FILES
    assert [path.name for path in target.parent.iterdir()] == ["data"]


def test_an_error_leaves_nothing(target):
    with pytest.raises(KeyboardInterrupt), directories.whole(target, last="last.json") as partial:
        fill(partial)
        raise KeyboardInterrupt
    assert not partial.exists() and not target.exists()


def test_a_full_disk_leaves_nothing_and_says_so(target):
    with (
        pytest.raises(OSError, match=r"the disk is full; nothing was left in .*data") as error,
        directories.whole(target, last="last.json") as partial,
    ):
        fill(partial)
        raise OSError(errno.ENOSPC, "No space left on device")
    assert error.value.errno == errno.ENOSPC
    assert not partial.exists() and not target.exists()


def test_what_a_killed_run_left_is_cleared_away(tmp_path):
    target = epath.Path(tmp_path) / "data"
    (tmp_path / "data.partial").mkdir()
    (tmp_path / "data.partial" / "stale").write_text("x")
    with directories.whole(target, last="last.json") as partial:
        fill(partial)
    assert content(target) == FILES


def test_a_directory_of_other_files_is_never_overwritten(target):
    target.mkdir(parents=True)
    (target / "thesis.tex").write_text("x")
    with (
        pytest.raises(ConfigError, match=r"data holds files but no last.json, so it is no prepared data and will"),
        directories.whole(target, last="last.json"),
    ):
        pass
    assert content(target) == {"thesis.tex": "x"}


def test_in_a_bucket_the_last_file_is_written_last(tmp_path, monkeypatch):
    monkeypatch.setattr(directories, "is_local", lambda path: False)
    target, written = epath.Path(tmp_path) / "data", []
    copy = type(target).copy
    monkeypatch.setattr(type(target), "copy", lambda self, to: (written.append(self.name), copy(self, to))[1])
    with directories.whole(target, last="a.txt") as partial:
        fill(partial)
    assert written[-1] == "a.txt" and sorted(written) == sorted(FILES)


def test_a_file_in_a_bucket_is_copied_once(tmp_path, monkeypatch):
    monkeypatch.setattr(directories, "is_local", lambda path: False)
    monkeypatch.setattr(directories.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    remote = epath.Path(tmp_path) / "remote"
    remote.write_text("content")
    sha256 = hashlib.sha256(b"content").hexdigest()
    with pytest.raises(OSError, match="remote did not arrive as it was written: its SHA-256 is not the one recorded"):
        directories.local_copy(remote, "0" * 64)
    first = directories.local_copy(remote, sha256)
    assert first.read_text() == "content" and list(first.parent.iterdir()) == [first]
    remote.unlink()
    assert directories.local_copy(remote, sha256) == first


def test_a_local_file_is_used_where_it_is(tmp_path):
    path = epath.Path(tmp_path) / "file"
    assert str(directories.local_copy(path, "0123")) == str(path)
    assert directories.is_local(path) and not directories.is_local(epath.Path("gs://bucket/file"))
