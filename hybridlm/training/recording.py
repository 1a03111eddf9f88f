"""What a loop keeps of its steps: lines of metrics, files on odd steps, checkpoints."""

import math
from collections.abc import Callable
from typing import NoReturn

import numpy as np
from absl import logging

from hybridlm.config.exit_codes import ExitCode
from hybridlm.config.objective import part_names
from hybridlm.evaluation import task as tasks
from hybridlm.sharding import distributed
from hybridlm.storage import environment
from hybridlm.training import anomalies, logs, optimizers
from hybridlm.training import state as states
from hybridlm.training.anomalies import Window
from hybridlm.training.logs import Logged
from hybridlm.training.session import Session
from hybridlm.training.signals import Preempted
from hybridlm.training.state import TrainState
from hybridlm.training.watch import Watch
from hybridlm.training.writers import Writers


class Diverged(RuntimeError):
    """Loss or gradient stayed non-finite for as many steps as the config allows."""

    exit_code = ExitCode.DIVERGED


class Recorder:
    """Steps after `first` are its own; what it must know of those before comes from the checkpoint.

    `tell` hears of each logged step, and what to show of it, once its numbers have come from the devices: nothing waits
    for them, so by then later steps may have begun.
    """

    def __init__(
        self,
        session: Session,
        writers: Writers,
        watch: Watch,
        flops: float,
        first: int,
        tell: Callable[[int, str], None],
    ):
        self._session, self._writers, self._watch, self._first = session, writers, watch, first
        experiment = session.experiment
        self._tell, self._log = tell, _log(session, flops)
        self._window = Window(experiment.operation.spike_deviations, session.memory(first).get("window"))
        self._has_risen = False
        # all at once: computed later, each would wait for the steps that are queued
        steps = experiment.training.steps
        self._rates = np.asarray(optimizers.learning_rate_at(experiment.optimizer, steps)(np.arange(steps)))

    def after(self, step: int, state: TrainState) -> TrainState:
        """Keeps what a step tells; returns the state to go on with."""
        training = self._session.experiment.training
        self._log.remember(state)
        is_logged = step % training.log_every == 0 or step == training.steps
        return self._log.push(step, state) if is_logged else state

    def write(self, *, wait: bool) -> None:
        """Writes and tells what has arrived from the devices, or all there is."""
        for logged in self._log.arrived(wait=wait):
            self._judge(logged.every)
            self._writers.write(logged.step, self._scalars(logged))
            self._session.checkpoints.poll()
            self._tell(logged.step, logs.summary(logged.scalars))
            self._check_patience(logged)

    def save(self, step: int, state: TrainState, *, is_stop: bool = False) -> None:
        """Starts a checkpoint; arrays leave the devices before this returns, so that the next step may reuse them."""
        # the saved sums are empty again, so what was logged must be on disk before them
        self.write(wait=True)
        self._judge(self._log.unread(step))
        with self._watch.goodput.spent_on("checkpoint"):
            account = self._watch.goodput.account(is_stop=is_stop)
            memory = {"window": self._window.state, "goodput": account}
            self._session.checkpoints.save(step, states.to_dict(state), self._session.metadata | {"memory": memory})

    def stop(self, step: int, state: TrainState) -> NoReturn:
        """Saves, awaits it, and raises `Preempted`."""
        if step > self._first:
            self.save(step, state, is_stop=True)
        with self._watch.goodput.spent_on("checkpoint"):
            self._session.checkpoints.close()
        raise Preempted(f"stopped at step {step} with its state saved; run the same command again to go on.")

    def _scalars(self, logged: Logged) -> dict[str, float]:
        # the update of step n was made at the rate of n - 1, since schedules count from 0
        rate = {"train/learning_rate": float(self._rates[logged.step - 1])}
        read = {f"data/epochs/{name}": epochs for name, epochs in self._session.stream.epochs(logged.step).items()}
        return logged.scalars | read | rate | self._watch.goodput.scalars()

    def _judge(self, steps: tuple[tuple[int, float, float], ...]) -> None:
        for step, loss, grad_norm in steps:
            if odd := self._window.judge(loss, grad_norm):
                self._keep(step, odd, loss, grad_norm)
                if not math.isfinite(loss + grad_norm):
                    self._warn_of_no_number(step, odd)
            self._warn_of_rise(step)

    def _warn_of_no_number(self, step: int, odd: str) -> None:
        logging.warning(
            "step %d changed nothing, since its %s; training.patience=%d such steps in a row end the run. "
            "`hybridlm replay --workdir=%s --step=%d` takes it again and shows its texts",
            *(step, odd, self._session.experiment.training.patience, self._session.directory, step),
        )

    def _warn_of_rise(self, step: int) -> None:
        """Once each time the loss goes up and stays; a step that alone stands out asks for nothing, and is kept."""
        risen, before = self._window.risen(), self._has_risen
        self._has_risen = bool(risen)
        if risen and not before:
            logging.warning(
                "step %d: the loss has gone up and stays there: %s. If it does not come down again, stop, and start "
                "anew in another --workdir with a smaller --config.optimizer.learning_rate or --config.optimizer.clip. "
                "%s/ in %s names steps that stood out, for `hybridlm replay`",
                *(step, risen, anomalies.DIRECTORY, self._session.directory),
            )

    def _keep(self, step: int, odd: str, loss: float, grad_norm: float) -> None:
        """Writes what a replay of the step needs."""
        session = self._session
        before = session.checkpoints.hold_back(before=step, at_most=anomalies.HELD_BACK)
        told = {"odd": odd, "loss": repr(loss), "grad_norm": repr(grad_norm), "checkpoint": before}
        told |= {"seed": session.experiment.seed, "rows": session.stream.global_indices(step - 1)}
        told |= {"mesh": dict(session.mesh.shape), "packages": environment.versions()}
        if distributed.is_primary():
            anomalies.write(session.directory, step, told | {"fingerprints": session.metadata["fingerprints"]})

    def _check_patience(self, logged: Logged) -> None:
        patience = self._session.experiment.training.patience
        if logged.bad_in_row >= patience:
            raise Diverged(
                f"loss or gradient was not finite for {logged.bad_in_row} steps in a row up to step {logged.step}; "
                "none was applied. Lower --config.optimizer.learning_rate, set --config.optimizer.clip, or raise "
                f"--config.training.patience={patience}; the last checkpoint in {self._session.directory} is sound. "
                f"{anomalies.DIRECTORY}/ there names the first of these steps for `hybridlm replay`."
            )


def _log(session: Session, flops: float) -> logs.Log:
    experiment = session.experiment
    labels = tasks.label_names(session.task.tables) if experiment.training.categories else (("all", "all"),)
    tokens = experiment.training.batch_rows * experiment.data.row_length
    return logs.Log(
        part_names(experiment.objectives),
        labels,
        tokens,
        flops,
        filters=tuple(experiment.training.filters),
        interval=experiment.training.log_every,
    )
