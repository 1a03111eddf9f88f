"""Who joins: processes that their environment says are several, and TPU hosts, which ask the pod."""

import jax
import pytest

from hybridlm.sharding import distributed

SIGNS = ("TPU_WORKER_HOSTNAMES", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID", "TPU_ML_PLATFORM", *distributed._SIGNS)


@pytest.fixture
def joined(monkeypatch):
    """How JAX was asked to join, once or not at all."""
    asked = []
    for name in SIGNS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(jax.distributed, "initialize", lambda **said: asked.append(said))
    return asked


def test_a_lone_process_joins_nothing(joined):
    distributed.start()
    assert joined == []


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"JAX_COORDINATOR_ADDRESS": "host:1", "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "3"},
            {"num_processes": 4, "process_id": 3},
        ),
        ({"SLURM_STEP_NODELIST": "node[1-4]"}, {}),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, {}),
        ({"TPU_ML_PLATFORM": "JAX"}, {}),
    ],
)
def test_what_the_environment_says(joined, monkeypatch, environment, said):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    distributed.start()
    assert joined == [said | {"heartbeat_timeout_seconds": 20}]


def test_a_tpu_host_without_a_pod_is_alone_and_a_broken_cluster_is_an_error(joined, monkeypatch):
    def fail(**said):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", fail)
    monkeypatch.setenv("TPU_ML_PLATFORM", "JAX")
    distributed.start()
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[1-4]")
    with pytest.raises(ValueError, match="coordinator_address"):
        distributed.start()
