"""The whole experiment: a mask as a lambda, a mask from FlexAttention, and a config that differs in nothing else."""

import dataclasses

from hybridlm import masks
from hybridlm.config.evaluation import Reading
from hybridlm.config.experiment import Experiment
from hybridlm.config.objective import autoregressive
from hybridlm.config.storage import override


def sliding_window_mod(b, h, q_idx, kv_idx):
    """A FlexAttention mask_mod, as its users write them: causal, and at most 15 tokens back."""
    return (q_idx >= kv_idx) & (q_idx - kv_idx <= 15)


MASKS = {
    "causal": None,
    # a token sees itself, its left neighbour, and every fourth token further back
    "every fourth": masks.custom(lambda q, k: ((q.position - k.position) % 4 == 0) | (q.position - k.position == 1)),
    "window of 16": masks.from_mask_mod(sliding_window_mod),
}


def experiment(base: Experiment, name: str) -> Experiment:
    """The base config as a plain autoregressive model under one of the masks."""
    ar = autoregressive()
    base = dataclasses.replace(base, name=f"custom mask: {name}", objectives={"ar": ar}, mask=MASKS[name])
    base = dataclasses.replace(
        base, evaluation=dataclasses.replace(base.evaluation, readings={"ar": Reading(objective=ar)})
    )
    return override(base, {"training.steps": 300, "optimizer.warmup": 30})
