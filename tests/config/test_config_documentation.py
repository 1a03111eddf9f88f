import dataclasses
import re
import subprocess
import sys
import typing

import pytest

from hybridlm.config.experiment import Experiment

ALIKE = ("MeshConfig",)
"""Its first line says what its fields are, which differ in name alone."""


def parts(kind):
    """The dataclasses that a config is made of."""
    if dataclasses.is_dataclass(kind):
        yield kind
        for inner in typing.get_type_hints(kind).values():
            yield from parts(inner)
    for inner in typing.get_args(kind):
        yield from parts(inner)


@pytest.mark.parametrize("kind", sorted(set(parts(Experiment)), key=lambda kind: kind.__name__))
def test_every_field_is_explained_where_it_stands(kind):
    if kind.__name__ not in ALIKE:
        names = [field.name for field in dataclasses.fields(kind)]
        assert [name for name in names if not re.search(rf"\b{name}\b", kind.__doc__)] == []


def test_building_checking_and_storing_a_config_loads_no_jax():
    program = """
import json, sys
from hybridlm import masks
from hybridlm.config.experiment import Experiment
from hybridlm.config.storage import from_dict, override, to_dict
config = override(Experiment(name="run", mask=masks.window(8)), {"training.steps": 100})
assert from_dict(Experiment, json.loads(json.dumps(to_dict(config)))) == config
loaded = {"jax", "jaxlib", "flax", "optax"} & set(sys.modules)
assert not loaded, loaded
"""
    command = [sys.executable, "-W", "error", "-c", program]
    assert subprocess.run(command, capture_output=True, text=True).stderr == ""
