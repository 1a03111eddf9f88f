"""The loop over steps: the only place where time passes."""

import contextlib
from collections.abc import Callable

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
    experiment, preemption = session.experiment, watch.preemption
    first, last = int(state.step), experiment.training.steps
    tables = placement.everywhere(session.task.tables, session.mesh)
    profile = Profile(experiment.operation, session.directory)

    def waiting():
        preemption.stop_waiting("stopped while waiting for data.")

    with (
        progress("training", last, start=first, every=None) as bar,
        contextlib.closing(session.stream.prefetch(first, last, waiting)) as batches,
        watch.goodput.spent_on("step"),
    ):
        record = Recorder(session, writers, watch, flops, first, bar.update)
        for step in range(first + 1, last + 1):
            try:
                with watch.goodput.spent_on("data"):
                    batch = session.place(next(batches))
            except Preempted:
                record.stop(step - 1, state)
            profile.before(step, state)
            # nothing is lost before the first step is taken, and compiling it may outlast any notice
            with _leaving(watch, first) if step == first + 1 else contextlib.nullcontext():
                state = session.take_step(state, batch, tables)
            watch.alive()
            state = record.after(step, state)
            if preemption.requested and step != last:
                record.stop(step, state)
            is_read = experiment.evaluation.every > 0 and step % experiment.evaluation.every == 0 and step != last
            is_saved = is_read or step % experiment.checkpoint.every == 0 or step == last
            bar.update(step)
            if is_saved:
                record.save(step, state)
            else:
                record.write(wait=False)
            if is_read:
                with watch.goodput.spent_on("evaluation"), _leaving(watch, step, session.checkpoints.settle):
                    writers.write(step, evaluate(state))
        profile.close(state)
    return state


def _leaving(watch: Watch, step: int, settle: Callable[[], None] = lambda: None):
    """In such a block a notice of preemption is followed at once: what there is up to `step` is saved."""
    return watch.preemption.nothing_to_save(f"stopped after step {step}, which is saved.", settle)
