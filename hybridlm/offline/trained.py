"""A checkpoint of a run as something to score: on its own held-out text, or on a user's in its vocabulary."""

import hashlib

from etils import epath

from hybridlm.categories import registry
from hybridlm.config.experiment import Experiment
from hybridlm.data.prepare import EVALUATION, prepare, prepare_for_evaluation
from hybridlm.data.prepared import Prepared
from hybridlm.data.vocabulary import load_vocabulary
from hybridlm.evaluation.task import task_of
from hybridlm.offline.opened import Saved
from hybridlm.offline.subject import Subject
from hybridlm.storage import digests, workdir
from hybridlm.storage.compatibility import check_fingerprints


def rows_of(experiment: Experiment, source: epath.Path) -> epath.Path:
    """Where the rows of a run were prepared; they may be gone."""
    return epath.Path(experiment.data.prepared or source / workdir.DATA)


def subject(run: Saved, directory: epath.Path, *, data: str) -> Subject:
    """A run, to be read on `data` or its own text; rows that must be made go to `directory`."""
    found, source = run.read(), run.source
    experiment, stored = found.experiment, found.metadata["fingerprints"]
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
    where = rows_of(experiment, source)
    where = where if where.exists() else directory / workdir.DATA
    return prepare(experiment.data, where), experiment.evaluation.split
