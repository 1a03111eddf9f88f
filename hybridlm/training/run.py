"""`train`: from a config to a trained model and its report; every way out has its exit code."""

import contextlib

from etils import epath

from hybridlm.config.exit_codes import ExitCode
from hybridlm.config.experiment import Experiment
from hybridlm.data.vocabulary import save_vocabulary
from hybridlm.training import distributed, environment, loop, overview, reporting, workdir
from hybridlm.training.evaluation import Evaluation, batch_count, batches, evaluate
from hybridlm.training.progress import progress
from hybridlm.training.session import Session, check, first_state, open_session
from hybridlm.training.signals import Preemption
from hybridlm.training.state import TrainState
from hybridlm.training.writers import Writers


def train(experiment: Experiment, directory: epath.PathLike) -> ExitCode:
    """Trains to the last step, or resumes there, and writes the report."""
    distributed.start()
    directory = epath.Path(directory)
    workdir.check(directory, experiment)
    with Preemption() as preemption, contextlib.ExitStack() as stack:
        session = open_session(experiment, directory)
        stack.enter_context(contextlib.closing(session.checkpoints))
        check(session)
        state = first_state(session)
        workdir.claim(directory, experiment)
        if environment.is_primary():
            save_vocabulary(session.vocabulary, directory / workdir.VOCABULARY)
        flops = overview.show(session, state)
        first = int(state.step)
        writers = stack.enter_context(contextlib.closing(Writers(directory, experiment.training.wandb, first or None)))

        def held_out(state: TrainState) -> dict[str, float]:
            return reporting.headline(read(session, state, preemption))

        if first < experiment.training.steps:
            if is_due(experiment, directory, first):
                writers.write(first, held_out(state))
            state = loop.run(session, state, writers, preemption, flops, held_out)
            # the report must not rest on a checkpoint that cannot be read back
            session.checkpoints.close()
        found = read(session, state, preemption)
        if not workdir.is_read(directory, experiment.training.steps):
            writers.write(experiment.training.steps, reporting.headline(found))
        reporting.write(reporting.of_session(session, state), found, directory, metrics=directory / workdir.METRICS)
    return ExitCode.DONE


def is_due(experiment: Experiment, directory: epath.Path, step: int) -> bool:
    """Whether a run that goes on at a step was stopped before it had read the held-out text there."""
    every = experiment.evaluation.every
    return step > 0 and every > 0 and step % every == 0 and not workdir.is_read(directory, step)


def read(session: Session, state: TrainState, preemption: Preemption) -> Evaluation:
    """Reads the model on the held-out rows of the run."""
    config = session.experiment.evaluation
    with progress("reading held-out text", batch_count(session.held_out, config)) as bar:

        def on_batch(done: int) -> None:
            bar.update(done)
            if preemption.requested:
                raise loop.Preempted(f"stopped while reading held-out text; step {int(state.step)} is saved.")

        return evaluate(
            session.reader,
            config,
            session.score,
            state.params,
            batches(session.held_out, config),
            place=session.spread,
            on_batch=on_batch,
        )
