"""`evaluate`: a checkpoint, on its own, read by the function that training reports by."""

from collections.abc import Mapping

from etils import epath

from hybridlm.config import command_line
from hybridlm.config.errors import ConfigError, require
from hybridlm.config.exit_codes import ExitCode
from hybridlm.config.experiment import Experiment
from hybridlm.config.storage import from_dict
from hybridlm.data.prepare import EVALUATION, prepare, prepare_for_evaluation
from hybridlm.data.prepared import Prepared
from hybridlm.data.vocabulary import load_vocabulary
from hybridlm.models import size
from hybridlm.sharding import mesh as meshes
from hybridlm.sharding.rules import shardings
from hybridlm.training import placement, reporting, workdir
from hybridlm.training import task as tasks
from hybridlm.training.checkpoints import Checkpoints
from hybridlm.training.compatibility import check_fingerprints
from hybridlm.training.evaluation import batch_count, batches, scorer
from hybridlm.training.evaluation import evaluate as read
from hybridlm.training.progress import progress
from hybridlm.training.session import task_of

OVERRIDABLE = ("evaluation.", "mesh.", "model.attention_backend", "data.prepared", "data.sources")
"""What may be changed about a trained model: how it is read, not what it is."""


def evaluate(
    model: epath.PathLike, directory: epath.PathLike, *, data: str, step: int, overrides: Mapping[str, str]
) -> ExitCode:
    """Scores a checkpoint on the held-out text of its run, or on `data`, and writes the report to `directory`."""
    source, directory = epath.Path(model), epath.Path(directory)
    require(
        source.resolve() != directory.resolve(),
        "--workdir must differ from --model, so that the run's own report stays as it is.",
    )
    # a user's own text is read whole unless they ask for less
    overrides = {"evaluation.rows": "0", **overrides} if data else overrides
    beside = workdir.read_config(source)  # refuses what is no run before anything else is looked for
    checkpoints = Checkpoints(source / workdir.CHECKPOINTS, read_only=True)
    step = _step(checkpoints, step)
    metadata = checkpoints.read_metadata(step)
    experiment = _changed(from_dict(Experiment, metadata["config"]), overrides)
    directory.mkdir(parents=True, exist_ok=True)
    prepared, split = _text(experiment, source, directory, data)
    must_agree = {"tokenizer": prepared.tokenizer.sha256, "dtype": beside.model.dtype}
    read_data = {"data": prepared.manifest.fingerprint}
    check_fingerprints(metadata["fingerprints"], must_agree if data else must_agree | read_data, step=step)
    rows, config = prepared.rows(split), experiment.evaluation
    task = task_of(experiment, prepared.vocabulary, rows.names)
    mesh = meshes.make(experiment.mesh)
    shapes = tasks.abstract_params(task)
    params = checkpoints.restore_params(step, placement.abstract(shapes, shardings(shapes, mesh)))
    with progress("reading", batch_count(rows, config)) as bar:
        found = read(
            task,
            config,
            scorer(task, config, experiment.mask, placement.replicated(mesh)),
            params,
            batches(rows, config),
            place=placement.spreader(mesh),
            on_batch=bar.update,
        )
    facts = reporting.Facts(
        experiment=experiment,
        task=task,
        tokenizer=prepared.tokenizer,
        split=data or split,
        step=step,
        fingerprints=must_agree | read_data,
        parameters=size.count(shapes),
        row=rows.read([0]),
    )
    reporting.write(facts, found, directory, metrics=source / workdir.METRICS)
    return ExitCode.DONE


def _changed(experiment: Experiment, overrides: Mapping[str, str]) -> Experiment:
    for name in overrides:
        if not name.startswith(OVERRIDABLE):
            raise ConfigError(
                f"--config.{name} would change what the checkpoint is; reading it may change only "
                f"{', '.join(OVERRIDABLE)}."
            )
    return command_line.changed(experiment, overrides)


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
