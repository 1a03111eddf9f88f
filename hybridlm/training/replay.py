"""Takes one recorded step of a run again, from the checkpoint before it: the same batch, the same noise, the same bits.

If the bits agree, the step was a fault of data, model or optimizer, and can be studied at leisure; if they do not, on
the same kind of devices, some part computed something else then or now.
"""

import dataclasses
import json

from etils import epath

from hybridlm.config.errors import ConfigError, require
from hybridlm.config.exit_codes import ExitCode
from hybridlm.reports.progress import progress
from hybridlm.sharding import placement
from hybridlm.storage import lines, workdir
from hybridlm.training import anomalies
from hybridlm.training.logs import Log
from hybridlm.training.session import Session, first_state, open_session


@dataclasses.dataclass(frozen=True)
class Replayed:
    """One step taken again. `begun` is the step of the checkpoint it was reached from; `recorded` (loss, gradient norm)
    as the run had it, None where it kept none; `texts` are the rows of its batch; `odd` what the run said of it."""

    step: int
    begun: int
    loss: float
    grad_norm: float
    recorded: tuple[float, float] | None
    texts: tuple[str, ...]
    odd: str

    @property
    def is_equal(self) -> bool:
        """Whether the bits are those that were recorded, as far as anything was."""
        return self.recorded is None or repr(self.recorded) == repr((self.loss, self.grad_norm))


def replay(directory: epath.PathLike, step: int) -> Replayed:
    """Takes the steps from the last checkpoint before it to `step`, changing nothing in the directory of the run."""
    directory = epath.Path(directory)
    experiment = workdir.read_config(directory)
    last = experiment.training.steps
    require(1 <= step <= last, f"--step={step} is no step of this run; its steps are 1 to {last}.")
    told = anomalies.read(directory, step) or {}
    session = open_session(experiment, directory, read_only=True)
    rows = told.get("rows")
    if rows is not None and rows != session.stream.global_indices(step - 1):
        raise ConfigError(f"the rows of step {step} are not those the run read; its data or its config were changed.")
    state, log = first_state(session, before=step), Log((), (), 0, 0.0)
    begun, tables = int(state.step), placement.everywhere(session.task.tables, session.mesh)
    with progress("taking steps again", step - begun, every=max(1, (step - begun) // 10)) as bar:
        for number in range(begun, step):
            state = session.take_step(state, session.place(session.stream.batch(number)), tables)
            bar.update(number + 1 - begun)
    log.remember(state)
    ((_, loss, grad_norm),) = log.unread(step)
    return Replayed(
        step=step,
        begun=begun,
        loss=loss,
        grad_norm=grad_norm,
        recorded=_recorded(directory, step, told),
        texts=_texts(session, step),
        odd=told.get("odd", ""),
    )


def exit_code(replayed: Replayed) -> ExitCode:
    """What a script is told."""
    return ExitCode.DONE if replayed.is_equal else ExitCode.DIVERGED


def _recorded(directory: epath.Path, step: int, told: dict) -> tuple[float, float] | None:
    """Of the file on the step, or else of its line of metrics."""
    if told:
        return float(told["loss"]), float(told["grad_norm"])
    for line in map(json.loads, lines.read(directory / workdir.METRICS)):
        if line["step"] == step and "train/grad_norm" in line:
            values = (line["train/loss"], line["train/grad_norm"])
            return tuple(float("nan") if value is None else value for value in values)
    return None


def _texts(session: Session, step: int) -> tuple[str, ...]:
    batch, decode = session.stream.batch(step - 1), session.vocabulary.tokenizer.decode
    rows = zip(batch["tokens"], batch["segment_ids"] > 0)
    return tuple(decode(row_T[is_text_T].tolist()) for row_T, is_text_T in rows)
