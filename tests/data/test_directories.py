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


RECIPE = {"row_length": 8}


def made(target, fill=fill, last="last.json", recipe=RECIPE):
    with directories.whole(target, last=last, recipe=recipe) as partial:
        assert not target.exists()
        with directories.published(partial, target, last):
            fill(partial)


def test_a_directory_appears_with_all_its_files(target):
    made(target)
    assert content(target) == FILES
    assert [path.name for path in target.parent.iterdir()] == ["data"]


def half(partial):
    (partial / "a.txt").write_text("one")
    raise KeyboardInterrupt


def test_what_an_error_leaves_is_there_for_the_same_recipe_alone(tmp_path):
    target, seen = epath.Path(tmp_path) / "data", []
    for recipe in (RECIPE, RECIPE, {"row_length": 16}):
        with pytest.raises(KeyboardInterrupt), directories.whole(target, last="last.json", recipe=recipe) as partial:
            seen.append((partial / "a.txt").exists())
            half(partial)
        assert not target.exists()
    assert seen == [False, True, False]
    made(target)
    assert content(target) == FILES


def test_what_is_refused_before_anything_is_made_leaves_nothing(tmp_path):
    with (
        pytest.raises(ConfigError, match="no"),
        directories.whole(epath.Path(tmp_path) / "new" / "run" / "data", last="last.json", recipe=RECIPE),
    ):
        raise ConfigError("no")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_was_there_before_a_refusal_or_is_used_by_another_stays(tmp_path):
    target = epath.Path(tmp_path) / "new" / "run" / "data"
    with pytest.raises(ConfigError, match="no"), directories.whole(target, last="last.json", recipe=RECIPE):
        (tmp_path / "new" / "other").mkdir()
        raise ConfigError("no")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["other"]


def test_in_a_bucket_an_error_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(directories, "is_local", lambda path: False)
    with pytest.raises(KeyboardInterrupt):
        made(epath.Path(tmp_path) / "data", fill=half)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_says_where_the_work_stays(target):
    def full(partial):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"the disk is full, and nothing is in .*data yet. What is done stays") as error:
        made(target, fill=full)
    assert error.value.errno == errno.ENOSPC and not target.exists()


def test_only_one_process_gives_a_directory_its_name(tmp_path):
    target = epath.Path(tmp_path) / "data"
    with (
        directories.whole(target, last="last.json", recipe=RECIPE) as partial,
        directories.published(partial, target, "last.json"),
        pytest.raises(ConfigError, match="another process is preparing .*data right now; wait for it"),
    ):
        made(target)


def test_what_is_made_once_is_whole_and_not_made_again(tmp_path):
    path, calls = epath.Path(tmp_path) / "thing", []

    def write(where):
        calls.append(where.name)
        where.write_text("first")
        if len(calls) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        directories.once(path, write)
    assert not path.exists()
    directories.once(path, write)
    directories.once(path, write)
    assert path.read_text() == "first" and len(calls) == 2 and "thing" not in calls


def test_a_directory_of_other_files_is_never_overwritten(target):
    target.mkdir(parents=True)
    (target / "thesis.tex").write_text("x")
    with (
        pytest.raises(ConfigError, match=r"data holds files but no last.json, so it is no prepared data and will"),
    ):
        made(target)
    assert content(target) == {"thesis.tex": "x"}


def test_in_a_bucket_the_last_file_is_written_last(tmp_path, monkeypatch):
    monkeypatch.setattr(directories, "is_local", lambda path: False)
    target, written = epath.Path(tmp_path) / "data", []
    copy = type(target).copy

    def noted(self, to, **how):
        written.append(self.name)
        return copy(self, to, **how)

    monkeypatch.setattr(type(target), "copy", noted)
    made(target, last="a.txt")
    assert written[-1] == "a.txt" and sorted(written) == sorted(FILES)


def test_a_file_in_a_bucket_is_copied_once(tmp_path, monkeypatch):
    monkeypatch.setattr(directories, "is_local", lambda path: False)
    monkeypatch.setattr(directories.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    remote = epath.Path(tmp_path) / "remote"
    remote.write_text("content")
    sha256 = hashlib.sha256(b"content").hexdigest()
    with pytest.raises(OSError, match="remote did not arrive as it was written: its SHA-256 is not the one recorded"):
        directories.local_copy(remote, "0" * 64)
    with pytest.raises(FileNotFoundError):
        directories.local_copy(remote.with_name("another"), sha256)
    first = directories.local_copy(remote, sha256)
    assert first.read_text() == "content" and list(first.parent.iterdir()) == [first]
    remote.unlink()
    assert directories.local_copy(remote, sha256) == first


def test_a_local_file_is_used_where_it_is(tmp_path):
    path = epath.Path(tmp_path) / "file"
    assert str(directories.local_copy(path, "0123")) == str(path)
    assert directories.is_local(path) and not directories.is_local(epath.Path("gs://bucket/file"))


def test_what_fails_before_it_writes_anything_leaves_no_directory(tmp_path):
    (tmp_path / "there").mkdir()
    for place, is_left in (("there", True), ("new/reports/a", False)):
        with pytest.raises(ConfigError), directories.making(epath.Path(tmp_path) / place):
            assert (tmp_path / place).is_dir()
            raise ConfigError("refused")
        assert (tmp_path / place.partition("/")[0]).exists() == is_left
    with pytest.raises(KeyboardInterrupt), directories.making(epath.Path(tmp_path) / "begun"):
        half(tmp_path / "begun")
    assert (tmp_path / "begun" / "a.txt").exists()


def test_a_file_in_the_way_is_named_before_it_is_met(tmp_path):
    (tmp_path / "file").write_text("")
    directories.check_free(epath.Path(tmp_path) / "new" / "deep", "--workdir")
    for place in ("file", "file/deep/er"):
        with pytest.raises(ConfigError, match=f"--workdir={tmp_path}/{place}: {tmp_path}/file is a file, and a dir"):
            directories.check_free(epath.Path(tmp_path) / place, "--workdir")
