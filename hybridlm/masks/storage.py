"""Masks as JSON, so that a config or checkpoint restores them without running anybody's Python."""

import base64
import zlib
from typing import Any

import numpy as np

from hybridlm.masks.expressions import (
    Absolute,
    Always,
    Comparison,
    Constant,
    Dense,
    Fact,
    Joined,
    Named,
    Not,
    arithmetic,
    show,
)
from hybridlm.masks.mask import Mask


def to_json(mask: Mask) -> Any:
    """The recorded expression as nested lists."""
    return _store(mask.expression)


def from_json(data: Any) -> Mask:
    """The mask that `to_json` stored; anything else is refused."""
    try:
        return Mask(_load(data))
    except (TypeError, ValueError, IndexError, KeyError, zlib.error) as error:
        raise ValueError(f"not a stored mask: {error}; a mask is stored by masks.to_json and edited by nobody.") from error


def _store(node: Any) -> Any:
    match node:
        case Fact(side, name):
            return ["fact", side, name]
        case Constant(value):
            return value
        case Always(value):
            return ["always", value]
        case Absolute(inner):
            return ["abs", _store(inner)]
        case Not(inner):
            return ["not", _store(inner)]
        case Joined(op, terms):
            return [op, *map(_store, terms)]
        case Named(name, arguments, body):
            return ["named", name, dict(arguments), _store(body)]
        case Dense(content, array):
            if array is content:
                raise ValueError(
                    "masks.dense(function) cannot be stored, because its Python would have to run again; "
                    "write it as masks.custom, or store the array it gives: masks.dense(array)."
                )
            return ["dense", list(array.shape), base64.b64encode(zlib.compress(content[1])).decode()]
    return [node.op, _store(node.left), _store(node.right)]


def _load(data: Any) -> Any:
    if isinstance(data, int) and not isinstance(data, bool):
        return Constant(data)
    match data:
        case ["fact", "q" | "k" as side, str(name)]:
            return Fact(side, name)
        case ["always", bool(value)]:
            return Always(value)
        case ["abs", inner]:
            return Absolute(_load(inner))
        case ["not", inner]:
            return Not(_load(inner))
        case ["and" | "or" as op, *terms]:
            return Joined(op, tuple(map(_load, terms)))
        case ["named", str(name), dict(arguments), body]:
            return Named(name, tuple(arguments.items()), _load(body))
        case ["dense", [int(rows), int(columns)], str(text)]:
            bits = zlib.decompress(base64.b64decode(text))
            array = np.unpackbits(np.frombuffer(bits, np.uint8), count=rows * columns).reshape(rows, columns).astype(bool)
            return Dense((array.shape, bits), array)
        case ["<" | "<=" | "==" as op, left, right]:
            return Comparison(op, _load(left), _load(right))
        case ["+" | "-" | "*" | "//" | "%" as op, left, right]:
            if op in ("*", "//", "%") and not (isinstance(right, int) and (op == "*" or right > 0)):
                raise ValueError(f"{op} needs a constant on its right, got {show(_load(right))}")
            return arithmetic(op, _load(left), _load(right))
    raise ValueError(f"unknown part {data!r}")
