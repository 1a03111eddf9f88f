"""What a per-token number means. Kinds are never averaged together, and a report names the kind of every column."""

import enum


class ScoreKind(enum.IntEnum):
    """How a per-token value in nats may be read."""

    EXACT = 0
    """-log p by the chain rule, or an exact marginal: sums are likelihoods of the text."""
    BOUND = 1
    """An upper bound of -log p of a whole sequence; it says nothing of one token."""
    SHARE = 2
    """One token's part of a bound: only the sum over the sequence is a bound, and shares move cost between tokens."""
    PSEUDO = 3
    """Leave-one-out: -log p(token | all others). Sums are not a likelihood (Salazar et al. 2020)."""
    CONDITIONAL = 4
    """The prediction saw context to the right of its token."""

    @property
    def label(self) -> str:
        return self.name.lower()
