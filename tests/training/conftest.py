"""One small run shared by the tests of training: its text, its rows, a session that takes its steps, and its end."""

import contextlib
import functools
import shutil

import jax
import pytest
from etils import epath

from hybridlm.data.prepare import prepare
from hybridlm.data.progress import silent
from hybridlm.reports import html, token_reader
from hybridlm.sharding import mesh
from hybridlm.sharding.mesh import make as make_mesh
from hybridlm.training import offline, run
from hybridlm.training.session import open_session
from tests.end_to_end import tiny


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    directory = tmp_path_factory.mktemp("text")
    tiny.write_text(directory)
    return directory


@pytest.fixture(scope="session")
def prepared(text, tmp_path_factory):
    directory = tmp_path_factory.mktemp("prepared") / "data"
    return prepare(tiny.experiment(text, directory).data, directory, progress=silent)


@pytest.fixture(scope="session")
def experiment(text, prepared):
    return tiny.experiment(text, prepared.directory)


@contextlib.contextmanager
def devices(count):
    """The mesh of a run is made of the first `count` of the eight devices, whatever was said around it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mesh, "make", functools.partial(make_mesh, devices=jax.devices()[:count]))
        yield


@contextlib.contextmanager
def without_pictures():
    """Drawing the page takes longer than the run it is about."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(html, "write", lambda *arguments, **options: None)
        yield


@pytest.fixture
def small_and_plain():
    """A run sees the first of the eight devices alone, on which it compiles and runs faster, and draws nothing."""
    with devices(1), without_pictures():
        yield


@pytest.fixture(scope="session")
def session(experiment, tmp_path_factory):
    with devices(1):
        return open_session(experiment, epath.Path(tmp_path_factory.mktemp("session")))


@pytest.fixture(scope="session")
def task(session):
    return session.task


@pytest.fixture(scope="session")
def trained(text, tmp_path_factory):
    """The directory of the run after its last step, but for the page of the report; its data lie in it."""
    directory = epath.Path(tmp_path_factory.mktemp("trained"))
    with devices(1), without_pictures():
        run.train(tiny.experiment(text), directory)
    return directory


@pytest.fixture(scope="session")
def whole(trained, tmp_path_factory):
    """Its held-out tokens read from left to right, no short document cut by the end of a row."""
    directory = tmp_path_factory.mktemp("whole")
    changes = {"evaluation.context": "8"}
    with devices(1), without_pictures():
        offline.evaluate(trained, directory, data="", readings=("ar",), overrides=changes)
    return token_reader.read(directory / "tokens.parquet")


@pytest.fixture(scope="session")
def earlier(trained, tmp_path_factory):
    """The directory of the same run as it was some steps before its end: another network with the same tokenizer."""
    directory = tmp_path_factory.mktemp("runs") / "earlier"
    shutil.copytree(trained, directory)
    steps = sorted((directory / "checkpoints").glob("[0-9]*"), key=lambda path: int(path.name))
    shutil.rmtree(steps[-1])
    return directory
