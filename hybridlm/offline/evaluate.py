"""`evaluate`: a checkpoint, or a published model, on its own, read by the function that training reports by."""

from collections.abc import Mapping, Sequence

import jax
from etils import epath

from hybridlm.config.errors import require
from hybridlm.config.evaluation import EvaluationConfig
from hybridlm.config.exit_codes import ExitCode
from hybridlm.data.directories import check_free, making
from hybridlm.evaluation import fitted, reporting
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.kept import Kept
from hybridlm.evaluation.readings import Other, scorer
from hybridlm.evaluation.run import Evaluation, batch_count, batches
from hybridlm.evaluation.run import evaluate as read
from hybridlm.models import size
from hybridlm.offline import beside
from hybridlm.offline.asked import Asked, asked, beside_it
from hybridlm.offline.beside import Beside
from hybridlm.offline.opened import on_mesh
from hybridlm.offline.subject import Subject
from hybridlm.reports import closing
from hybridlm.reports.progress import progress, remark
from hybridlm.sharding import distributed, placement
from hybridlm.sharding import mesh as meshes

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
    _check_place(directory, model, baselines)
    for baseline in baselines if step == -1 else ():
        require(
            epath.Path(baseline).resolve() != epath.Path(model).resolve(),
            f"--baseline={baseline} is --model itself, so nothing could differ; name another model, or an earlier "
            "checkpoint of this one by --step.",
        )
    request = {"readings": readings, "overrides": overrides}
    first = asked(model, data, step=step, **request)
    places = {directory / BASELINES / name: baseline for name, baseline in _named(baselines).items()}
    others = {place: beside_it(first, baseline, data, **request) for place, baseline in places.items()}
    for place, one in {directory: first, **others}.items():
        with making(place):
            _score(one, place, data, is_last=not others)
    if others and distributed.is_primary():
        baseline, *more = others
        print(closing.comparison([baseline, directory, *more], directory))
    return ExitCode.DONE


def _check_place(directory: epath.Path, model: epath.PathLike, baselines: Sequence[epath.PathLike]) -> None:
    check_free(directory, "--workdir")
    for named, flag in ((model, "--model"), *((baseline, "--baseline") for baseline in baselines)):
        require(
            epath.Path(named).resolve() != directory.resolve(),
            f"--workdir must differ from {flag}, so that the run's own report stays as it is.",
        )


def _named(baselines: Sequence[epath.PathLike]) -> dict[str, epath.PathLike]:
    """Baselines by the name of their directory."""
    found = {epath.Path(baseline).resolve().name: baseline for baseline in baselines}
    require(
        len(found) == len(baselines),
        f"--baseline names {', '.join(map(str, baselines))}, of which two end alike, and reports are called by these "
        "ends; score one of them in a call of its own.",
    )
    return found


def _score(one: Asked, directory: epath.Path, data: str, *, is_last: bool) -> None:
    """One model, unless its report is there."""
    subject = one.subject(directory)
    experiment, task = subject.experiment, subject.task
    config = experiment.evaluation
    others = beside.found(config.readings, task)
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
        remark(f"{one.model} is scored already: {directory} holds its report")
        reporting.close(directory, is_last)
        return
    # several processes may not see each other's files
    kept = Kept(directory / PARTIAL, _identity(facts)) if jax.process_count() == 1 else None
    found, config = _read(subject, others, kept)
    reporting.write(facts, found, directory, config=config, metrics=subject.metrics, is_last=is_last)
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
