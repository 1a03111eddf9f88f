"""`hybridlm plan`: what a training step takes on a machine that is not there."""

import os
from collections.abc import Sequence

from hybridlm.cli.flags import Parser
from hybridlm.config import command_line
from hybridlm.planning import chips

DESCRIPTION = """\
Compiles the training step of a config for a machine that need not be there, and prints memory per device by part,
traffic, operations, the time at the peak of each resource and which is the limit, and what to change if it does not or
may not fit.

  hybridlm plan --config=configs/llama2_7b.py --topology=v5e:16x16
  hybridlm plan --config=configs/llama2_7b.py --topology=h100:8 --config.training.batch_rows=16
  hybridlm plan --config=configs/llama2_7b.py --topology=v5e:16x16 --scaling      tokens/s on 8 to 8192 chips, by rule

Machines are v5e:XxY, v6e:XxY, v5p:XxYxZ (chips along each axis), h100:N, and cpu:N. libtpu compiles for TPUs where it
is installed: pip install 'hybridlm[tpu]', or HYBRIDLM_EXTRA=tpu bash run_tpu.sh hybridlm plan ... Where no compiler is
at hand the step is lowered, figures are by rule, and the page says so.
"""

ALONE = {
    "JAX_PLATFORMS": "cpu",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
}
"""The machine that plans has its accelerator left alone, and libtpu, which only compiles here, looks for no TPU."""


def run(argv: Sequence[str]) -> int:
    """Plans; returns the exit code."""
    parser = Parser("plan", DESCRIPTION)
    parser.add_argument("--config", required=True, help="a Python file whose get_config() returns an Experiment")
    parser.add_argument("--topology", required=True, help="the machine, as in v5e:16x16, v5p:4x4x4, h100:8 or cpu:8")
    parser.add_argument("--scaling", action="store_true", help="a table of speed against chips, nothing compiled")
    flags, overrides = parser.read(argv)
    experiment = command_line.load(flags.config, overrides)
    topology = chips.parse(flags.topology)

    os.environ.update(ALONE)

    import jax

    if topology.chip.platform == "cpu" and topology.count > jax.config.jax_num_cpu_devices:
        jax.config.update("jax_num_cpu_devices", topology.count)

    from hybridlm.planning import plan, scaling
    from hybridlm.planning.page import page

    print(scaling.table(experiment, topology) if flags.scaling else page(plan.make(experiment, topology)))
    return 0
