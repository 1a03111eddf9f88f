"""Why a gap is undecided and what to do about it, in a reader's words."""

from hybridlm.reports.comparison import Comparison
from hybridlm.statistics.equivalence import Why

ADVICE = {
    Why.FEW_GROUPS: "even if all its groups agreed, they would be too few to tell; score text of more split groups.",
    Why.MANY_CATEGORIES: "alone it would be decided, but chance gets as far somewhere in so many categories; score "
    "more groups, or declare fewer families (--families) before you look.",
    Why.WIDE: "its groups disagree too much for a gap of this size; score more groups. How large a gap would have been "
    "seen stands beside it, as detectable, on the page and in the files.",
}


def reasons(found: Comparison) -> dict[str, str]:
    """The reasons that occur, with what to do about each."""
    there = {row.why for row in found.rows}
    return {why.value: advice for why, advice in ADVICE.items() if why.value in there}
