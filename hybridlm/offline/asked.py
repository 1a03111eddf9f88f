"""What `evaluate` is asked to score, held against configs and small files before weights are read or rows are made."""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence

from etils import epath

from hybridlm.categories import registry
from hybridlm.config.errors import ConfigError, require
from hybridlm.config.experiment import Experiment
from hybridlm.data import manifest as manifests
from hybridlm.data import recipes
from hybridlm.data.prepare import check_text
from hybridlm.data.tokenizer import Tokenizer
from hybridlm.data.vocabulary import load_vocabulary
from hybridlm.evaluation import fitted, kernels
from hybridlm.evaluation.columns import columns
from hybridlm.offline import beside, published, trained
from hybridlm.offline.opened import saved
from hybridlm.offline.subject import Subject
from hybridlm.storage import workdir

_OF_TEXT = ("sources", "validation", "test", "domains", "audit")
"""What of a recipe of rows decides about their held-out text; the rest about its tokens, or about training text."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """A model that can be scored. Attributes: model: its path or name. experiment: what it is and how it is read.
    subject: the directory of its report -> what to read, its weights checked and its rows made."""

    model: epath.PathLike
    experiment: Experiment
    tokenizer: Tokenizer
    subject: Callable[[epath.Path], Subject]


def asked(
    model: epath.PathLike, data: str, *, step: int = -1, readings: Sequence[str], overrides: Mapping[str, str]
) -> Asked:
    """A checkpoint of a run or a published model; raises ConfigError where it cannot be scored as it is asked for."""
    found = (_published if published.is_published(model) else _trained)(model, data, step, readings, overrides)
    config = found.experiment.evaluation
    kernels.check(found.experiment.model)
    registry.check(found.experiment)
    fitted.check(config, data or config.split)
    beside.check(config.readings, found.experiment.data.row_length, found.tokenizer)
    if data:
        _check_data(epath.Path(data))
        check_text(data, found.tokenizer)
    return found


def _check_data(data: epath.Path) -> None:
    """Refuses directories of ours, whose files would be read as text."""
    require(
        not (data / workdir.CHECKPOINTS).exists(),
        f"--data={data} is the directory of a run, not text; leave --data out to read the run's own held-out text.",
    )
    require(
        not (data / manifests.FILE_NAME).exists() or not any(data.glob("*.array_record")),
        f"--data={data} holds prepared rows, not text; give the text that they were made of, or leave --data out, "
        f"which reads the held-out rows of the run, or those in --config.data.prepared={data}.",
    )


def _published(model: epath.PathLike, data: str, step: int, readings, overrides) -> Asked:
    published.check(model, step, data)
    found = published.find(model, readings, overrides)
    return Asked(
        model, found.experiment, found.vocabulary.tokenizer, functools.partial(published.subject, found, data=data)
    )


def _trained(model: epath.PathLike, data: str, step: int, readings, overrides) -> Asked:
    # a user's own text is read whole unless they ask for less
    overrides = {"evaluation.rows": "0", **overrides} if data else overrides
    run = saved(epath.Path(model), step, readings, overrides)
    if "data.prepared" in overrides and run.experiment.data.prepared:
        manifests.load(epath.Path(run.experiment.data.prepared))  # named by hand, it is not made anew
    tokenizer = load_vocabulary(run.source / workdir.VOCABULARY).tokenizer
    return Asked(model, run.experiment, tokenizer, functools.partial(trained.subject, run, data=data))


def beside_it(model: Asked, baseline: epath.PathLike, data: str, **request) -> Asked:
    """Another model, asked for in the same way; refused where `hybridlm compare` could not hold one against it."""
    try:
        found = asked(baseline, data, **request)
    except ConfigError as error:
        raise ConfigError(f"--baseline={baseline}: {error}") from error
    _check_alike(model, found, data)
    return found


def _check_alike(model: Asked, baseline: Asked, data: str) -> None:
    """Raises ConfigError unless both are read on one text, and some of their scores are of one kind."""
    here, there = _kinds(model.experiment), _kinds(baseline.experiment)
    require(
        bool(here & there),
        f"--baseline={baseline.model} is read as {', '.join(sorted(there))} and --model={model.model} as "
        f"{', '.join(sorted(here))}, and kinds are never compared; name readings of one kind by --readings, or score "
        "the two in calls of their own.",
    )
    ours, theirs = ({} if data else _text(one) for one in (model, baseline))
    differing = [
        f"{name} is {theirs.get(name)} there and {ours.get(name)} here"
        for name in ours | theirs
        if ours.get(name) != theirs.get(name)
    ]
    require(
        not differing,
        f"--baseline={baseline.model} would be scored on other held-out text than --model={model.model}, and only "
        f"scores of one text can be compared: {'; '.join(differing)}. Name one text for both by --data; of one "
        "held-out text, all rows hold the same in any tokens, which --config.evaluation.rows=0 reads.",
    )


def _kinds(experiment: Experiment) -> set[str]:
    """Of the scores of its readings and combinations."""
    config = experiment.evaluation
    return {column.part.kind.name.lower() for column in columns(config.readings, False, config.combinations)}


def _text(one: Asked) -> dict[str, str]:
    """What decides which held-out text a run is read on."""
    experiment, config = one.experiment, one.experiment.evaluation
    where = trained.rows_of(experiment, epath.Path(one.model))
    is_there = (where / manifests.FILE_NAME).exists()
    recipe = manifests.load(where).recipe if is_there else recipes.of(experiment.data, 0)
    found = {f"data.{name}": value for name, value in recipe.items() if name.partition("[")[0] in _OF_TEXT}
    found |= {"evaluation.split": config.split, "evaluation.rows": config.rows}
    if config.rows:  # rows are so many tokens
        found |= {"data.tokenizer": one.tokenizer.sha256[:16], "data.row_length": experiment.data.row_length}
    return {name: json.dumps(value) for name, value in found.items()}
