"""The directory of a run: whose it is, and where things lie in it."""

import json

import jax
from etils import epath

from hybridlm.config import logins
from hybridlm.config.errors import ConfigError, require
from hybridlm.config.experiment import Experiment
from hybridlm.config.near_paths import LISTED, inside, near
from hybridlm.config.storage import from_dict, to_dict
from hybridlm.sharding import distributed
from hybridlm.storage import durable, environment, lines, staging
from hybridlm.storage.differences import differences, plain, readable

CONFIG, ENVIRONMENT, METRICS = "config.json", "environment.json", "metrics.jsonl"
CHECKPOINTS, VOCABULARY, DATA = "checkpoints", "vocabulary", "data"
_MAY_CHANGE = ("checkpoint", "mesh", "operation")


def check(workdir: epath.Path, experiment: Experiment) -> None:
    """Raises `ConfigError` where the directory belongs to another run; writes nothing.

    Shares of sources may change during a run; whether only those to come do is for its checkpoint to say. So may what
    no number of the run depends on, and the mesh, which changes them in their last bits.
    """
    require(
        workdir.is_dir() or not workdir.exists(),
        f"--workdir={workdir} is a file, and a run is a directory; choose another name.",
    )
    require(
        not staging.is_needed(workdir) or jax.process_count() == 1,
        f"--workdir={workdir}: {jax.process_count()} processes write one checkpoint together, to directories and to "
        "gs:// alone, since Orbax knows no other store; mount the bucket (mountpoint-s3, for example) and name the "
        "directory. Data may lie in s3:// as it is, and the run of one process, too.",
    )
    why = "a config is kept in the workdir and in every checkpoint"
    logins.refuse(json.dumps(to_dict(experiment)), "the config", why)
    if not (workdir / CONFIG).exists():
        return
    # read as a config, so that what a later version asks for has its default there
    stored, wanted = readable(read_config(workdir)), readable(experiment)
    stored["data"]["mixing"] = wanted["data"]["mixing"]
    stored |= {name: wanted[name] for name in _MAY_CHANGE}
    changes = list(differences(stored, wanted))
    if changes:
        raise ConfigError(
            f"--workdir={workdir} belongs to another run; going on in it would mix the two. It differs in:\n"
            + "\n".join(f"  {line}" for line in changes)
            + "\nChoose another --workdir, or go back to the stored values to resume."
        )


def claim(workdir: epath.Path, experiment: Experiment) -> None:
    """Makes the directory this run's. Call it when all checks have passed: a refused run must not own it."""
    if distributed.is_primary():
        workdir.mkdir(parents=True, exist_ok=True)
        durable.replace(workdir / CONFIG, json.dumps(plain(experiment), indent=1))
        durable.replace(workdir / ENVIRONMENT, json.dumps(environment.describe(), indent=1))


def read_config(workdir: epath.Path) -> Experiment:
    """The config of a run, from JSON; nobody's Python runs."""
    path = workdir / CONFIG
    if not path.exists():
        raise ConfigError(f"{workdir} holds no run: {_lack(workdir)} Name the --workdir of a `hybridlm train`.")
    try:
        return from_dict(Experiment, json.loads(path.read_text()))
    except ValueError as error:
        raise ConfigError(
            f"{path} is not the config of a run ({error}). It is written once by `hybridlm train`; if it was edited or "
            "cut off, take it from a copy, or if another version of hybridlm wrote it, read it with that one."
        ) from error


def _lack(workdir: epath.Path) -> str:
    """What of a run is not there, and which runs are near."""
    if not workdir.exists():
        return f"there is no such directory{near(workdir, _is_run)}"
    if not workdir.is_dir():
        return "it is a file."
    runs = [workdir.parent] if _is_run(workdir.parent) else inside(workdir, _is_run)
    return f"{CONFIG} is missing." + (f" Did you mean {' or '.join(map(str, runs[:LISTED]))}?" if runs else "")


def _is_run(directory: epath.Path) -> bool:
    return (directory / CONFIG).exists()


def is_read(workdir: epath.Path, step: int) -> bool:
    """Whether the metrics hold losses on held-out text of a step."""
    return any(f'"step": {step},' in line and '"validation/' in line for line in lines.read(workdir / METRICS))
