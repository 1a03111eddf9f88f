"""Whether a checkpoint fits a run: the same leaves, and the same tokenizer, data and mask.

The storage layer casts to another dtype without a word, so shapes and dtypes are compared before any array is read.
"""

from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import PyTree

from hybridlm.config.errors import ConfigError
from hybridlm.config.experiment import Experiment
from hybridlm.storage.differences import differences, readable


def leaf_table(tree: PyTree) -> dict[str, str]:
    """What each leaf is, by path: {"params/head/bias": "float32[512]", "step": "int"}."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): _describe(leaf) for path, leaf in leaves}


def check_leaves(stored: Mapping[str, str], wanted: Mapping[str, str], *, step: int) -> None:
    """Raises `ConfigError` with one line per leaf that differs, is missing or is left over."""
    if stored == wanted:
        return
    lines = [
        f"  {path}: stored {stored.get(path, 'nothing')}, wanted {wanted.get(path, 'nothing')}"
        for path in sorted(stored.keys() | wanted.keys())
        if stored.get(path) != wanted.get(path)
    ]
    raise ConfigError(
        f"checkpoint {step} holds other leaves than this run ({len(lines)} differ), most likely because the model or "
        "the optimizer was changed since; go back to the config stored with it, or start afresh in a new --workdir:\n"
        + "\n".join(lines)
    )


def check_fingerprints(stored: Mapping[str, str], current: Mapping[str, str], *, step: int) -> None:
    """Raises `ConfigError` if something this run names, such as its tokenizer, is not what the checkpoint knew."""
    changed = [name for name in current if stored.get(name) != current[name]]
    if changed:
        lines = [f"  {name}: stored {stored.get(name, 'nothing')}, now {current[name]}" for name in changed]
        raise ConfigError(
            f"checkpoint {step} was made with another {' and '.join(changed)}, so its weights mean something else "
            "here; name the same files again, or start afresh in a new --workdir:\n" + "\n".join(lines)
        )


def check_masks(stored: Experiment, current: Experiment, *, step: int) -> None:
    """Raises `ConfigError` if who may attend to whom, or what is predicted, is not as a checkpoint learned it."""
    then, now = ({name: readable(one)[name] for name in ("objectives", "mask")} for one in (stored, current))
    if lines := list(differences(then, now)):
        raise ConfigError(
            f"checkpoint {step} was made with another mask or other objectives, so its weights mean something else "
            "here; go back to the stored values, or start afresh in a new --workdir:\n"
            + "\n".join(f"  {line}" for line in lines)
        )


def check_mixing(stored: Mapping[str, Any], current: Mapping[str, Any], *, step: int) -> None:
    """Raises `ConfigError` if the shares of sources up to a checkpoint are not those it was trained with."""
    past, now = ([mix for mix in data["mixing"] if mix["from_step"] < step] for data in (stored, current))
    if past != now:
        raise ConfigError(
            f"checkpoint {step} was trained with data.mixing {past}, and now its steps would have had {now}. Leave the "
            f"past as it was and add the new shares with from_step={step} or later, or start afresh in a new "
            "--workdir."
        )


def check_placed(target: PyTree) -> None:
    """Raises ValueError unless every array of a restore target says where it shall lie."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(target):
        if hasattr(leaf, "shape") and getattr(leaf, "sharding", None) is None:
            raise ValueError(
                f"leaf {jax.tree_util.keystr(path)} of the restore target has no sharding, and the stored one may name "
                "devices that are gone; give each jax.ShapeDtypeStruct its sharding."
            )


def _describe(leaf) -> str:
    if not hasattr(leaf, "shape"):
        return type(leaf).__name__
    return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
