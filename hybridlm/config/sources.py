"""Sources of text by name, the shares in which they mix, and what is done with documents that are not in order."""

import dataclasses
import decimal

from hybridlm.config.errors import nearest, require

MOST_DECIMALS = 4
"""Of a share, so that shares come out exactly within every 10,000 rows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Text from one place, with what is to be known of it.

    Attributes:
      path: a file (.txt, .jsonl, either also .zst; .parquet), a directory or glob of them, tokens (a directory with
        tokens.json), a dataset of TFDS (`tfds:name/config:version@data_dir`, or its directory), a Task or Mixture of
        seqio (`seqio:module:name`), or "embedded".
      name: how shares and reports call it; "" is the path. licence: a note for the manifest.
      language: of documents that name none themselves; "" derives it from file names.
      validation, test: shares of its split groups held out; None takes those of the data.
      max_epochs: a training run that would read its rows more often is refused; 0 allows any number.
    """

    path: str
    name: str = ""
    language: str = ""
    licence: str = ""
    validation: float | None = None
    test: float | None = None
    max_epochs: float = 0.0

    def __post_init__(self):
        require(bool(self.path), "a source of data.sources has no path; name a file, a directory, or 'embedded'.")
        require(
            self.max_epochs >= 0,
            f"data.sources: max_epochs={self.max_epochs} of {self.path!r} must not be negative; 0 allows any number.",
        )

    @property
    def called(self) -> str:
        """Its name in shares, reports and the manifest."""
        return self.name or self.path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixing:
    """Shares that hold from a training step on.

    Attributes:
      shares: of rows, by the name of their source; they sum to 1. from_step: the first step they hold for.
      rare_power: inside a source, rows are read in proportion to exp(rare_power · the mean -log frequency of their
        tokens), so that more than 0 reads rows of rare tokens more often; 0 reads all alike.
      rare_cap: the most often that a row is then read, where the mean row of its source is read once.
    """

    shares: dict[str, float]
    from_step: int = 0
    rare_power: float = 0.0
    rare_cap: float = 4.0

    def __post_init__(self):
        exact = {name: decimal.Decimal(repr(share)) for name, share in self.shares.items()}
        for name, share in exact.items():
            require(
                0 <= share <= 1 and share == round(share, MOST_DECIMALS),
                f"data.mixing: the share {share} of {name!r} must lie between 0 and 1 and have at most {MOST_DECIMALS} "
                "decimals, so that it can be kept exactly; round it.",
            )
        total = sum(exact.values())
        require(
            total == 1,
            f"data.mixing: the shares from step {self.from_step} on sum to {total}, not 1: {self.shares}. Divide each "
            "by their sum, and round so that they add up.",
        )
        require(self.from_step >= 0, f"data.mixing: from_step={self.from_step} must not be negative.")
        require(
            self.rare_cap > 1,
            f"data.mixing: rare_cap={self.rare_cap} must be above 1, since the mean row is read once; it is how often "
            "the rarest may be.",
        )

    def check_names(self, names: tuple[str, ...]) -> None:
        """Raises ConfigError unless the shares name every source and nothing else."""
        for name in self.shares:
            require(name in names, f"data.mixing names {name!r}, which no source is called{nearest(name, names)}")
        missing = [name for name in names if name not in self.shares]
        require(
            not missing,
            f"data.mixing from step {self.from_step} on gives no share to {', '.join(map(repr, missing))}; give one to "
            "every source, 0 where it is to wait.",
        )


DROP, KEEP, FAIL = "drop", "keep", "fail"

POLICIES = {
    "empty": (DROP, FAIL),
    "not_utf8": (DROP, FAIL),
    "nul": (DROP, KEEP, FAIL),
    "over_long": (DROP, KEEP, FAIL),
    "unknown_ids": (DROP, FAIL),
    "duplicate": (DROP, KEEP, FAIL),
    "seen": (DROP, KEEP, FAIL),
}
"""Finding -> what may be done about it; what cannot become a row cannot be kept."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """What is done with documents that are not as they should be: "drop" counts and names them, "fail" stops.

    Attributes:
      empty: no text, or only white space. not_utf8: bytes that are no UTF-8. nul: text with NUL bytes.
      over_long: more than `longest` bytes of UTF-8 (0 is no limit); what is kept is cut into rows without loss.
      unknown_ids: ids outside the vocabulary, or special ones, in data that comes as tokens.
      duplicate: another document has the same text. The first in training stays, or the first where there is none.
      seen: a held-out document more than half of whose longer lines stand in training. These two are counted and named
        in any case.
    """

    empty: str = DROP
    not_utf8: str = DROP
    nul: str = DROP
    over_long: str = KEEP
    longest: int = 0
    unknown_ids: str = FAIL
    duplicate: str = DROP
    seen: str = KEEP

    def __post_init__(self):
        for finding, allowed in POLICIES.items():
            value = getattr(self, finding)
            require(
                value in allowed,
                f"data.audit.{finding}={value!r} must be one of {', '.join(map(repr, allowed))}"
                f"{'' if KEEP in allowed else ': such a document cannot become a row'}.",
            )
        require(self.longest >= 0, f"data.audit.longest={self.longest} must not be negative; 0 is no limit.")
