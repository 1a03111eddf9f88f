"""`train`: from a config to a trained model and its report; every way out has its exit code."""

import contextlib

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils

from hybridlm.config.exit_codes import ExitCode
from hybridlm.config.experiment import Experiment
from hybridlm.data.vocabulary import save_vocabulary
from hybridlm.evaluation.run import Evaluation, batch_count, batches, evaluate, headline
from hybridlm.models import size
from hybridlm.reports.progress import progress, remark
from hybridlm.sharding import distributed
from hybridlm.storage import environment, workdir
from hybridlm.training import agreement, loop, overview
from hybridlm.training.session import Session, check, first_state, open_session
from hybridlm.training.signals import Preempted
from hybridlm.training.state import TrainState
from hybridlm.training.watch import Watch, watching
from hybridlm.training.writers import Writers, check_installed

_STOPPED = "stopped while reading held-out text; step {} is saved."


def train(experiment: Experiment, directory: epath.PathLike) -> ExitCode:
    """Trains to the last step, or resumes there, and writes the report."""
    distributed.start()
    directory = epath.Path(directory)
    environment.check_accelerator()
    agreement.check(agreement.of_program(experiment))
    workdir.check(directory, experiment)
    check_installed(experiment.training.wandb)
    if experiment.evaluation.combinations:
        from hybridlm.evaluation import fitted  # an optimizer, which other runs need not wait for

        fitted.check_closed(experiment.evaluation)
    if experiment.operation.compile_cache:
        jax.config.update("jax_compilation_cache_dir", experiment.operation.compile_cache)
    with watching(experiment.operation) as watch, contextlib.ExitStack() as stack:
        with watch.preemption.nothing_to_save("stopped while starting; what was saved before is intact."):
            session, state, flops = _begin(experiment, directory, watch, stack)
        first, last = int(state.step), experiment.training.steps
        writers = stack.enter_context(contextlib.closing(Writers(directory, experiment.training.wandb, first or None)))

        def held_out(state: TrainState) -> dict[str, float]:
            return headline(read(session, state, watch))

        if first < last:
            if is_due(experiment, directory, first):
                with watch.preemption.nothing_to_save(_STOPPED.format(first)):
                    writers.write(first, held_out(state))
            state = loop.run(session, state, writers, watch, flops, held_out)
            # the report must not rest on a checkpoint that cannot be read back
            with watch.goodput.spent_on("checkpoint"):
                session.checkpoints.close()
        with watch.goodput.spent_on("evaluation"), watch.preemption.nothing_to_save(_STOPPED.format(last)):
            _report(session, state, writers, watch)
    return ExitCode.DONE


def _begin(
    experiment: Experiment, directory: epath.Path, watch: Watch, stack: contextlib.ExitStack
) -> tuple[Session, TrainState, float]:
    """A session with the state it goes on from, shown and owning its directory; and the operations of a step."""
    session = open_session(experiment, directory)
    stack.enter_context(contextlib.closing(session.checkpoints))
    agreement.check(session.metadata["fingerprints"])
    check(session)
    state = first_state(session)
    workdir.claim(directory, experiment)
    if distributed.is_primary():
        save_vocabulary(session.vocabulary, directory / workdir.VOCABULARY)
    flops = _before_steps(session, state, watch)
    watch.alive()
    return session, state, flops


def _before_steps(session: Session, state: TrainState, watch: Watch) -> float:
    """Shows what the steps will be and goes on with their account; returns the operations of one, 0 if none is left."""
    step, last = int(state.step), session.experiment.training.steps
    if step == last:  # the time since the last step was nobody's loss
        where = session.directory / workdir.CHECKPOINTS
        remark(
            f"this run is finished: step {step} of {last} is in {where}, and nothing is trained. Its held-out text is "
            "read again, and the report is written anew."
        )
        return 0.0
    if account := session.memory(step).get("goodput"):
        watch.goodput.resume(account)
    return overview.show(session, state)


def _report(session: Session, state: TrainState, writers: Writers, watch: Watch) -> None:
    """Reads the last state and writes what was found."""
    from hybridlm.evaluation import reporting  # tables and plots, which a run that starts again need not wait for

    directory, last = session.directory, session.experiment.training.steps
    found = read(session, state, watch)
    if distributed.is_primary() and not workdir.is_read(directory, last):
        writers.write(last, headline(found))
    writers.gather()
    facts = reporting.Facts(
        experiment=session.experiment,
        task=session.reader,
        tokenizer=session.vocabulary.tokenizer,
        split=session.experiment.evaluation.split,
        step=int(state.step),
        fingerprints=session.metadata["fingerprints"],
        parameters=size.count(state.params),
        rows=session.text,
    )
    reporting.write(facts, found, directory, config=session.experiment.evaluation, metrics=directory / workdir.METRICS)


def is_due(experiment: Experiment, directory: epath.Path, step: int) -> bool:
    """Whether a run that goes on at a step was stopped before it had read the held-out text there.

    The first process looks, for all of them: it may just be writing what the others would read.
    """
    every = experiment.evaluation.every
    if step == 0 or every == 0 or step % every:
        return False
    is_missing = distributed.is_primary() and not workdir.is_read(directory, step)
    return bool(multihost_utils.broadcast_one_to_all(np.int32(is_missing)))


def read(session: Session, state: TrainState, watch: Watch) -> Evaluation:
    """Reads the model on the held-out rows of the run."""
    config = session.experiment.evaluation
    with progress("reading held-out text", batch_count(session.held_out, config)) as bar:

        def on_batch(done: int) -> None:
            bar.update(done)
            watch.alive()
            if watch.preemption.requested:
                raise Preempted(_STOPPED.format(int(state.step)))

        return evaluate(
            session.reader,
            config,
            session.score,
            state.params,
            batches(session.held_out, config),
            place=session.spread,
            on_batch=on_batch,
        )
