"""Targets that a mask leaves nothing to see, so that attention gives their queries zeros."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

from hybridlm.facts.loss_inputs import LossInputs


def warnings(inputs: LossInputs, visible_BT: Int[np.ndarray, "B T"]) -> Iterator[str]:
    """A warning of each objective that predicts where its query sees no token; `visible_BT`: how many each sees."""
    is_target_BT = np.asarray(inputs.train_weight_BT) != 0
    part_BT = np.repeat(inputs.part_BX, visible_BT.shape[1] // inputs.part_BX.shape[1], axis=1)
    for number, part in enumerate(inputs.parts):
        visible_N = visible_BT[is_target_BT & (part_BT == number)]
        if blind := np.count_nonzero(visible_N == 0):
            yield (
                f"objective {part.name!r}: {blind / visible_N.size:.1%} of its targets ({blind:,} of "
                f"{visible_N.size:,} in the first batch) are predicted where the mask {inputs.mask!r} shows no token "
                "at all, from nothing but the input of that very place. Unless that is meant, widen the `mask` of "
                "the config, which is joined by & with what each objective shows, or leave the objective out."
            )
