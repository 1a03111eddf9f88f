"""Which tokens count: boolean expressions over the labels of families, as text or in Python.

    wanted = filters.parse("content & ~copy1 & domain=prose")
    wanted = filters.parse("content") & ~filters.parse("copy>=1")
    is_wanted_BT = wanted.select({"content": content_BT, "copy": copy_BT})     # numpy or jax, also inside jit

A label stands for itself where one family alone has it, and as `family=label` anywhere; `family={a, b}` is either of
two, `family!=label` any other. Families whose labels rise take `<`, `<=`, `>=` and `>`, which leave out the tokens that
the question does not concern. Names of `PRESETS` stand for the expressions below: `copy1` is the preset `copy>=1`, a
repetition of any length, and `copy=1` the label 1, one token long. A filter is hashable, equal filters are equal, and
`str` of it, which `parse` reads back, is how it stands in JSON.
"""

import ast
import dataclasses
import functools
import itertools
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hybridlm.categories import registry
from hybridlm.config.errors import ConfigError, nearest, require

PRESETS = {
    "content_no_copy": "content & ~copy1",
    "function_no_copy": "function & ~copy1",
    **{f"copy{length}": f"copy>={length}" for length in range(1, 9)},
    "copy5_only": "copy>=5",
    "recall_first": "recall=first",
    "recall_repeat": "recall=repeat",
    "recall_near": "copy>=5 & copy_distance<=33_128",
    "recall_far": "copy>=5 & copy_distance>=513_2048",
}
"""Name -> expression. `all`, `content_no_copy` and `copy5_only` are the filtered losses of the token-level comparison
of transformers and hybrids (arXiv 2606.20936); recall compares what a repeat and its first occurrence cost."""

_NAME = r"[\w.+#/-]+"
Labels = Mapping[str, Any]
"""Family -> array of label indices, numpy or jax, all of one shape."""


@dataclasses.dataclass(frozen=True)
class Filter:
    """A boolean expression; `&`, `|` and `~` make larger ones."""

    def __and__(self, other: "Filter") -> "Filter":
        return Both(self, other)

    def __or__(self, other: "Filter") -> "Filter":
        return Either(self, other)

    def __invert__(self) -> "Filter":
        return Not(self)

    def select(self, labels: Labels, families: Sequence[Any] | None = None) -> Any:
        """Which tokens it lets through. `families`, or the partitions of tables, are what `labels` counts in."""
        known = families or registry.families()
        return self._select(labels, {family.name: tuple(family.labels or ()) for family in known})


@dataclasses.dataclass(frozen=True)
class All(Filter):
    """Every token."""

    def _select(self, labels: Labels, known: Mapping[str, tuple[str, ...]]) -> Any:
        require(len(labels) > 0, "the filter 'all' was given no labels, so nothing says how many tokens there are.")
        first = next(iter(labels.values()))
        return first == first

    def __str__(self) -> str:
        return "all"


@dataclasses.dataclass(frozen=True)
class OneOf(Filter):
    """Tokens with any of these labels of a family."""

    family: str
    labels: tuple[str, ...]

    def _select(self, labels: Labels, known: Mapping[str, tuple[str, ...]]) -> Any:
        _known(f"family {self.family!r} of the filter", self.family, [name for name in labels if name in known])
        for label in self.labels:
            _known(f"label {label!r} of family {self.family!r}", label, known[self.family])
        wanted = [labels[self.family] == known[self.family].index(label) for label in self.labels]
        return functools.reduce(operator.or_, wanted)

    def __str__(self) -> str:
        is_plain = len(self.labels) == 1 and re.fullmatch(_NAME, self.labels[0])
        return f"{self.family}={self.labels[0] if is_plain else '{' + ', '.join(self.labels) + '}'}"


@dataclasses.dataclass(frozen=True)
class Not(Filter):
    """Tokens that another filter leaves out."""

    inner: Filter

    def _select(self, labels: Labels, known: Mapping[str, tuple[str, ...]]) -> Any:
        return ~self.inner._select(labels, known)

    def __str__(self) -> str:
        return f"~{_enclosed(self.inner)}"


@dataclasses.dataclass(frozen=True)
class Both(Filter):
    """Tokens that both let through."""

    left: Filter
    right: Filter

    def _select(self, labels: Labels, known: Mapping[str, tuple[str, ...]]) -> Any:
        return self.left._select(labels, known) & self.right._select(labels, known)

    def __str__(self) -> str:
        return f"{_enclosed(self.left)} & {_enclosed(self.right)}"


