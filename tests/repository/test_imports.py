"""Who may import whom, and what importing costs: the contracts of setup.cfg, no jax for a config, never TensorFlow."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]

WITHOUT_JAX = """
import importlib, pkgutil, sys
import hybridlm.config
config = [module.name for module in pkgutil.iter_modules(hybridlm.config.__path__, "hybridlm.config.")]
for name in ["hybridlm.facts.names", "hybridlm.facts.kinds", "hybridlm.masks", "hybridlm.__main__", *config]:
    importlib.import_module(name)
    assert not {"jax", "flax"} & set(sys.modules), f"{name} loads jax, so help and a refused config would wait for it"
"""

WITHOUT_TENSORFLOW = """
import importlib, pkgutil, sys
import hybridlm

class Refuse:
    def find_spec(self, name, path=None, target=None):
        assert name.split(".")[0] not in ("tensorflow", "seqio"), f"{module} asks for {name}"

sys.meta_path.insert(0, Refuse())
for module in [module.name for module in pkgutil.walk_packages(hybridlm.__path__, "hybridlm.")]:
    importlib.import_module(module)
"""

STEPS_WITHOUT_READERS = """
import sys
import benchmarks.train_step, benchmarks.roofline, benchmarks.objectives
asked = {"array_record", "grain", "tensorflow", "seqio", "torch"} & set(sys.modules)
assert not asked, f"the benchmarks of steps read no data and ask for {asked}"
"""


def in_new_interpreter(program: str) -> str:
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stderr


def test_import_contracts_hold():
    """In an interpreter of its own: the linter sets up logging anew, which absl's handler does not survive."""
    call = "from importlinter.cli import lint_imports; exit(lint_imports('setup.cfg', no_cache=True, no_logo=True))"
    found = subprocess.run([sys.executable, "-c", call], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_help_configs_and_masks_need_no_jax():
    assert in_new_interpreter(WITHOUT_JAX) == ""


def test_no_module_asks_for_tensorflow_or_warns():
    assert in_new_interpreter(WITHOUT_TENSORFLOW) == ""


def test_steps_can_be_timed_where_nothing_reads_data():
    assert in_new_interpreter(STEPS_WITHOUT_READERS) == ""
