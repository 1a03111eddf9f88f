"""What the two articles claim, as contrasts that can come out either way, and what came out.

A contrast is the mean gap of one reading against another (nats per token, positive where the first is better) on some
tokens, or that gap less the gap on other tokens, or less another pair's. It is drawn again over split groups, all
readings together. The rule, fixed before any run was read: a claim is contradicted where the interval leaves no room
for an effect in its direction of more than the margin; confirmed where the whole interval lies beyond the margin and
beyond every placebo; undecided otherwise. Placebos are the same contrast between seeds, and between plain
autoregression and its own earlier checkpoint of the hybrid's average.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from hybridlm.categories import filters
from hybridlm.reports.comparing.sums import Named
from hybridlm.reports.tokens import Tokens

DRAWS = 2000
LEVEL = (2.5, 97.5)
AR, EARLIER = "ar@ar", "ar/earlier@ar"
SHARED, CHAIN = "shared/test@ar", "shared/test@chain"
RARE, COMMON = "frequency_mass=rarest_quarter", "frequency_mass=most_frequent_quarter"
SEEDS = {AR: ("ar_seed1@ar", "ar_seed2@ar"), SHARED: ("shared_seed1@ar", "shared_seed2@ar")}
NOTHING = "nothing"
"""The baseline of a share, which is no cost: its contrast is the share itself, and it has no placebo."""
TRAINING = {AR: EARLIER}
"""Of a baseline: readings that differ from it in seed alone, and in the length of training alone."""


def _system(name: str) -> str:
    return f"shared/test@{name}"


@dataclasses.dataclass(frozen=True)
class Claim:
    """One line of an article.

    Attributes:
      says: the line, in our words. article: 1 or 2. claimed: the figure it gives, or "".
      better, than: readings, `run@reading`; the gap is what the first saves against the second.
      where: a filter; less: another, whose gap is subtracted, or "". base: a pair whose contrast is subtracted, or ().
      sign: +1 if the article says that the contrast is positive, -1 if negative.
    """

    says: str
    article: int
    better: str
    than: str
    where: str
    less: str = ""
    base: tuple[str, ...] = ()
    sign: int = 1
    claimed: str = ""

    def __post_init__(self):
        assert self.sign in (-1, 1) and len(self.base) in (0, 2)

    @property
    def readings(self) -> tuple[str, ...]:
        """All it looks at."""
        return self.better, self.than, *self.base


NUMBERS, BRACKETS = "number_kind!=none", "bracket_role={open, close}"
STRUCTURE = {
    "numbers": (NUMBERS, "12 % lower perplexity"),
    "punctuation": ("character_type=punctuation", "18 %"),
    "brackets": (BRACKETS, "18 %"),
    "code": ("code!=not_code", "10 %"),
    "common words": (COMMON, "2 to 3 %"),
}
HYBRIDS = {
    "causal and masked rows (GPT-BERT)": "gpt_bert@ar",
    "prefixes": "prefix@ar",
    "AR + diffusion in one network": SHARED,
}
SPARED = {
    "AR + diffusion in one network": SHARED,
    "its diffusion mode (chain)": CHAIN,
    "block diffusion 4 (chain)": "bd4@chain",
    "block diffusion 16 (chain)": "bd16@chain",
}

CLAIMS: tuple[Claim, ...] = (
    *(
        Claim(f"a hybrid is better at {what}: {name}", 1, reading, AR, where, claimed=claimed)
        for name, reading in HYBRIDS.items()
        for what, (where, claimed) in STRUCTURE.items()
    ),
    *(
        Claim(f"a hybrid gains more on {what} than on common words: {name}", 1, reading, AR, STRUCTURE[what][0], COMMON)
        for name, reading in HYBRIDS.items()
        for what in ("numbers", "brackets")
    ),
    *(
        Claim(f"diffusion costs rare tokens more than common ones: {name}", 2, reading, AR, RARE, COMMON, sign=-1)
        for name, reading in SPARED.items()
    ),
    Claim(
        "one shared network is worse on terms of a domain than on plain words",
        2,
        SHARED,
        AR,
        "domain_term=own_term",
        "domain_term=plain",
        sign=-1,
        claimed="30 % more errors",
    ),
    *(
        Claim(f"the AR side dominates common tokens: share under {name}", 2, f"share@{system}", NOTHING, COMMON, RARE)
        for name, system in {"a learned gate": "learned_gate", "a switch per token": "token_adaptive"}.items()
    ),
    Claim("up-weighting rare tokens helps them", 1, "ar_up_weighted@ar", AR, RARE),
    Claim("a frequency curriculum helps rare tokens", 2, "ar_curriculum@ar", AR, RARE, claimed="solves it"),
    Claim("balanced data help rare tokens", 2, "ar_balanced@ar", AR, RARE, claimed="30 %"),
    Claim(
        "balanced data take away what diffusion costs rare tokens",
        2,
        "shared_balanced@ar",
        "ar_balanced@ar",
        RARE,
        COMMON,
        base=(SHARED, AR),
    ),
    *(
        Claim(f"{name} helps rare tokens against plain averaging", 2, _system(system), _system("average"), RARE)
        for name, system in {
            "a gate by expected frequency": "frequency_gate",
            "a learned gate": "learned_gate",
            "a switch per token": "token_adaptive",
        }.items()
    ),
    *(
        Claim(f"{name} helps rare tokens against the AR mode", 2, _system(system), SHARED, RARE, claimed=claimed)
        for name, system, claimed in (
            ("averaging with diffusion", "average", ""),
            ("a confidence-gated refiner", "refiner", "bias halved"),
            ("a switch per token", "token_adaptive", "bias gone"),
            ("calibration by band", "calibrated_ar", "gap - 60 %"),
        )
    ),
    Claim(
        "averaging with diffusion costs rare names of code more than common ones",
        2,
        _system("average"),
        SHARED,
        f"code=name & {RARE}",
        f"code=name & {COMMON}",
        sign=-1,
    ),
)


@dataclasses.dataclass(frozen=True)
class Found:
    """Attributes: value, low, high: of the contrast, nats. placebos: name -> the same contrast. verdict: see above."""

    value: float
    low: float
    high: float
    tokens: int
    groups: int
    placebos: Mapping[str, float]
    verdict: str


def verdict(sign: int, low: float, high: float, placebos: Sequence[float], margin: float) -> str:
    """The rule."""
    low, high = sorted((sign * low, sign * high))
    if high < margin:
        return "contradicted"
    reach = max((margin, *(sign * placebo for placebo in placebos)))
    return "confirmed" if low > reach else "undecided"


class Judge:
    """Holds the token scores of all readings on one text.

    `score_R` maps `run@reading` to nats per token [T]; all runs must have scored the same tokens.
    """

    def __init__(self, tokens: Tokens, score_R: Mapping[str, np.ndarray], margin: float, seed: int = 0):
        self._tokens, self._score_R, self._margin = tokens, score_R, margin
        self._group_T = tokens.group_D[tokens.document_T]
        groups = len(tokens.groups)
        draws = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), DRAWS)
        self._drawn_RG = np.concatenate([np.ones((1, groups)), draws])

    @property
    def size(self) -> tuple[int, int]:
        """Tokens and groups."""
        return len(self._tokens), len(self._tokens.groups)

    def judge(self, claim: Claim) -> Found:
        """The contrast, its interval, its placebos and the verdict."""
        is_there_T = np.logical_and.reduce([np.isfinite(self._score_R[name]) for name in claim.readings])
        sets = [self._where(text) & is_there_T for text in (claim.where, claim.less) if text]
        contrast = self._contrast(claim.better, claim.than, sets)
        if claim.base:
            contrast = contrast - self._contrast(*claim.base, sets)
        value, (low, high) = contrast[0], np.percentile(contrast[1:], LEVEL)
        has_placebo = not claim.base and claim.than != NOTHING
        placebos = self._placebos(claim.than, sets) if has_placebo else {}
        return Found(
            value=float(value),
            low=float(low),
            high=float(high),
            tokens=int(sets[0].sum()),
            groups=len(np.unique(self._group_T[sets[0]])),
            placebos=placebos,
            verdict=verdict(claim.sign, low, high, list(placebos.values()), self._margin),
        )

    def gap(self, better: str, than: str) -> np.ndarray:
        """Mean gap over all tokens: of all groups, then of each draw."""
        return self._contrast(better, than, [np.isfinite(self._score_R[better]) & np.isfinite(self._score_R[than])])

    def _where(self, text: str) -> np.ndarray:
        named = [Named(name, family.labels, family.is_ordered) for name, family in self._tokens.header.families.items()]
        labels = {name.removeprefix("label/"): codes for name, codes in self._tokens.labels.items() if "label/" in name}
        return filters.parse(text, named).select(labels, named)

    def _contrast(self, better: str, than: str, sets: Sequence[np.ndarray]) -> np.ndarray:
        """Of all groups, then of each draw: the mean gap of the first set less that of the second, if any."""
        gap_T = np.nan_to_num(self._score_R[than] - self._score_R[better])
        groups = len(self._tokens.groups)

        def mean(is_in_T):
            total_G, count_G = (
                np.bincount(self._group_T[is_in_T], x_T[is_in_T], groups) for x_T in (gap_T, np.ones(len(gap_T)))
            )
            return (self._drawn_RG @ total_G) / np.maximum(self._drawn_RG @ count_G, 1)

        means = [mean(is_in_T) for is_in_T in sets]
        return means[0] - means[1] if len(means) > 1 else means[0]

    def _placebos(self, baseline: str, sets: Sequence[np.ndarray]) -> dict[str, float]:
        """The contrast between readings that differ in seed alone, either way round, and in training alone."""
        home = baseline if baseline in SEEDS else SHARED
        found = {}
        for other in SEEDS[home]:
            size = abs(float(self._contrast(other, home, sets)[0]))
            found |= {f"{other} +": size, f"{other} -": -size}
        if home in TRAINING:
            found[TRAINING[home]] = float(self._contrast(TRAINING[home], home, sets)[0])
        return found


def left_out(inside: Judge, outside: Judge, margin: float) -> Found:
    """What one shared network loses to autoregression in a domain left out, less what it loses where it was trained."""
    pair = SHARED, AR
    inside_R, outside_R = inside.gap(*pair), outside.gap("shared/left_out@ar", "ar/left_out@ar")
    shift_R = outside_R - inside_R
    low, high = np.percentile(shift_R[1:], LEVEL)
    tokens, groups = outside.size
    found = verdict(-1, low, high, (), margin)
    return Found(float(shift_R[0]), float(low), float(high), tokens, groups, {}, found)


def table(found: Mapping[Claim, Found]) -> str:
    """Markdown: one line per claim."""
    head = "| article | claim | claimed | nats saved (95 %) | placebos reach | tokens (groups) | verdict |"

    def line(claim: Claim, one: Found) -> str:
        reach = max((claim.sign * value for value in one.placebos.values()), default=None)
        told = "none" if reach is None else f"{claim.sign * reach:+.3f}"
        return (
            f"| {claim.article} | {claim.says} | {claim.claimed or '-'} | {one.value:+.3f} ({one.low:+.3f} to "
            f"{one.high:+.3f}) | {told} | {one.tokens:,} ({one.groups:,}) | **{one.verdict}** |"
        )

    return "\n".join([head, "|" + "---|" * 7, *(line(claim, one) for claim, one in found.items())])
