"""Hosts of one run must be alike: the same code, config, versions and data, compared before the first step.

A host that differs computes something else without any error, or leaves the others waiting in a collective for ever.
"""

import hashlib
import json
import os
import pathlib
import platform
from collections.abc import Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils

from hybridlm.config.errors import require
from hybridlm.config.experiment import Experiment
from hybridlm.config.storage import to_dict
from hybridlm.storage import environment

_NAME = 64
"""Bytes of a host's name that are sent."""


def check(facts: Mapping[str, object]) -> None:
    """Raises `ConfigError` on every process, with the hosts named, unless all give the same facts by the same names."""
    if jax.process_count() > 1:
        own = np.stack([_digest(facts[name]) for name in sorted(facts)])
        name = np.frombuffer(platform.node().encode()[:_NAME].ljust(_NAME), np.uint8)
        digests_PFX, names_PX = multihost_utils.process_allgather((own, name))
        hosts = [bytes(name_X).decode(errors="replace").strip() for name_X in names_PX]
        compare(sorted(facts), digests_PFX, hosts)


def compare(names: list[str], digests_PFX: np.ndarray, hosts: list[str]) -> None:
    """Raises `ConfigError` for every process whose digest of a fact is not the one that most have."""
    lines = []
    for name, digests_PX in zip(names, np.moveaxis(digests_PFX, 1, 0), strict=True):
        told = [bytes(digest_X).hex()[:12] for digest_X in digests_PX]
        usual = max(told, key=told.count)
        lines += [
            f"  process {number} ({host}) has another {name}: {own} instead of {usual}"
            for number, (host, own) in enumerate(zip(hosts, told))
            if own != usual
        ]
    require(
        not lines,
        "the hosts of this run are not alike, so they would compute different things; give all of them the same code, "
        "packages, command and data:\n" + "\n".join(lines),
    )


def of_program(experiment: Experiment) -> dict[str, object]:
    """What must be known before anything is built: code, config, versions, and flags of the compiler."""
    flags = ("XLA_FLAGS", "LIBTPU_INIT_ARGS", "JAX_ENABLE_X64", "JAX_DEFAULT_MATMUL_PRECISION")
    return {
        "code": code(),
        "config": to_dict(experiment),
        "version of Python or a package": [platform.python_version(), environment.versions()],
        "compiler flag": {name: os.environ.get(name) for name in flags},
    }


def code() -> str:
    """SHA-256 over every Python file of this package, by name and content."""
    root = pathlib.Path(__file__).parents[1]
    found = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        found.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _digest(fact: object) -> np.ndarray:
    return np.frombuffer(hashlib.sha256(json.dumps(fact, sort_keys=True).encode()).digest(), np.uint8)
