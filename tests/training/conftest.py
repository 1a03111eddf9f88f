"""One small run shared by the tests of training: its text, its rows, its task, and a session that can take steps."""

import functools

import jax
import pytest
from end_to_end import tiny
from etils import epath
from jax.experimental.compilation_cache import compilation_cache

from hybridlm.data.prepare import prepare
from hybridlm.data.progress import silent
from hybridlm.sharding import mesh
from hybridlm.training.session import open_session


@pytest.fixture(scope="session", autouse=True)
def compile_once(tmp_path_factory):
    """Every run of a test compiles the same few programs."""
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("compiled")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_disable_most_optimizations", True)
    compilation_cache.reset_cache()


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


@pytest.fixture(scope="session")
def one_device():
    """Runs see the first of the eight devices only, as most compile and run faster on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mesh, "make", functools.partial(mesh.make, devices=jax.devices()[:1]))
        yield


@pytest.fixture(scope="session")
def session(experiment, one_device, tmp_path_factory):
    return open_session(experiment, epath.Path(tmp_path_factory.mktemp("session")))


@pytest.fixture(scope="session")
def task(session):
    return session.task
