"""House rules of the tests: eight CPU devices, keys used once, the same examples every time, programs compiled once.

Most of the time goes into compiling small programs that are over before their optimisation would pay. What one process
has compiled lies in `.cache/compiled` for all others and the next time, by all that decides about it.
"""

import gc
import importlib
import os
import pathlib
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # `JAX_PLATFORMS=cuda pytest -m gpu` runs the accelerator's tests
if os.environ["JAX_PLATFORMS"] == "cpu":
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parents[1] / ".cache" / "compiled"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import hypothesis
import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_debug_key_reuse", True)

ROOMS_OF_A_RUN = ("training", "evaluation", "offline", "inspection", "sharding", "faults")

hypothesis.settings.register_profile("house", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("house")


def pytest_configure(config):
    """A program that another process is writing just now is compiled once more, and nothing is amiss."""
    config.addinivalue_line("filterwarnings", "ignore:Error reading persistent compilation cache entry")


def pytest_collect_file(file_path, parent):
    """The rooms that share a small run find it as fixtures; the others need not wait for what it imports."""
    plugins = parent.config.pluginmanager
    if file_path.parent.name in ROOMS_OF_A_RUN and not plugins.has_plugin("small_run"):
        plugins.register(importlib.import_module("tests.fixtures.small_run"), "small_run")


def pytest_collection_modifyitems(items):
    """The rooms whose files take longest come first, or one process would end alone with one."""
    items.sort(key=lambda item: item.path.parent.name not in ("training", "evaluation", "offline"))


def pytest_collection_finish():
    """What is imported stays, and need not be searched for garbage every few tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def importable(tmp_path, monkeypatch):
    """The directory of a test, whose files can be imported until it ends: the next may give its own the same names."""
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        module = sys.modules[name]
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
        if any(place and tmp_path in pathlib.Path(place).parents for place in places):
            del sys.modules[name]
    importlib.invalidate_caches()
