"""A run that starts with the parameters of another: its optimizer is new, its step 0, and its objectives may be others.

So a trained autoregressive model becomes the start of one that also predicts masked tokens. What the other run did not
have, such as a bias of the head, is drawn fresh and named in the log; whatever would change meaning is refused.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax
from etils import epath
from jaxtyping import PyTree

from hybridlm.config.errors import require
from hybridlm.config.experiment import Experiment
from hybridlm.reports.progress import remark
from hybridlm.storage import workdir
from hybridlm.storage.checkpoints import Checkpoints
from hybridlm.storage.compatibility import leaf_table
from hybridlm.training.state import TrainState

_FREE = ("head_bias", "tied_head", "final_dense", "time_conditioning", "dtype", "loop", "remat", "init_std")
_FREE += ("attention_backend", "vocab_size")
"""Fields of a model that either show in its leaves or leave their meaning alone."""


def check(experiment: Experiment) -> None:
    """Refuses to start from a directory that holds no run, or the run of another network; reads its config alone."""
    source = experiment.training.start_from
    if not source:
        return
    theirs, ours = workdir.read_config(epath.Path(source)).model, experiment.model
    fields = [field.name for field in dataclasses.fields(ours) if field.name not in _FREE]
    changed = [name for name in fields if getattr(theirs, name) != getattr(ours, name)]
    lines = [f"  model.{name}: there {getattr(theirs, name)!r}, here {getattr(ours, name)!r}" for name in changed]
    require(
        not changed,
        f"training.start_from={source!r} is the run of another network, in which the same numbers mean something else; "
        "give this one the same:\n" + "\n".join(lines),
    )


def inherit(experiment: Experiment, fresh: TrainState, tokenizer: str) -> TrainState:
    """The fresh state with the parameters of the newest valid checkpoint of the run that the config names, if any.

    `tokenizer` is the hash of this run's.
    """
    source = experiment.training.start_from
    if not source:
        return fresh
    where = epath.Path(source) / workdir.CHECKPOINTS
    with contextlib.closing(Checkpoints(where, read_only=True)) as checkpoints:
        step = checkpoints.latest_valid()
        require(step is not None, f"training.start_from={source!r} has saved no checkpoint yet; let it train on.")
        metadata = checkpoints.read_metadata(step)
        require(
            metadata["fingerprints"]["tokenizer"] == tokenizer,
            f"training.start_from={source!r} was trained with another tokenizer, so its embedding belongs to other "
            "tokens. Name the rows it was trained on as --config.data.prepared, or its tokenizer file as "
            "--config.data.tokenizer.",
        )
        wanted = leaf_table({"params": fresh.params})
        stored = {path: leaf for path, leaf in metadata["leaves"].items() if path.startswith("params/")}
        _check_leaves(source, stored, wanted)
        found = checkpoints.restore_params(step, _kept(_target(fresh.params), "params", stored))
    new = ", ".join(sorted(wanted.keys() - stored.keys())) or "nothing"
    remark(f"starting with the parameters of step {step} of {source}; drawn fresh: {new}")
    return dataclasses.replace(fresh, params=_merged(fresh.params, found))


def _check_leaves(source: str, stored: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    lines = [
        f"  {path}: there {leaf}, here {wanted.get(path, 'nothing')}"
        for path, leaf in sorted(stored.items())
        if wanted.get(path) != leaf
    ]
    require(
        not lines,
        f"training.start_from={source!r} holds parameters that this network has no place for; make the fields of model "
        "those of that run (model.head_bias, model.tied_head, model.final_dense, model.time_conditioning):\n"
        + "\n".join(lines),
    )


def _target(params: PyTree) -> PyTree:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), params)


def _kept(tree: Any, path: str, stored: Iterable[str]) -> Any:
    """The branches of nested dictionaries that lead to stored leaves."""
    if not isinstance(tree, Mapping):
        return tree
    within = {name: [leaf for leaf in stored if f"{leaf}/".startswith(f"{path}/{name}/")] for name in tree}
    return {name: _kept(tree[name], f"{path}/{name}", leaves) for name, leaves in within.items() if leaves}


def _merged(fresh: Any, found: Any) -> Any:
    """What was found, and fresh leaves where nothing was."""
    if not isinstance(fresh, Mapping):
        return found
    return {name: _merged(leaf, found[name]) if name in found else leaf for name, leaf in fresh.items()}
