"""Configs as JSON and back, and overrides by dotted name; a restored config never runs anybody's Python."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from hybridlm.config.errors import ConfigError, nearest
from hybridlm.masks import Mask, from_json, to_json


def to_dict(config: Any) -> Any:
    """Nested dictionaries of plain values."""
    if isinstance(config, Mask):
        return to_json(config)
    if dataclasses.is_dataclass(config):
        return {field.name: to_dict(getattr(config, field.name)) for field in dataclasses.fields(config)}
    if isinstance(config, Mapping):
        return {name: to_dict(value) for name, value in config.items()}
    return list(config) if isinstance(config, tuple) else config


def from_dict(kind: Any, data: Any, path: str = "config") -> Any:
    """The value of type `kind` that `data` describes; unknown names and wrong types are refused with their path."""
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, data, path)
    origin = typing.get_origin(kind)
    if origin is types.UnionType:
        return None if data is None else from_dict(typing.get_args(kind)[0], data, path)
    if kind is Mask:
        return from_json(data)
    if origin is dict:
        inner = typing.get_args(kind)[1]
        return {name: from_dict(inner, value, f"{path}.{name}") for name, value in _is(data, Mapping, path).items()}
    if origin is tuple:
        inner = typing.get_args(kind)[0]
        return tuple(from_dict(inner, value, path) for value in _is(data, (list, tuple), path))
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if isinstance(data, bool) and kind is not bool:
        raise ConfigError(f"{path}={data!r} must be of type {kind.__name__}, not bool.")
    return _is(data, kind, path)


def override(config: Any, changes: Mapping[str, Any]) -> Any:
    """The config with some values changed, by dotted names such as "training.steps"; checked as a whole again."""
    tree = to_dict(config)
    for name, value in changes.items():
        *parents, last = name.split(".")
        node = tree
        for depth, part in enumerate(parents):
            node = _child(node, part, ".".join(parents[: depth + 1]))
        _child(node, last, name)
        node[last] = value
    return from_dict(type(config), tree)


def _child(node: Any, part: str, path: str) -> Any:
    if not isinstance(node, dict) or part not in node:
        known = node if isinstance(node, dict) else ()
        raise ConfigError(f"config.{path} does not exist{nearest(part, known) if known else ': its parent is a value'}.")
    return node[part]


def _dataclass(kind: Any, data: Any, path: str) -> Any:
    kinds = typing.get_type_hints(kind)
    for name in _is(data, Mapping, path):
        if name not in kinds:
            raise ConfigError(f"{path}.{name} does not exist{nearest(name, kinds)}.")
    return kind(**{name: from_dict(kinds[name], value, f"{path}.{name}") for name, value in data.items()})


def _is(data: Any, kind: Any, path: str) -> Any:
    if isinstance(data, kind):
        return data
    wanted = "a list" if isinstance(kind, tuple) else "named values" if kind is Mapping else kind.__name__
    raise ConfigError(f"{path}={data!r} must be {'of type ' if isinstance(kind, type) else ''}{wanted}, not {type(data).__name__}.")
