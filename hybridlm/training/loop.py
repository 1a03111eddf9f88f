"""The loop over steps: the only place where time passes."""

import contextlib
from collections.abc import Callable

import numpy as np

from hybridlm.config.exit_codes import ExitCode
from hybridlm.config.objective import part_names
from hybridlm.training import logs, optimizers, placement
from hybridlm.training import state as states
from hybridlm.training import task as tasks
from hybridlm.training.progress import progress
from hybridlm.training.session import Session
from hybridlm.training.signals import Preemption
from hybridlm.training.state import TrainState
from hybridlm.training.writers import Writers


class Diverged(RuntimeError):
    """Loss or gradient stayed non-finite for as many steps as the config allows."""

    exit_code = ExitCode.DIVERGED


class Preempted(RuntimeError):
    """A signal asked the run to stop; its state is saved."""

    exit_code = ExitCode.PREEMPTED


def run(
    session: Session,
    state: TrainState,
    writers: Writers,
    preemption: Preemption,
    flops: float,
    evaluate: Callable[[TrainState], dict[str, float]],
) -> TrainState:
    """Takes all steps that are left, logging and saving on the way; returns the last state, saved.

    Raises `Preempted` once the state is saved, `Diverged` when patience is over.
    """
    training, every = session.experiment.training, session.experiment.evaluation.every
    first, last = int(state.step), training.steps
    log = _log(session, flops)
    tables = placement.everywhere(session.task.tables, session.mesh)
    # all at once: computed later, each would wait for the steps that are queued
    rates = np.asarray(optimizers.learning_rate_at(session.experiment.optimizer, last)(np.arange(last)))
    with (
        progress("training", last, start=first, every=training.log_every) as bar,
        contextlib.closing(session.stream.prefetch(first, last)) as batches,
    ):
        for step, batch in enumerate(batches, first + 1):
            state = session.take_step(state, session.place(batch), tables)
            if step % training.log_every == 0 or step == last:
                state = log.push(step, state)
            is_stopping = preemption.requested and step != last
            is_read = every > 0 and step % every == 0 and step != last
            is_saved = is_stopping or is_read or step % session.experiment.checkpoint.every == 0 or step == last
            # the saved sums are empty again, so what was logged must be on disk before them
            text = _write(session, log, writers, rates, wait=is_saved)
            bar.update(step, text) if text else bar.update(step)
            if is_saved:
                save(session, step, state)
            if is_stopping:
                session.checkpoints.close()
                raise Preempted(f"stopped at step {step} with its state saved; run the same command again to go on.")
            if is_read:
                writers.write(step, evaluate(state))
    return state


def save(session: Session, step: int, state: TrainState) -> None:
    """Starts a checkpoint; arrays leave the devices before this returns, so that the next step may reuse them."""
    session.checkpoints.save(step, states.to_dict(state), session.metadata)


def _log(session: Session, flops: float) -> logs.Log:
    experiment = session.experiment
    labels = tasks.label_names(session.task.tables) if experiment.training.categories else (("all", "all"),)
    tokens = experiment.training.batch_rows * experiment.data.row_length
    return logs.Log(
        part_names(experiment.objectives), labels, tokens, flops, filters=tuple(experiment.training.filters)
    )


def _write(session: Session, log: logs.Log, writers: Writers, rates: np.ndarray, *, wait: bool) -> str:
    """Writes what has arrived; returns its summary."""
    text, patience = "", session.experiment.training.patience
    for logged in log.arrived(wait=wait):
        # the update of step n was made at the rate of n - 1, since schedules count from 0
        read = {f"data/epochs/{name}": epochs for name, epochs in session.stream.epochs(logged.step).items()}
        writers.write(logged.step, logged.scalars | read | {"train/learning_rate": float(rates[logged.step - 1])})
        session.checkpoints.poll()
        text = logs.summary(logged.scalars)
        if logged.bad_in_row >= patience:
            raise Diverged(
                f"loss or gradient was not finite for {logged.bad_in_row} steps in a row up to step {logged.step}; "
                "none was applied. Lower optimizer.learning_rate, set optimizer.clip, or raise "
                f"training.patience={patience}; the last checkpoint in {session.directory} is sound."
            )
    return text
