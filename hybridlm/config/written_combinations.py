"""Combinations as they are typed: the call that makes one in Python, `refiner(0.9)` or `average(0.3)`.

Nothing is executed but the constructors below, with literals for arguments, so what a report prints can be given back.
"""

import ast
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from hybridlm.config.combination import (
    Calibration,
    Combination,
    average,
    frequency_gate,
    learned_gate,
    product,
    refiner,
    token_adaptive,
)
from hybridlm.config.errors import ConfigError, nearest, require
from hybridlm.config.storage import to_dict

CONSTRUCTORS = {
    constructor.__name__: constructor
    for constructor in (average, product, frequency_gate, learned_gate, token_adaptive, refiner, Combination)
}
_PARTS = {"Calibration": Calibration}
_EXAMPLE = "write a call such as refiner(0.9) or average(0.3, rule='log_linear')"


def column(asked: str) -> str:
    """What the column of a reading is called: `block:chain@runs/b` is block_chain_of_b."""
    how, _, run = asked.partition("@")
    return how.replace(":", "_") + (f"_of_{pathlib.PurePath(run).name}" if run else "")


def parse(text: str, experts: Sequence[str] = ()) -> Combination:
    """The combination that a call describes, of these two experts unless it names its own."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ConfigError(f"combination {text!r} cannot be read: {error.msg}; {_EXAMPLE}.") from error
    call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
    name = call.func.id if isinstance(call.func, ast.Name) else ast.unparse(call.func)
    require(name in CONSTRUCTORS, f"combination {text!r} names {name!r}, which makes none{nearest(name, CONSTRUCTORS)}")
    given = {"experts": tuple(experts)} if experts else {}
    return _made(text, CONSTRUCTORS[name], call, given)


def of_readings(asked: Sequence[str], readings: Sequence[str]) -> dict[str, dict]:
    """Combinations `NAME=CALL` of the first two readings, as a config stores them, by name."""
    require(
        len(readings) >= 2,
        f"--combine joins two readings, and --readings names {len(readings)}; name two, such as "
        "--readings=ar,block:chain, or --readings=ar,block:chain@runs/b with the network of another run.",
    )
    experts = tuple(map(column, readings[:2]))
    parts = [one.partition("=") for one in asked]
    for one, (name, _, call) in zip(asked, parts, strict=True):
        require(
            name.isidentifier() and bool(call),
            f"combination {one!r} needs a name, since its column is called so; write NAME=CALL, as in mean=average().",
        )
    return {name: to_dict(parse(call, experts)) for name, _, call in parts}


def _made(text: str, constructor: Any, call: ast.Call, given: Mapping[str, Any]) -> Any:
    try:
        values = [_value(text, node) for node in call.args]
        named = {keyword.arg: _value(text, keyword.value) for keyword in call.keywords}
        return constructor(*values, **{**given, **named})
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"combination {text!r} cannot be made: {error}; {_EXAMPLE}.") from error


def _value(text: str, node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _PARTS:
        return _made(text, _PARTS[node.func.id], node, {})
    return ast.literal_eval(node)
