"""What `evaluate` reads: a model, wherever its weights come from, and the rows it is read on."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from etils import epath
from jaxtyping import PyTree

from hybridlm.config import command_line
from hybridlm.config.errors import ConfigError
from hybridlm.config.experiment import Experiment
from hybridlm.data.prepared import Prepared
from hybridlm.data.rows import Rows
from hybridlm.evaluation.task import Task
from hybridlm.evaluation.windows import rows_to_read
from hybridlm.offline.named_readings import chosen


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """Attributes:
    experiment: what the model is and how it is read. task: with the labels of the rows. prepared, split: the rows.
    load: shapes and shardings of the parameters -> the parameters. step: of training, -1 where that is unknown.
    fingerprints: of tokenizer, data and weights. metrics: the log of its training, or None.
    lacking: ids of the tokenizer that the network has not.
    """

    experiment: Experiment
    task: Task
    prepared: Prepared
    split: str
    load: Callable[[PyTree], Any]
    step: int
    fingerprints: Mapping[str, str]
    metrics: epath.Path | None = None
    lacking: range = range(0)

    @functools.cached_property
    def rows(self) -> Rows:
        """The rows to read."""
        rows, tokenizer = self.prepared.rows(self.split), self.prepared.tokenizer
        return rows_to_read(rows, self.experiment.evaluation, self.lacking, tokenizer.bos)


def only(experiment: Experiment, readings: Sequence[str]) -> Experiment:
    """The experiment with these readings alone; with all of them if none is named."""
    if not readings:
        return experiment
    return dataclasses.replace(experiment, evaluation=chosen(experiment, readings))


def changed(experiment: Experiment, overrides: Mapping[str, str], allowed: tuple[str, ...]) -> Experiment:
    """The experiment with overrides, of which only those that begin like one of `allowed` are taken."""
    for name in overrides:
        if not name.startswith(allowed):
            raise ConfigError(
                f"--config.{name} would change what the checkpoint is; reading it may change only {', '.join(allowed)}."
            )
    return command_line.changed(experiment, overrides)