@dataclasses.dataclass(frozen=True)
class Either(Filter):
    """Tokens that one of the two lets through."""

    left: Filter
    right: Filter

    def _select(self, labels: Labels, known: Mapping[str, tuple[str, ...]]) -> Any:
        return self.left._select(labels, known) | self.right._select(labels, known)

    def __str__(self) -> str:
        return f"{_enclosed(self.left)} | {_enclosed(self.right)}"


def _enclosed(inner: Filter) -> str:
    return f"({inner})" if isinstance(inner, Both | Either) else str(inner)


def _known(what: str, name: str, names: Sequence[str]) -> None:
    require(name in names, f"{what} is not known{nearest(name, names) if names else '; there are none'}")


_TERM = re.compile(rf"({_NAME})(?:\s*(!=|<=|>=|=|<|>)\s*(?:({_NAME})|\{{([^{{}}]*)\}}))?")
_COMPARE = {"<": operator.lt, "<=": operator.le, ">=": operator.ge, ">": operator.gt}
_JOIN = {ast.BitAnd: Both, ast.BitOr: Either}


def parse(expression: str, families: Sequence[Any] | None = None) -> Filter:
    """The filter that an expression means; raises ConfigError with the name that was probably meant."""
    known = {family.name: family for family in families or registry.families()}
    terms = [match.groups() for match in _TERM.finditer(expression)]
    # Terms become _0, _1, ...: what is left is Python's own syntax of & | ~ and parentheses.
    numbers = itertools.count()
    skeleton = _TERM.sub(lambda match: f"_{next(numbers)}", expression).strip()
    try:
        return _join(ast.parse(skeleton, mode="eval").body, lambda number: _term(*terms[number], known))
    except (SyntaxError, LookupError) as error:
        raise ConfigError(
            f"the filter {expression!r} cannot be read: it joins terms such as content, copy>=5 or bracket_role=close "
            "by & (both), | (either) and ~ (not), with parentheses where needed."
        ) from error


def _join(node: ast.AST, term: Callable[[int], Filter]) -> Filter:
    match node:
        case ast.Name(id=name):
            return term(int(name[1:]))
        case ast.UnaryOp(op=ast.Invert(), operand=inner):
            return Not(_join(inner, term))
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _JOIN:
            return _JOIN[type(operation)](_join(left, term), _join(right, term))
    raise LookupError(node)


def _term(name: str, sign: str | None, value: str | None, values: str | None, known: Mapping[str, Any]) -> Filter:
    if sign is None:
        return _bare(name, known)
    _known(f"family {name!r} of the filter", name, tuple(known))
    wanted = tuple(label.strip() for label in (value if values is None else values).split(","))
    labels = tuple(known[name].labels or wanted)
    for label in wanted:
        _known(f"label {label!r} of family {name!r}", label, labels)
    if sign in _COMPARE:
        wanted = _beyond(known[name], sign, wanted[0], labels)
    return Not(OneOf(name, wanted)) if sign == "!=" else OneOf(name, wanted)


def _beyond(family: Any, sign: str, label: str, labels: tuple[str, ...]) -> tuple[str, ...]:
    require(
        family.is_ordered,
        f"the labels of family {family.name!r} have no order, so {family.name}{sign}{label} means nothing; name the "
        f"labels: {family.name}={{{', '.join(labels)}}}.",
    )
    found = tuple(other for n, other in enumerate(labels) if n and _COMPARE[sign](n, labels.index(label)))
    require(len(found) > 0, f"no label of family {family.name!r} satisfies {family.name}{sign}{label}.")
    return found


def _bare(name: str, known: Mapping[str, Any]) -> Filter:
    having = [family for family in known if name in (known[family].labels or ())]
    require(
        len(having) < 2,
        f"{name!r} is a label of the families {', '.join(having)}; say which one, as in {(having or [''])[0]}={name}.",
    )
    if having:
        return OneOf(having[0], (name,))
    if name == "all":
        return All()
    if name in PRESETS:
        return parse(PRESETS[name], tuple(known.values()))
    if name in known:
        labels = ", ".join(known[name].labels or ["the names of the domains"])
        raise ConfigError(f"{name!r} is a family, not a label; say {name}=LABEL with one of {labels}.")
    every = {"all", *PRESETS, *(label for family in known.values() for label in family.labels or ())}
    raise ConfigError(f"the filter name {name!r} is neither a label nor a preset{nearest(name, every)}")
