"""Which facts a user's own mask may read: known from the config, so that rows need not be prepared to refuse a mask."""

from hybridlm.config.errors import nearest, require
from hybridlm.config.experiment import Experiment
from hybridlm.facts.names import STANDARD
from hybridlm.masks import Mask

WRITTEN = (*STANDARD, "prefix_length")
"""Facts of a text that is being written; objectives give the same to rows."""
OF_ROWS = ("document", "group", "language")
"""Columns of every row beside its tokens and their labels."""


def check(experiment: Experiment) -> None:
    """Refuses a mask over facts that no row will have; rows of `data.prepared` and builders may bring any."""
    data, mask = experiment.data, experiment.mask
    if mask is None or data.prepared or any(objective.builder for objective in experiment.objectives.values()):
        return
    known = (*WRITTEN, *OF_ROWS, *data.labels)
    for name in mask.facts:
        require(
            name in known,
            f"the mask reads {name!r}, and rows made by this config will have no such column; a family of labels "
            f"is one once data.labels names it (docs/masks.md){nearest(name, known)}",
        )


def check_written(mask: Mask | None) -> None:
    """Refuses a mask over what only whole texts have."""
    read = sorted(set(() if mask is None else mask.facts) - {*WRITTEN})
    require(
        not read,
        f"the mask of this model reads {', '.join(read)}, which whole texts were labelled with, and a text that is "
        "being written has no labels, so a new token cannot be shown what it saw in training. `hybridlm evaluate` "
        "scores the model; one that is to write wants a mask over positions, blocks or the prefix.",
    )
