"""Joins the processes of a run, where there are several; one process on its own needs nothing.

TPU pods, Slurm and MPI say by themselves how many there are; elsewhere JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
JAX_PROCESS_ID do.
"""

import os

import jax

_SIGNS = ("JAX_COORDINATOR_ADDRESS", "SLURM_STEP_NODELIST", "OMPI_COMM_WORLD_SIZE", "MEGASCALE_COORDINATOR_ADDRESS")
_NUMBERS = {"num_processes": "JAX_NUM_PROCESSES", "process_id": "JAX_PROCESS_ID"}


def start() -> None:
    """Calls `jax.distributed.initialize` where the environment says that this is one of several processes."""
    several_hosts = len(os.environ.get("TPU_WORKER_HOSTNAMES", "").split(",")) > 1
    if (several_hosts or any(name in os.environ for name in _SIGNS)) and not jax.distributed.is_initialized():
        said = {what: int(os.environ[name]) for what, name in _NUMBERS.items() if name in os.environ}
        jax.distributed.initialize(**said)
