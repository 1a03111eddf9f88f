"""Reads a config file and the overrides typed after it: `--config=configs/x.py --config.training.steps=100`.

The values are frozen and checked as a whole, so an override builds a new config instead of setting an attribute.
"""

import ast
import contextlib
import importlib.util
import pathlib
import traceback
from collections.abc import Iterator, Mapping
from importlib.machinery import SourceFileLoader
from typing import Any

from hybridlm.config.errors import ConfigError, require
from hybridlm.config.experiment import Experiment
from hybridlm.config.storage import override, to_dict

_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def load(path: str, overrides: Mapping[str, str]) -> Experiment:
    """The experiment that `get_config()` of a Python file returns, with overrides given as text by dotted name."""
    return changed(_from_file(path), overrides)


def changed(experiment: Experiment, overrides: Mapping[str, str]) -> Experiment:
    """The experiment with overrides given as text by dotted name, checked as a whole."""
    tree = to_dict(experiment)
    return override(experiment, {name: _typed(name, text, _current(tree, name)) for name, text in overrides.items()})


def _from_file(path: str) -> Experiment:
    require(
        pathlib.Path(path).is_file(),
        f"--config={path} is not a file; configs live in configs/, for example configs/quickstart.py.",
    )
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


@contextlib.contextmanager
def _blamed_on(path: str) -> Iterator[None]:
    """Any error of the user's own file is a mistake in the config, named with its line."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
        where = f", line {lines[-1]}" if lines else ""
        raise ConfigError(f"--config={path}{where}: {type(error).__name__}: {error}") from error


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
