"""Configs as JSON and back, and overrides by dotted name; a restored config never runs anybody's Python."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from hybridlm.config.errors import ConfigError, nearest, placed
from hybridlm.masks import Mask, from_json, to_json


def to_dict(config: Any) -> Any:
    """Nested dictionaries of plain values."""
    if isinstance(config, Mask):
        return _stored(config)
    if dataclasses.is_dataclass(config):
        return {field.name: to_dict(getattr(config, field.name)) for field in dataclasses.fields(config)}
    if isinstance(config, Mapping):
        return {name: to_dict(value) for name, value in config.items()}
    return [to_dict(value) for value in config] if isinstance(config, tuple) else config


def from_dict(kind: Any, data: Any, path: str = "config") -> Any:
    """The value of type `kind` that `data` describes; unknown names and wrong types are refused with their path."""
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, data, path)
    origin = typing.get_origin(kind)
    if origin is types.UnionType:
        return None if data is None else from_dict(_alternative(typing.get_args(kind), data), data, path)
    if kind is Mask:
        return _mask(data, path)
    if origin is dict:
        inner = typing.get_args(kind)[1]
        return {name: from_dict(inner, value, f"{path}.{name}") for name, value in _is(data, Mapping, path).items()}
    if origin is tuple:
        inner = typing.get_args(kind)[0]
        return tuple(from_dict(inner, value, f"{path}[{n}]") for n, value in enumerate(_is(data, (list, tuple), path)))
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if isinstance(data, bool) and kind is not bool:
        raise ConfigError(f"{path}={data!r} must be of type {kind.__name__}, not bool.")
    return _is(data, kind, path)


def _alternative(kinds: tuple[Any, ...], data: Any) -> Any:
    """Which of the types is meant: the one that has parts if the data has."""
    is_nested = isinstance(data, Mapping)
    return next((kind for kind in kinds if dataclasses.is_dataclass(kind) == is_nested), kinds[0])


def _stored(mask: Mask) -> Any:
    try:
        return to_json(mask)
    except ValueError as error:
        raise ConfigError(f"a config must be storable, and its mask is not: {error}") from error


def override(config: Any, changes: Mapping[str, Any], path: str = "config") -> Any:
    """The config with some values changed, by dotted names such as "training.steps"; checked as a whole again.

    What is refused is named from `path` on.
    """
    tree = to_dict(config)
    for name, value in changes.items():
        *parents, last = name.split(".")
        _parent(tree, parents, name, path)[last] = to_dict(value)
    return from_dict(type(config), tree, path)


def _parent(node: Any, parts: list[str], name: str, path: str) -> dict:
    """The dictionary that holds the last part of a name; whether that part may stand there is seen by its type."""
    for depth, part in enumerate(parts):
        if part not in node:
            raise ConfigError(f"{path}.{'.'.join(parts[: depth + 1])} does not exist{nearest(part, node)}")
        node = node[part]
        if not isinstance(node, dict):
            inner = ".".join(parts[: depth + 1])
            raise ConfigError(f"{path}.{name} does not exist: {path}.{inner}={node!r} has no parts.")
    return node


def _dataclass(kind: Any, data: Any, path: str) -> Any:
    kinds = typing.get_type_hints(kind)
    for name in _is(data, Mapping, path):
        if name not in kinds:
            raise ConfigError(f"{path}.{name} does not exist{nearest(name, kinds)}")
    for field in dataclasses.fields(kind):
        if field.name not in data and field.default is field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{path}.{field.name} is missing and has no default.")
    values = {name: from_dict(kinds[name], value, f"{path}.{name}") for name, value in data.items()}
    with placed(path):
        return kind(**values)


def _mask(data: Any, path: str) -> Mask:
    try:
        return from_json(data)
    except ValueError as error:
        advice = "To try one, write it into the config file, as in Experiment(mask=masks.causal())."
        raise ConfigError(f"{path}={data!r} is {error} {advice}") from error


def _is(data: Any, kind: Any, path: str) -> Any:
    if isinstance(data, kind):
        return data
    wanted = {Mapping: "named values", (list, tuple): "a list"}.get(kind) or f"of type {kind.__name__}"
    raise ConfigError(f"{path}={data!r} must be {wanted}, not {type(data).__name__}.")
