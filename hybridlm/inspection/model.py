"""What a run holds, read without running it: its config, parameters and their sharding, checkpoints and masks."""

import contextlib
import dataclasses
import json

import numpy as np
from etils import epath

from hybridlm.config.experiment import Experiment
from hybridlm.config.storage import to_dict
from hybridlm.data.prepared import Prepared
from hybridlm.data.progress import Progress
from hybridlm.data.vocabulary import Vocabulary, load_vocabulary
from hybridlm.evaluation import pictures
from hybridlm.evaluation import task as tasks
from hybridlm.evaluation.task import Task, task_of
from hybridlm.inspection.packed_rows import busiest, example_rows
from hybridlm.models import size
from hybridlm.reports.inspection import Model, Parameter
from hybridlm.sharding import rules
from hybridlm.storage import digests, workdir
from hybridlm.storage.checkpoints import Checkpoints


@dataclasses.dataclass(frozen=True)
class Run:
    """A run's directory with the config and the vocabulary that lie in it."""

    directory: epath.Path
    experiment: Experiment
    vocabulary: Vocabulary


def open_run(directory: epath.Path) -> Run:
    """Raises ConfigError where the directory holds no run."""
    return Run(directory, workdir.read_config(directory), load_vocabulary(directory / workdir.VOCABULARY))


def describe(run: Run, prepared: Prepared | None, progress: Progress) -> Model:
    """The model of a run; masks are drawn on a row of `prepared`, and left out without it."""
    task = task_of(run.experiment, run.vocabulary)
    found = checkpoints(run.directory / workdir.CHECKPOINTS, progress)
    return Model(
        facts=_facts(run, task, found),
        parameters=parameters(task),
        checkpoints=found,
        masks=_masks(run.experiment, task, prepared) if prepared else {},
        config=json.dumps(to_dict(run.experiment), indent=1),
    )


def parameters(task: Task) -> tuple[Parameter, ...]:
    """Every array of the model with its sharding in words; allocates none of them."""
    shapes = tasks.abstract_params(task)
    placed = rules.readable(rules.specs(shapes)).splitlines()
    rows = zip(size.table(shapes), placed, strict=True)
    return tuple(Parameter(row.path, row.shape, row.size, line.split(maxsplit=1)[1]) for row, line in rows)


def checkpoints(directory: epath.Path, progress: Progress) -> dict[str, str]:
    """Checkpoint -> what differs from when it was sealed, "" if nothing; reads every byte of each."""
    names = sorted(path.name for path in directory.iterdir()) if directory.exists() else []
    steps = [name for name in names if name.partition(".")[0].isdecimal() and not name.endswith((".saving", ".held"))]
    found = {}
    with progress("verifying checkpoints", len(steps)) as advance:
        for name in sorted(steps, key=lambda name: int(name.partition(".")[0])):
            found[name] = _problem(directory / name, f"{name}.saving" in names)
            advance(1)
    return found


def _problem(path: epath.Path, is_being_saved: bool) -> str:
    return "its saving has not ended" if is_being_saved else "; ".join(digests.damage(path))


def _masks(experiment: Experiment, task: Task, prepared: Prepared) -> dict[str, np.ndarray]:
    """The mask of each objective, on the row that begins with the most documents."""
    columns = example_rows(prepared)
    chosen = busiest(columns, 1, pictures.TOKENS)
    return pictures.masks(experiment, task, {name: column[chosen] for name, column in columns.items()})


def _facts(run: Run, task: Task, found: dict[str, str]) -> dict[str, object]:
    experiment = run.experiment
    whole = [int(name) for name, problem in found.items() if name.isdecimal() and not problem]
    facts = {
        "name": experiment.name,
        "parameters": size.count(tasks.abstract_params(task)),
        "objectives": ", ".join(f"{name} {objective.ratio:g}" for name, objective in experiment.objectives.items()),
        "mask": "the objectives' own" if experiment.mask is None else repr(experiment.mask),
        "mesh": ", ".join(f"{axis} {'the rest' if n == -1 else n}" for axis, n in vars(experiment.mesh).items()),
        "steps": f"{max(whole, default=0):,} of {experiment.training.steps:,} in the newest whole checkpoint",
        "tokenizer": f"{task.vocab_size:,} ids; SHA-256 {run.vocabulary.tokenizer.sha256[:16]}",
    }
    return facts | (_trained_on(run, max(whole)) if whole else {})


def _trained_on(run: Run, step: int) -> dict[str, object]:
    with contextlib.closing(Checkpoints(run.directory / workdir.CHECKPOINTS, read_only=True)) as store:
        stored = store.read_metadata(step)
    return {"trained on": f"data with fingerprint {stored['fingerprints']['data'][:16]}"}
