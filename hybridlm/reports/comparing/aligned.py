"""Several readings of one text, laid side by side: row by row where tokenizers agree, and by bytes where they do not.

The rows are always the baseline's tokens, with its labels. Across tokenizers, the cost of each segment that all cut out
whole is spread over them by bytes, under every reading alike (`segments`), and bytes are counted in place of tokens.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from hybridlm.config.errors import ConfigError, require
from hybridlm.facts.kinds import ScoreKind
from hybridlm.reports.comparing import segments
from hybridlm.reports.token_file import Family, Reading
from hybridlm.reports.tokens import Tokens


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """One reading of one token file, under the name it has in the report."""

    name: str
    tokens: Tokens
    reading: str

    @property
    def facts(self) -> Reading:
        """What its scores mean."""
        return self.tokens.header.readings[self.reading]

    @property
    def kind(self) -> ScoreKind:
        return ScoreKind[self.facts.kind.upper()]

    @property
    def score_T(self) -> Float[np.ndarray, "T"]:
        return self.tokens.columns[f"score/{self.reading}"]

    @property
    def spans(self) -> segments.Spans:
        """Where its tokens lie when all documents are laid in a row."""
        tokens = self.tokens
        begin_T = tokens.begin_D[tokens.document_T]
        return begin_T + tokens.byte_start_T, begin_T + tokens.byte_end_T

    def values(self, what: str) -> np.ndarray | None:
        """An optional column of this reading."""
        return self.tokens.columns.get(f"{what}/{self.reading}")


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Aligned:
    """Attributes:
    sources: the baseline first. unit: "token" or "byte".
    rows: by source, which of its tokens stand in each row; across tokenizers for the baseline alone.
    cost: by source, what each row costs, in nats. count_T: tokens or bytes of each row.
    families, label: by family, what it is, and the label of each row.
    """

    sources: tuple[Source, ...]
    unit: str
    rows: Mapping[str, Int[np.ndarray, "T"]]
    cost: Mapping[str, Float[np.ndarray, "T"]]
    count_T: np.ndarray
    families: Mapping[str, Family]
    label: Mapping[str, Int[np.ndarray, "T"]]

    @property
    def baseline(self) -> Source:
        return self.sources[0]

    @property
    def row_T(self) -> Int[np.ndarray, "T"]:
        """The baseline's tokens."""
        return self.rows[self.baseline.name]

    @functools.cached_property
    def document_T(self) -> Int[np.ndarray, "T"]:
        return self.baseline.tokens.document_T[self.row_T]

    @functools.cached_property
    def cluster_T(self) -> Int[np.ndarray, "T"]:
        return self.baseline.tokens.group_D[self.document_T]

    @functools.cached_property
    def data(self) -> str:
        """Hash of what is compared: document ids, texts, and the byte spans of the rows."""
        tokens, digest = self.baseline.tokens, hashlib.sha256()
        digest.update(f"{tokens.header.data} {self.unit}".encode())
        for array in (tokens.document_T, tokens.byte_start_T, tokens.byte_end_T):
            digest.update(array[self.row_T].astype(np.int64).tobytes())
        return digest.hexdigest()

    def kept(self, is_kept_T: Bool[np.ndarray, "T"]) -> "Aligned":
        """These rows alone."""
        return dataclasses.replace(
            self,
            rows={name: row_T[is_kept_T] for name, row_T in self.rows.items()},
            cost={name: cost_T[is_kept_T] for name, cost_T in self.cost.items()},
            count_T=self.count_T[is_kept_T],
            label={name: label_T[is_kept_T] for name, label_T in self.label.items()},
        )


def align(sources: Sequence[Source]) -> Aligned:
    """Lays readings of one text and kind, as `asked` checks, side by side; only what every reading scored is kept.

    Raises where their groups, or the places of their tokens, differ.
    """
    base, *others = sources
    for other in others:
        _check_groups(base, other)
    if all(_has_equal_rows(base, other) for other in others):
        every_T = np.arange(len(base.tokens))
        found = _by_token(sources, {source.name: every_T for source in sources})
    elif all(other.tokens.header.tokenizer == base.tokens.header.tokenizer for other in others):
        found = _by_token(sources, _joined(sources))
    else:
        found = _by_byte(sources)
    require(
        len(found.row_T) > 0,
        f"no token of {base.name!r} was scored by all of {', '.join(source.name for source in others)}.",
    )
    return found


