"""Joins the processes of a run, where there are several; one process on its own needs nothing."""

import os

import jax

_SIGNS = ("JAX_COORDINATOR_ADDRESS", "SLURM_STEP_NODELIST", "OMPI_COMM_WORLD_SIZE", "MEGASCALE_COORDINATOR_ADDRESS")


def start() -> None:
    """Calls `jax.distributed.initialize` where the environment says that this is one of several processes."""
    several_hosts = len(os.environ.get("TPU_WORKER_HOSTNAMES", "").split(",")) > 1
    if (several_hosts or any(name in os.environ for name in _SIGNS)) and not jax.distributed.is_initialized():
        jax.distributed.initialize()
