"""Families of models, each with every way in which its tokens can be scored."""

from hybridlm.config.evaluation import Reading
from hybridlm.config.objective import (
    Objective,
    autoregressive,
    block_diffusion,
    eso_lm,
    gpt_bert,
    masked_diffusion,
    prefix_lm,
    shared_ar_diffusion,
)

SAMPLES = 16
BLOCK = 4
"""Tokens of a block of the shared model, whose chain costs as many passes."""

AR = {"ar": Reading(objective=autoregressive())}


def _blocks(objective: Objective) -> dict[str, Reading]:
    """The sampled bound of a model of blocks, the chain, and for small blocks both by enumeration."""
    found = {
        "bound": Reading(objective=objective, samples=SAMPLES),
        "chain": Reading(objective=objective, estimator="chain"),
    }
    if objective.block_size <= 4:
        found["mixture"] = Reading(objective=objective, estimator="order_mixture")
    return found


def _one(objective: Objective) -> dict[str, Objective]:
    return {"main": objective}


FAMILIES: dict[str, tuple[dict[str, Objective], dict[str, Reading]]] = {
    "ar": (_one(autoregressive()), AR),
    "prefix": (_one(prefix_lm(0.0, 0.9)), {**AR, "prefix": Reading(objective=prefix_lm(0.5, 0.5))}),
    "gpt_bert": (gpt_bert(), AR),
    "mdlm": (_one(masked_diffusion()), {"bound": Reading(objective=masked_diffusion(), samples=SAMPLES)}),
    "bd4": (_one(block_diffusion(4)), _blocks(block_diffusion(4))),
    "bd8": (_one(block_diffusion(8)), _blocks(block_diffusion(8))),
    "bd16": (_one(block_diffusion(16)), _blocks(block_diffusion(16))),
    "eso_0.125": (_one(eso_lm(0.125)), {"bound": Reading(objective=eso_lm(0.125), samples=SAMPLES)}),
    "eso_0.5": (_one(eso_lm(0.5)), {"bound": Reading(objective=eso_lm(0.5), samples=SAMPLES)}),
    "shared": (_one(shared_ar_diffusion(BLOCK)), {**AR, **_blocks(shared_ar_diffusion(BLOCK))}),
}
