"""Masks as JSON, so that a config or checkpoint restores them without running anybody's Python."""

import base64
import zlib
from typing import Any

from hybridlm.masks.expressions import (
    Absolute,
    Always,
    Arithmetic,
    Comparison,
    Constant,
    Fact,
    Joined,
    Named,
    Not,
    Opaque,
    Table,
    arithmetic,
    constant,
)
from hybridlm.masks.mask import Mask


def to_json(mask: Mask) -> Any:
    """The recorded expression as nested lists."""
    return _store(mask.expression)


def from_json(data: Any) -> Mask:
    """The mask that `to_json` stored; anything else is refused."""
    try:
        return Mask(_condition(data))
    except (TypeError, ValueError, zlib.error) as error:
        raise ValueError(f"not a stored mask: {error}. Store masks by masks.to_json, and edit none by hand.") from error


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
        case Arithmetic(op, left, right) | Comparison(op, left, right):
            return [op, _store(left), _store(right)]
        case Named(name, arguments, body):
            return ["named", name, dict(arguments), _store(body)]
        case Table(shape, bits):
            return ["dense", list(shape), base64.b64encode(zlib.compress(bits)).decode()]
        case Opaque():
            raise ValueError(
                "masks.dense(function) cannot be stored, because its Python would have to run again; "
                "write it as masks.custom, or store the array it gives: masks.dense(array)."
            )
    raise TypeError(f"{node!r} is not part of a mask")


def _condition(data: Any) -> Any:
    match data:
        case ["<" | "<=" | "==" as op, left, right]:
            return Comparison(op, _term(left), _term(right))
        case ["and" | "or" as op, _, _, *_]:
            return Joined(op, tuple(map(_condition, data[1:])))
        case ["not", inner]:
            return Not(_condition(inner))
        case ["always", bool(value)]:
            return Always(value)
        case ["named", str(name), dict(arguments), body]:
            return Named(name, tuple(arguments.items()), _condition(body))
        case ["dense", [int(rows), int(columns)], str(text)]:
            bits = zlib.decompress(base64.b64decode(text))
            if len(bits) != (rows * columns + 7) // 8:
                raise ValueError(f"{len(bits)} bytes cannot hold {rows} x {columns} bits")
            return Table((rows, columns), bits)
    raise ValueError(f"{data!r} is not a condition")


def _term(data: Any) -> Any:
    match data:
        case bool():
            pass
        case int():
            return constant(data)
        case ["fact", "q" | "k" as side, str(name)]:
            return Fact(side, name)
        case ["abs", inner]:
            return Absolute(_term(inner))
        case ["+" | "-" as op, left, right]:
            return arithmetic(op, _term(left), _term(right))
        case ["*" | "//" | "%" as op, left, int(right)] if op == "*" or right > 0:
            return arithmetic(op, _term(left), constant(right))
    raise ValueError(f"{data!r} is not an integer term")
