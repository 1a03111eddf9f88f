"""Reads a config file and the overrides typed after it: `--config=configs/x.py --config.training.steps=100`.

The values are frozen and checked as a whole, so an override builds a new config instead of setting an attribute.
"""

import ast
import contextlib
import importlib.util
import os
import pathlib
import traceback
from collections.abc import Iterator, Mapping
from importlib.machinery import SourceFileLoader
from typing import Any

from hybridlm.config.errors import ConfigError, Unplaced, require
from hybridlm.config.experiment import Experiment
from hybridlm.config.near_paths import inside, near
from hybridlm.config.storage import override, to_dict

CHECKOUT = pathlib.Path(__file__).parents[2]
"""The directory with configs/ in it, unless the package was installed without."""
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def load(path: str, overrides: Mapping[str, str]) -> Experiment:
    """The experiment that `get_config()` of a Python file returns, with overrides given as text by dotted name."""
    return changed(_from_file(path), overrides)


def changed(experiment: Experiment, overrides: Mapping[str, str]) -> Experiment:
    """The experiment with overrides given as text by dotted name, checked as a whole."""
    tree = to_dict(experiment)
    values = {name: _typed(name, text, _current(tree, name)) for name, text in overrides.items()}
    return override(experiment, values, "--config")


def _from_file(path: str) -> Experiment:
    if not pathlib.Path(path).is_file():
        raise ConfigError(_missing(pathlib.Path(path)))
    spec = importlib.util.spec_from_loader("hybridlm_config", SourceFileLoader("hybridlm_config", path))
    module = importlib.util.module_from_spec(spec)
    with _blamed_on(path):
        spec.loader.exec_module(module)
    require(
        hasattr(module, "get_config"), f"--config={path} has no function get_config(); it must return an Experiment."
    )
    with _blamed_on(path):
        experiment = module.get_config()
    require(
        isinstance(experiment, Experiment),
        f"get_config() of {path} returned {type(experiment).__name__}; it must return a hybridlm Experiment.",
    )
    return experiment


def named(name: str) -> list[str]:
    """Which values of a config are called so: `steps` is `training.steps`."""
    parts = {"": (tree := to_dict(Experiment(name="any"))), **tree}
    paths = (
        f"{part}.{field}".lstrip(".") for part, fields in parts.items() if isinstance(fields, dict) for field in fields
    )
    return [path for path in paths if path == name or path.endswith(f".{name}")]


def _missing(path: pathlib.Path) -> str:
    """Why there is no such config, and which there are: here, or in the checkout that this code lies in."""
    if path.is_dir():
        names = ", ".join(one.name for one in inside(path, _is_python)) or "no Python file"
        return f"--config={path} is a directory, and a config is a Python file; in it: {names}."
    for shipped in (CHECKOUT / path, CHECKOUT / "configs" / path):
        if shipped.is_file():
            return f"--config={path} is no file in {os.getcwd()}, where relative paths start; did you mean {shipped}?"
    return (
        f"--config={path} is no file{near(path, _is_python)} A config is a Python file with a function get_config(); "
        "examples are in configs/ of a checkout of hybridlm, and not in an installed package."
    )


def _is_python(path: pathlib.Path) -> bool:
    return path.suffix == ".py"


@contextlib.contextmanager
def _blamed_on(path: str) -> Iterator[None]:
    """Any error of the user's own file is a mistake in the config, named with its line."""
    try:
        yield
    except Unplaced as error:
        raise ConfigError(f"{_line(path, error)}: {error}") from error
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{_line(path, error)}: {type(error).__name__}: {error}") from error


def _line(path: str, error: Exception) -> str:
    """Where in a config file an error arose."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"--config={path}" + (f", line {lines[-1]}" if lines else "")


def _current(tree: Any, name: str) -> Any:
    """What stands there now; an unknown name is left for `override` to refuse."""
    for part in name.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def _typed(name: str, text: str, current: Any) -> Any:
    """The text as a value of the type that stands there now."""
    try:
        match current:
            case bool():
                return _TRUTH[text.lower()]
            case int() | float():
                return int(text) if text.lstrip("+-").isdecimal() else float(text)
            case None:
                return _literal(text)
            case dict() if text[:1] == "{":
                return ast.literal_eval(text)
            case list():
                return (
                    list(ast.literal_eval(text))
                    if text[:1] in ("(", "[")
                    else [part for part in text.split(",") if part]
                )
    except (KeyError, ValueError, SyntaxError) as error:
        raise ConfigError(
            f"--config.{name}={text} must be of type {type(current).__name__}, as {current!r} is."
        ) from error
    return text


def _literal(text: str) -> Any:
    """A value for a name that has none yet: what Python reads in the text, or the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
