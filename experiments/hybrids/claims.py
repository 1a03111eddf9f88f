"""What the two articles claim, as contrasts between readings that can come out either way.

A contrast is the mean gap of one reading against another (nats per token, positive where the first is better) on some
tokens, or that gap less the gap on other tokens, or less another pair's. judging.py has the rule.
"""

import dataclasses

AR, EARLIER = "ar@ar", "ar/earlier@ar"
SHARED, CHAIN = "shared@ar", "shared@chain"
AVERAGE = "shared@ar+chain"
"""The even mixture of two readings of one run, which follows from their nats."""
COMBINED = "shared/test"
"""Where the other combinations of the two are scored."""
RARE, COMMON = "frequency_mass=rarest_quarter", "frequency_mass=most_frequent_quarter"
SEEDS = {AR: ("ar_seed1@ar", "ar_seed2@ar"), SHARED: ("shared_seed1@ar", "shared_seed2@ar")}
NOTHING = "nothing"
"""The baseline of a share, which is no cost: its contrast is the share itself, and it has no placebo."""
TRAINING = {AR: EARLIER}
"""Of a baseline: readings that differ from it in seed alone, and in the length of training alone."""


def _system(name: str) -> str:
    return f"{COMBINED}@{name}"


@dataclasses.dataclass(frozen=True)
class Claim:
    """One line of an article.

    Attributes:
      says: the line, in our words. article: 1 or 2. claimed: the figure it gives, or "".
      better, than: readings, `run@reading`, or `run@a+b`; the gap is what the first saves against the second.
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
        Claim(f"{name} helps rare tokens against plain averaging", 2, _system(system), AVERAGE, RARE)
        for name, system in {
            "a gate by expected frequency": "frequency_gate",
            "a learned gate": "learned_gate",
            "a switch per token": "token_adaptive",
        }.items()
    ),
    *(
        Claim(f"{name} helps rare tokens against the AR mode", 2, reading, SHARED, RARE, claimed=claimed)
        for name, reading, claimed in (
            ("averaging with diffusion", AVERAGE, ""),
            ("a confidence-gated refiner", _system("refiner"), "bias halved"),
            ("a switch per token", _system("token_adaptive"), "bias gone"),
            ("calibration by band", _system("calibrated_ar"), "gap - 60 %"),
        )
    ),
    Claim(
        "averaging with diffusion costs rare names of code more than common ones",
        2,
        AVERAGE,
        SHARED,
        f"code=name & {RARE}",
        f"code=name & {COMMON}",
        sign=-1,
    ),
)