def _check_groups(base: Source, other: Source) -> None:
    ours, theirs = base.tokens, other.tokens
    require(
        ours.groups == theirs.groups and np.array_equal(ours.group_D, theirs.group_D),
        f"{base.name!r} and {other.name!r} group the same documents differently, so they have no clusters in common; "
        "write the same `group` for both.",
    )


def _has_equal_rows(base: Source, other: Source) -> bool:
    names = ("document_T", "position_T", "byte_start_T", "byte_end_T")
    return all(np.array_equal(getattr(base.tokens, name), getattr(other.tokens, name)) for name in names)


def _joined(sources: Sequence[Source]) -> dict[str, np.ndarray]:
    """The tokens that all files have, by document and position, which must have the same bytes in each."""
    keys = {s.name: s.tokens.document_T.astype(np.int64) << 32 | s.tokens.position_T for s in sources}
    common = functools.reduce(lambda a, b: np.intersect1d(a, b, assume_unique=True), keys.values())
    rows = {name: np.searchsorted(key_T, common) for name, key_T in keys.items()}
    base, *others = sources
    for other in others:
        for edge in ("byte_start_T", "byte_end_T"):
            ours, theirs = (getattr(s.tokens, edge)[rows[s.name]] for s in (base, other))
            bad = np.flatnonzero(ours != theirs)
            if bad.size:
                n = rows[base.name][bad[0]]
                raise ConfigError(
                    f"{base.name!r} and {other.name!r} name the same tokenizer, but position "
                    f"{base.tokens.position_T[n]} of document {base.tokens.documents[base.tokens.document_T[n]]!r} is "
                    "at other bytes in each; count positions from the first token of text in both, or name the "
                    "tokenizers apart."
                )
    return rows


def _by_token(sources: Sequence[Source], rows: Mapping[str, np.ndarray]) -> Aligned:
    is_scored_T = functools.reduce(np.logical_and, (np.isfinite(s.score_T[rows[s.name]]) for s in sources))
    rows = {name: row_T[is_scored_T] for name, row_T in rows.items()}
    families, label = {}, {}
    for source in sources:
        for name, family in source.tokens.header.families.items():
            if name not in families and f"label/{name}" in source.tokens.labels:
                families[name], label[name] = family, source.tokens.labels[f"label/{name}"][rows[source.name]]
    return Aligned(
        sources=tuple(sources),
        unit="token",
        rows=rows,
        cost={source.name: source.score_T[rows[source.name]] for source in sources},
        count_T=np.ones(int(is_scored_T.sum())),
        families=families,
        label=label,
    )


def _by_byte(sources: Sequence[Source]) -> Aligned:
    cuts_K = segments.common_cuts([source.spans for source in sources])
    base = sources[0]
    start_T, end_T = base.spans
    cost_K = {source.name: segments.costs(source.spans, source.score_T, cuts_K) for source in sources}
    is_common_K = functools.reduce(np.logical_and, map(np.isfinite, cost_K.values()))
    segment_T = segments.segment_of(start_T, cuts_K)
    row_T = np.flatnonzero((end_T > start_T) & (segment_T >= 0) & is_common_K[segment_T])
    spans = start_T[row_T], end_T[row_T]
    labels = {name: base.tokens.labels.get(f"label/{name}") for name in base.tokens.header.families}
    return Aligned(
        sources=tuple(sources),
        unit="byte",
        rows={base.name: row_T},
        cost={name: segments.spread(spans, cost, cuts_K) for name, cost in cost_K.items()},
        count_T=(spans[1] - spans[0]).astype(np.float64),
        families={name: base.tokens.header.families[name] for name, label_T in labels.items() if label_T is not None},
        label={name: label_T[row_T] for name, label_T in labels.items() if label_T is not None},
    )
