"""`evaluate`: a checkpoint, or a published model, on its own, read by the function that training reports by."""

import functools
import hashlib
import tempfile
from collections.abc import Mapping, Sequence

from absl import logging
from etils import epath

from hybridlm import interop
from hybridlm.config.errors import require
from hybridlm.config.exit_codes import ExitCode
from hybridlm.config.experiment import Experiment
from hybridlm.config.sources import AuditConfig, Source
from hybridlm.config.storage import from_dict
from hybridlm.data import sources
from hybridlm.data.corpus import survey
from hybridlm.data.prepare import EVALUATION, prepare, prepare_for_evaluation
from hybridlm.data.prepared import Prepared
from hybridlm.data.progress import silent
from hybridlm.data.vocabulary import load_vocabulary
from hybridlm.models import size
from hybridlm.sharding import mesh as meshes
from hybridlm.sharding.rules import shardings
from hybridlm.training import digests, placement, published, reporting, workdir
from hybridlm.training import task as tasks
from hybridlm.training.checkpoints import Checkpoints
from hybridlm.training.compatibility import check_fingerprints
from hybridlm.training.evaluation import Evaluation, batch_count, batches
from hybridlm.training.evaluation import evaluate as read
from hybridlm.training.progress import progress
from hybridlm.training.readings import scorer
from hybridlm.training.session import task_of
from hybridlm.training.subject import Subject, changed, only

OVERRIDABLE = ("evaluation.", "mesh.", "model.attention_backend", "data.prepared", "data.sources")
"""What may be changed about a trained model: how it is read, not what it is."""
BASELINES = "baselines"
"""Directory with the reports of the other models."""


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
    if is_published(model):
        require(step == -1, f"--step={step} has no meaning for a published model, which is one checkpoint.")
        subject = published.subject(model, directory, data=data, readings=readings, overrides=overrides)
    else:
        subject = _trained(epath.Path(model), directory, data, step, readings, overrides)
    facts = reporting.Facts(
        experiment=subject.experiment,
        task=subject.task,
        tokenizer=subject.prepared.tokenizer,
        split=data or subject.split,
        step=subject.step,
        fingerprints=subject.fingerprints,
        parameters=size.count(tasks.abstract_params(subject.task)),
        rows=subject.prepared.rows(subject.split),
        names=_names(data),
    )
    if reporting.is_written(facts, directory):
        logging.info("%s is scored already: %s holds its report", model, directory)
    else:
        reporting.write(facts, _read(subject), directory, metrics=subject.metrics)


def _names(data: str) -> tuple[str, ...]:
    """The ids of the documents of a user's text, by number; unless two share one."""
    if not data:
        return ()
    with tempfile.TemporaryDirectory() as scratch:
        source = sources.at_hand(Source(path=data), epath.Path(scratch) / "source", silent)
        entries = survey((source,), AuditConfig(), lambda source, document: EVALUATION, silent).entries
    names = {entry.place: entry.id for entry in entries}
    if len(set(names.values())) < len(names):
        return ()
    return tuple(names.get(number, "") for number in range(max(names) + 1))


def is_published(model: epath.PathLike) -> bool:
    """True for a directory of published weights, and for a name that only the hub may know."""
    here = epath.Path(model)
    return interop.is_published(here) if here.exists() else not here.is_absolute() and str(model).count("/") == 1


def _read(subject: Subject) -> Evaluation:
    experiment, task, rows = subject.experiment, subject.task, subject.rows
    mesh, config = meshes.make(experiment.mesh), experiment.evaluation
    shapes = tasks.abstract_params(task)
    params = subject.load(placement.abstract(shapes, shardings(shapes, mesh)))
    with progress("reading", batch_count(rows, config)) as bar:
        return read(
            task,
            config,
            scorer(task, config, experiment.mask, mesh),
            params,
            batches(rows, config),
            place=placement.spreader(mesh),
            on_batch=bar.update,
        )


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
    beside = workdir.read_config(source)  # refuses what is no run before anything else is looked for
    checkpoints = Checkpoints(source / workdir.CHECKPOINTS, read_only=True)
    step = _step(checkpoints, step)
    metadata = checkpoints.read_metadata(step)
    experiment = changed(only(from_dict(Experiment, metadata["config"]), readings), overrides, OVERRIDABLE)
    directory.mkdir(parents=True, exist_ok=True)
    prepared, split = _text(experiment, source, directory, data)
    seal = source / workdir.CHECKPOINTS / str(step) / digests.MANIFEST
    weights = {"weights": hashlib.sha256(seal.read_bytes()).hexdigest()}
    must_agree = {"tokenizer": prepared.tokenizer.sha256, "dtype": beside.model.dtype}
    read_data = {"data": prepared.manifest.fingerprint}
    check_fingerprints(metadata["fingerprints"], must_agree if data else must_agree | read_data, step=step)
    return Subject(
        experiment=experiment,
        task=task_of(experiment, prepared.vocabulary, prepared.rows(split).names),
        prepared=prepared,
        split=split,
        load=functools.partial(checkpoints.restore_params, step),
        step=step,
        fingerprints=must_agree | read_data | weights,
        metrics=source / workdir.METRICS,
    )


def _step(checkpoints: Checkpoints, step: int) -> int:
    known = checkpoints.steps()
    require(bool(known), "--model holds no checkpoint yet; let `hybridlm train` save one (config.checkpoint.every).")
    require(step == -1 or step in known, f"--step={step} is not among the checkpoints of --model: {known}.")
    return checkpoints.latest_valid() if step == -1 else step


def _text(experiment: Experiment, source: epath.Path, directory: epath.Path, data: str) -> tuple[Prepared, str]:
    """The rows to read and their split: the run's own, prepared again where they are gone, or the user's."""
    if data:
        vocabulary = load_vocabulary(source / workdir.VOCABULARY)
        prepared = prepare_for_evaluation(data, vocabulary, experiment.data.row_length, directory / workdir.DATA)
        return prepared, EVALUATION
    where = epath.Path(experiment.data.prepared or source / workdir.DATA)
    where = where if where.exists() else directory / workdir.DATA
    return prepare(experiment.data, where), experiment.evaluation.split
