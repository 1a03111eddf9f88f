"""Takes over FlexAttention's mask functions, `mask_mod(b, h, q_idx, kv_idx) -> bool`, unchanged."""

import types
from collections.abc import Callable, Mapping
from typing import Any

from hybridlm.masks.expressions import Fact
from hybridlm.masks.mask import Mask
from hybridlm.masks.recording import Record, Term, record


class _Batch:
    """The `b` of a mask_mod: it may index a captured tensor and nothing else, since rows differ only in their facts."""


class _Column:
    """Stands for a captured tensor: `document_id[q_idx]`, `document_id[b, kv_idx]` and `length[b]` read a fact."""

    def __init__(self, name: str):
        self.name = name

    def __getitem__(self, index: Any) -> Term:
        parts = [part for part in (index if isinstance(index, tuple) else (index,)) if not isinstance(part, _Batch)]
        if not parts:
            return Term(Fact("k", self.name))
        side = parts[0].node.side if len(parts) == 1 and isinstance(getattr(parts[0], "node", None), Fact) else None
        if side is None or parts[0].node.name != "index":
            raise TypeError(
                f"{self.name!r} may be read at q_idx or kv_idx (with b before it, if it has a batch axis), or at b alone; "
                "an index that was computed has no column. Store the shifted values as a column of their own."
            )
        return Term(Fact(side, self.name))


def from_mask_mod(function: Callable, *, facts: Mapping[str, str] | None = None) -> Mask:
    """The mask of a FlexAttention `mask_mod`, recorded once.

    q_idx and kv_idx become the fact `index`. Tensors the function captured are named in `facts` together with the column
    of the batch that holds them: `facts={"document_id": "segment"}`. A tensor read at `b` alone must be a column that is
    constant along each row. Heads cannot differ: `h` may not be used.
    """
    columns = {name: _Column(column) for name, column in (facts or {}).items()}
    rebound = _rebind(function, columns)

    def rule(q: Record, k: Record):
        try:
            return rebound(_Batch(), None, q.index, k.index)
        except TypeError as error:
            captured = sorted({*function.__code__.co_freevars, *function.__code__.co_names} - set(columns))
            raise TypeError(
                f"mask_mod {function.__name__!r} could not be recorded: {error}\nNames it uses from outside: "
                f"{', '.join(captured) or 'none'}; each tensor among them must be given in facts={{'name': 'column'}}."
            ) from error

    return Mask(record(rule))


def _rebind(function: Callable, replacements: Mapping[str, Any]) -> Callable:
    """The same code with some of the names it captured standing for something else."""
    code = function.__code__
    unknown = set(replacements) - set(code.co_freevars) - set(code.co_names)
    if unknown:
        raise ValueError(
            f"facts names {', '.join(sorted(unknown))}, but mask_mod {function.__name__!r} uses only "
            f"{', '.join(sorted({*code.co_freevars, *code.co_names})) or 'no outside names'}."
        )
    cells = tuple(
        types.CellType(replacements[name]) if name in replacements else cell
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)
    )
    names = {**function.__globals__, **{name: replacements[name] for name in code.co_names if name in replacements}}
    return types.FunctionType(code, names, function.__name__, function.__defaults__, cells)
