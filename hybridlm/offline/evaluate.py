"""`evaluate`: a checkpoint, or a published model, on its own, read by the function that training reports by."""

import hashlib
from collections.abc import Mapping, Sequence

import jax
from etils import epath

from hybridlm.categories import registry
from hybridlm.config.errors import require
from hybridlm.config.evaluation import EvaluationConfig
from hybridlm.config.exit_codes import ExitCode
from hybridlm.config.experiment import Experiment
from hybridlm.data.prepare import EVALUATION, prepare, prepare_for_evaluation
from hybridlm.data.prepared import Prepared
from hybridlm.data.vocabulary import load_vocabulary
from hybridlm.evaluation import fitted, kernels, reporting
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.kept import Kept
from hybridlm.evaluation.readings import Other, scorer
from hybridlm.evaluation.run import Evaluation, batch_count, batches
from hybridlm.evaluation.run import evaluate as read
from hybridlm.evaluation.task import task_of
from hybridlm.models import size
from hybridlm.offline import beside, published
from hybridlm.offline.beside import Beside
from hybridlm.offline.opened import on_mesh, saved
from hybridlm.offline.subject import Subject
from hybridlm.reports.progress import progress, remark
from hybridlm.sharding import distributed, placement
from hybridlm.sharding import mesh as meshes
from hybridlm.storage import digests, workdir
from hybridlm.storage.compatibility import check_fingerprints

BASELINES, PARTIAL = "baselines", "partial"
"""Directories with the reports of the other models, and with what is done of an evaluation."""


def evaluate(
    model: epath.PathLike,
    directory: epath.PathLike,
    *,
    baselines: Sequence[epath.PathLike] = (),
    data: str,
    step: int = -1,
    readings: Sequence[str] = (),
    overrides: Mapping[str, str],
) -> ExitCode:
    """Scores checkpoints or published models, one after the other, on held-out text of their run or on `data`.

    The report of the model is written to `directory`, and each baseline's below it, in `baselines`. What an earlier
    call has finished there is not scored again.
    """
    distributed.start()
    directory = epath.Path(directory)
    for named, flag in ((model, "--model"), *((baseline, "--baseline") for baseline in baselines)):
        require(
            epath.Path(named).resolve() != directory.resolve(),
            f"--workdir must differ from {flag}, so that the run's own report stays as it is.",
        )
    _score(model, directory, data, step, readings, overrides)
    for name, baseline in _named(baselines).items():
        _score(baseline, directory / BASELINES / name, data, -1, readings, overrides)
    return ExitCode.DONE


def _named(baselines: Sequence[epath.PathLike]) -> dict[str, epath.PathLike]:
    """Baselines by the name of their directory."""
    found = {epath.Path(baseline).resolve().name: baseline for baseline in baselines}
    require(len(found) == len(baselines), f"--baseline names {list(map(str, baselines))}, of which two end alike.")
    return found


def _score(model: epath.PathLike, directory: epath.Path, data: str, step: int, readings, overrides) -> None:
    """One model, unless its report is there."""
    if published.is_published(model):
        require(step == -1, f"--step={step} has no meaning for a published model, which is one checkpoint.")
        subject = published.subject(model, directory, data=data, readings=readings, overrides=overrides)
    else:
        subject = _trained(epath.Path(model), directory, data, step, readings, overrides)
    experiment, task = subject.experiment, subject.task
    config = experiment.evaluation
    fitted.check(config, data or subject.split)
    others = beside.found(config.readings, experiment.data.row_length, task, subject.prepared.tokenizer)
    weights = {f"weights of {run}": other.weights for run, other in others.items()}
    facts = reporting.Facts(
        experiment=experiment,
        task=task,
        tokenizer=subject.prepared.tokenizer,
        split=data or subject.split,
        step=subject.step,
        fingerprints={**subject.fingerprints, **weights},
        parameters=size.count(tasks.abstract_params(task)),
        rows=subject.prepared.rows(subject.split),
    )
    if reporting.is_written(facts, directory):
        remark(f"{model} is scored already: {directory} holds its report")
        return
    # several processes may not see each other's files
    kept = Kept(directory / PARTIAL, _identity(facts)) if jax.process_count() == 1 else None
    found, config = _read(subject, others, kept)
    reporting.write(facts, found, directory, config=config, metrics=subject.metrics)
    if kept is not None:
        kept.remove()


def _identity(facts: reporting.Facts) -> str:
    """What must be alike for a call to go on with what another one did; other devices would round otherwise."""
    return f"{reporting.request(facts)} {jax.default_backend()} {jax.__version__}"


def _read(subject: Subject, others: Mapping[str, Beside], kept: Kept | None) -> tuple[Evaluation, EvaluationConfig]:
    """The values, and the config with every number of its combinations."""
    experiment, task, rows = subject.experiment, subject.task, subject.rows
    mesh, config = meshes.make(experiment.mesh), experiment.evaluation
    params = on_mesh(task, mesh, subject.load)
    opened = {run: other.load(mesh) for run, other in others.items()}
    own = Other(task, experiment.mask, params)
    networks = {name: opened.get(reading.network, own) for name, reading in config.readings.items()}
    config = fitted.fitted(config, task, networks, subject.prepared)
    with progress("reading", batch_count(rows, config), start=len(kept or ())) as bar:
        found = read(
            task,
            config,
            scorer(task, config, experiment.mask, mesh, opened),
            params,
            batches(rows, config),
            place=placement.placer(mesh),
            on_batch=bar.update,
            kept=kept,
        )
    return found, config


def _trained(
    source: epath.Path,
    directory: epath.Path,
    data: str,
    step: int,
    readings: Sequence[str],
    overrides: Mapping[str, str],
) -> Subject:
    """A checkpoint of a run."""
    # a user's own text is read whole unless they ask for less
    overrides = {"evaluation.rows": "0", **overrides} if data else overrides
    run = saved(source, step, readings, overrides)
    kernels.check(run.experiment.model)
    found = run.read()
    experiment, stored = found.experiment, found.metadata["fingerprints"]
    directory.mkdir(parents=True, exist_ok=True)
    prepared, split = _text(experiment, source, directory, data)
    seal = source / workdir.CHECKPOINTS / str(found.step) / digests.MANIFEST
    weights = {"weights": hashlib.sha256(seal.read_bytes()).hexdigest()}
    must_agree = {"tokenizer": prepared.tokenizer.sha256, "dtype": workdir.read_config(source).model.dtype}
    read_data = {"data": prepared.manifest.fingerprint}
    check_fingerprints(stored, must_agree if data else must_agree | read_data, step=found.step)
    return Subject(
        experiment=experiment,
        task=task_of(experiment, prepared.vocabulary, prepared.rows(split).names),
        prepared=prepared,
        split=split,
        load=found.load,
        step=found.step,
        fingerprints=must_agree | read_data | weights,
        metrics=source / workdir.METRICS,
    )


def _text(experiment: Experiment, source: epath.Path, directory: epath.Path, data: str) -> tuple[Prepared, str]:
    """The rows to read and their split: the run's own, prepared again where they are gone, or the user's."""
    if data:
        registry.load(experiment.data.label_modules)  # their labels are facts that a mask may read
        vocabulary = load_vocabulary(source / workdir.VOCABULARY)
        prepared = prepare_for_evaluation(data, vocabulary, experiment.data.row_length, directory / workdir.DATA)
        return prepared, EVALUATION
    where = epath.Path(experiment.data.prepared or source / workdir.DATA)
    where = where if where.exists() else directory / workdir.DATA
    return prepare(experiment.data, where), experiment.evaluation.split
