r"""BD3-LM (Arriola et al. 2025, arXiv:2503.09573) with blocks of 4 on OpenWebText at the paper's size. Not run here.

    bash run_tpu.sh hybridlm train --config=configs/papers/mdlm.py --workdir=runs/papers/mdlm \
        --config.training.steps=850000
    bash run_tpu.sh hybridlm train --config=configs/papers/bd3lm.py --workdir=runs/papers/bd3lm

As in the paper, one long block is trained first, which is MDLM, and its parameters go on in blocks of 4 for 150K steps.
Published: test perplexity ≤ 20.73 (blocks of 8: 21.68, of 16: 22.27; MDLM 22.98, autoregression 17.54), table 4; on
RTX 3090, A5000, A6000 and A100, 8 of them for this run in the authors' scripts. Shares of masked tokens are drawn from
0.45 to 0.95, which table 8 found best for blocks of 4 (for 16: 0.3 to 0.8), fine-tuned and measured on LM1B.
Differs: the authors search the range again at every validation (widths of 0.5 to 0.9, in steps of 0.05), and draw a
block's mask again until the share that came out lies within it. Learning rate, a warm-up of 2500 steps and clipping are
theirs for both stages. Else as configs/papers/mdlm.py does.
"""

import dataclasses
import pathlib

from hybridlm.config import command_line
from hybridlm.config.evaluation import Reading
from hybridlm.config.experiment import Experiment
from hybridlm.config.objective import block_diffusion

BLOCK = 4


def get_config() -> Experiment:
    """The network, text and optimizer of configs/papers/mdlm.py, its parameters, and blocks."""
    first = command_line.load(str(pathlib.Path(__file__).with_name("mdlm.py")), {})
    reading = Reading(objective=block_diffusion(BLOCK), samples=16)
    return dataclasses.replace(
        first,
        name="bd3lm",
        objectives={"block": block_diffusion(BLOCK, rates=(0.45, 0.95))},
        training=dataclasses.replace(first.training, steps=150_000, start_from="runs/papers/mdlm"),
        evaluation=dataclasses.replace(first.evaluation, readings={"block": reading}),
    )
