"""Takes over FlexAttention's mask functions, `mask_mod(b, h, q_idx, kv_idx) -> bool`, unchanged.

Tensors a function captured become facts: the same code runs once with symbols where the tensors stood, through nested
functions too (`and_masks`, a document mask around an inner mask, ...).
"""

import types
from collections.abc import Callable, Mapping
from typing import Any

from hybridlm.masks.expressions import Fact
from hybridlm.masks.mask import Mask
from hybridlm.masks.recording import Term, record


class _Unusable:
    """`h`, which a mask may not depend on, and `b`, which may index a captured tensor and nothing else."""

    __hash__ = None

    def __init__(self, name: str):
        self._name = name

    def _refuse(self, *_):
        raise TypeError(
            f"{self._name!r} was used in a computation. Heads cannot differ, and rows differ in their facts alone: "
            "put what a row needs into the batch as an integer column."
        )

    __bool__ = __index__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __getitem__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __floordiv__ = __mod__ = _refuse


class _Batch(_Unusable):
    def new_ones(self, *_, **__) -> bool:
        """What `and_masks` starts from."""
        return True

    def new_zeros(self, *_, **__) -> bool:
        """What `or_masks` starts from."""
        return False


class _Column:
    """Stands for a captured tensor: `document_id[q_idx]`, `document_id[b, kv_idx]` and `length[b]` read a fact.

    So does `offsets[document_id[q_idx]]`, a tensor read at another; but each is to be read at one kind of index only.
    """

    def __init__(self, name: str):
        self._name, self._read_at = name, None

    def __getitem__(self, index: Any) -> Term:
        parts = [part for part in (index if isinstance(index, tuple) else (index,)) if not isinstance(part, _Batch)]
        match [part.node if isinstance(part, Term) else None for part in parts]:
            case []:
                return Term(Fact("k", self._name))
            case [Fact(side, read_at)] if self._read_at in (None, read_at):
                self._read_at = read_at
                return Term(Fact(side, self._name))
        raise TypeError(
            f"column {self._name!r} stands for a tensor, to be read at q_idx or kv_idx (after b, if it has a batch "
            "axis), at b alone, or always at the same other tensor; an index that was computed has no column. Store "
            "the values read there as a column of their own."
        )


def from_mask_mod(function: Callable, *, facts: Mapping[str, str] | None = None) -> Mask:
    """The mask of a FlexAttention `mask_mod`, recorded once.

    q_idx and kv_idx become the fact `index`. Tensors the function captured are named in `facts`, each with the column
    of the batch that holds it: `facts={"document_id": "segment"}`. A tensor read at `b` alone must be a column that is
    constant along each row. Heads cannot differ: `h` may not be used.
    """
    columns = {name: _Column(column) for name, column in (facts or {}).items()}
    copies: dict[Callable, Callable] = {}
    rebound = _rebind(function, columns, copies)
    used = set().union(*(_outside_names(original.__code__) for original in copies))
    if not columns.keys() <= used:
        raise ValueError(
            f"facts names {', '.join(sorted(columns.keys() - used))}, but {function!r} uses only "
            f"{', '.join(sorted(used)) or 'no outside names'}. Name tensors it captured, as it calls them."
        )
    try:
        return Mask(record(lambda q, k: rebound(_Batch("b"), _Unusable("h"), q.index, k.index)))
    except TypeError as error:
        raise TypeError(
            f"{function!r} could not be recorded: {error}\nNames it uses from outside: "
            f"{', '.join(sorted(used - columns.keys())) or 'none'}; "
            "each tensor among them belongs into facts={'name': 'column'}."
        ) from error


def _rebind(value: Any, columns: Mapping[str, _Column], copies: dict[Callable, Callable]) -> Any:
    """`value`; where it is a function or holds some, the same code with columns where it captured tensors."""
    if type(value) in (tuple, list):
        return type(value)(_rebind(item, columns, copies) for item in value)
    if not isinstance(value, types.FunctionType):
        return value
    if value in copies:
        return copies[value]
    code, scope = value.__code__, dict(value.__globals__)
    cells = tuple(types.CellType() for _ in code.co_freevars)
    copies[value] = types.FunctionType(code, scope, value.__name__, value.__defaults__, cells)
    copies[value].__kwdefaults__ = value.__kwdefaults__

    def replaced(name: str, old: Any) -> Any:
        return columns[name] if name in columns else _rebind(old, columns, copies)

    for name, cell, old in zip(code.co_freevars, cells, value.__closure__ or ()):
        cell.cell_contents = replaced(name, old.cell_contents)
    for name in _outside_names(code) & (scope.keys() | columns.keys()):
        scope[name] = replaced(name, scope.get(name))
    return copies[value]


def _outside_names(code: types.CodeType) -> set[str]:
    """Names the code, or code inside it, takes from outside."""
    inner = [_outside_names(part) for part in code.co_consts if isinstance(part, types.CodeType)]
    return {*code.co_freevars, *code.co_names}.union(*inner)
