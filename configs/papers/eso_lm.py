"""Eso-LM (B) (Sahoo et al. 2025, arXiv:2506.01928) on OpenWebText at the paper's size. Not run here.

    bash run_tpu.sh hybridlm train --config=configs/papers/eso_lm.py --workdir=runs/papers/eso_lm

Published, after 250K steps of 512 × 1024 tokens: test perplexity ≤ 21.92 with an eighth of the tokens by diffusion
(a half: 27.94, all: 30.06; MDLM 25.19, autoregression 17.78); 8 GPUs of one machine in the authors' scripts. For the
other points give `eso_lm` another share.
Differs: the authors halve the batch between diffusion and autoregression, while here each row is both; further as
configs/papers/mdlm.py does.
"""

import dataclasses
import pathlib

from hybridlm.config import command_line
from hybridlm.config.evaluation import Reading
from hybridlm.config.experiment import Experiment
from hybridlm.config.objective import eso_lm

SHARE = 0.125


def get_config() -> Experiment:
    """The network, text and optimizer of configs/papers/mdlm.py, for a quarter of its steps."""
    first = command_line.load(str(pathlib.Path(__file__).with_name("mdlm.py")), {})
    return dataclasses.replace(
        first,
        name="eso_lm",
        objectives={"eso": eso_lm(SHARE)},
        training=dataclasses.replace(first.training, steps=250_000),
        evaluation=dataclasses.replace(
            first.evaluation, readings={"eso": Reading(objective=eso_lm(SHARE), samples=16)}
        ),
    )
