"""Joins the processes of a run, where there are several; a process on its own needs nothing.

TPU pods, Slurm and MPI say by themselves how many there are; elsewhere JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
JAX_PROCESS_ID do, as `run_tpu.sh local` sets them.
"""

import os

import jax

_SIGNS = ("JAX_COORDINATOR_ADDRESS", "SLURM_STEP_NODELIST", "OMPI_COMM_WORLD_SIZE", "MEGASCALE_COORDINATOR_ADDRESS")
_TPU = "TPU_ML_PLATFORM"
"""JAX sets it where it finds a TPU, which knows whether it is part of a pod."""
_NUMBERS = {"num_processes": "JAX_NUM_PROCESSES", "process_id": "JAX_PROCESS_ID"}
HEARTBEAT = 20
"""Seconds of silence after which a process counts as dead, and the others stop."""


def start() -> None:
    """Calls `jax.distributed.initialize` where the environment says that this is one of several processes."""
    is_named = any(name in os.environ for name in _SIGNS) or "," in os.environ.get("TPU_WORKER_HOSTNAMES", "")
    if jax.distributed.is_initialized() or not (is_named or _TPU in os.environ):
        return
    said = {what: int(os.environ[name]) for what, name in _NUMBERS.items() if name in os.environ}
    try:
        jax.distributed.initialize(**said, heartbeat_timeout_seconds=HEARTBEAT)
    except ValueError:
        # a lone TPU host, such as a notebook's, that no pod knows of
        if is_named:
            raise


def is_primary() -> bool:
    """Whether this process is the one that prints and writes files; a lone process may ask before devices start."""
    return not jax.distributed.is_initialized() or jax.process_index() == 0
