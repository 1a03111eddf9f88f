"""The loop over steps: the only place where time passes."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

from jaxtyping import Array

from hybridlm.config.experiment import Experiment
from hybridlm.reports.progress import progress
from hybridlm.sharding import placement
from hybridlm.training.profiling import Profile
from hybridlm.training.recording import Diverged, Recorder
from hybridlm.training.session import Session
from hybridlm.training.signals import Preempted
from hybridlm.training.state import TrainState
from hybridlm.training.watch import Watch
from hybridlm.training.writers import Writers

__all__ = ["Diverged", "Preempted", "run"]


def run(
    session: Session,
    state: TrainState,
    writers: Writers,
    watch: Watch,
    flops: float,
    evaluate: Callable[[TrainState], dict[str, float]],
) -> TrainState:
    """Takes all steps that are left, logging and saving on the way; returns the last state, saved.

    Raises `Preempted` once the state is saved, `Diverged` when patience is over.
    """
    experiment, first = session.experiment, int(state.step)
    profile, take_step = Profile(experiment.operation, session.directory), _step_taker(session, watch, first)
    with (
        progress("training", experiment.training.steps, start=first, every=None) as bar,
        contextlib.closing(_batches(session, watch, first)) as batches,
        watch.goodput.spent_on("step"),
    ):
        record = Recorder(session, writers, watch, flops, first, bar.update)
        for step in range(first + 1, experiment.training.steps + 1):
            batch = _next(batches, record, step, state)
            profile.before(step, state)
            state = record.after(step, take_step(step, state, batch))
            if watch.preemption.requested and step != experiment.training.steps:
                record.stop(step, state)
            bar.update(step)
            _keep(record, experiment, step, state)
            if _is_read(experiment, step):
                with watch.goodput.spent_on("evaluation"), _leaving(watch, step, session.checkpoints.settle):
                    writers.write(step, evaluate(state))
        profile.close(state)
    return state


def _batches(session: Session, watch: Watch, first: int) -> Iterator[Mapping[str, Array]]:
    """The batches of all steps behind `first`, on the devices."""
    last = session.experiment.training.steps

    def waiting():
        watch.preemption.stop_waiting("stopped while waiting for data.")

    with contextlib.closing(session.stream.prefetch(first, last, waiting)) as batches:
        for _ in range(first, last):
            with watch.goodput.spent_on("data"):
                batch = session.place(next(batches))
            yield batch


def _next(
    batches: Iterator[Mapping[str, Array]], record: Recorder, step: int, state: TrainState
) -> Mapping[str, Array]:
    """The batch of a step; where a notice comes while it is waited for, the state before the step is saved."""
    try:
        return next(batches)
    except Preempted:
        record.stop(step - 1, state)


def _step_taker(session: Session, watch: Watch, first: int) -> Callable[..., TrainState]:
    """(step, state, batch) -> the next state; to save there is nothing until the first step has been taken."""
    tables = placement.everywhere(session.task.tables, session.mesh)

    def take_step(step: int, state: TrainState, batch: Mapping[str, Array]) -> TrainState:
        # nothing is lost before the first step is taken, and compiling it may outlast any notice
        with _leaving(watch, first) if step == first + 1 else contextlib.nullcontext():
            state = session.take_step(state, batch, tables)
        watch.alive()
        return state

    return take_step


def _keep(record: Recorder, experiment: Experiment, step: int, state: TrainState) -> None:
    """Saves the state where that is due, with all lines up to it; else writes the lines that are there."""
    is_last = step == experiment.training.steps
    if is_last or _is_read(experiment, step) or step % experiment.checkpoint.every == 0:
        record.save(step, state)
    else:
        record.write(wait=False)


def _is_read(experiment: Experiment, step: int) -> bool:
    """Is held-out text read behind this step? Behind the last it is read for the report."""
    every = experiment.evaluation.every
    return every > 0 and step % every == 0 and step != experiment.training.steps


def _leaving(watch: Watch, step: int, settle: Callable[[], None] = lambda: None):
    """In such a block a notice of preemption is followed at once: what there is up to `step` is saved."""
    return watch.preemption.nothing_to_save(f"stopped after step {step}, which is saved.", settle)
