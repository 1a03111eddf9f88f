"""How two predictions of a token become one, as data: a rule, a gate for the first one's share, and a calibration.

The functions below give the named systems; `hybridlm.combine` turns a record into one normalised distribution.
"""

import dataclasses
import math
import re

from hybridlm.config.errors import one_of, require

RULES = ("linear", "log_linear")
GATES = ("constant", "confidence", "entropy", "expected_frequency", "learned", "least_entropy", "refine")
FEATURES = ("entropy_a", "entropy_b", "confidence_a", "confidence_b", "log_frequency_a", "log_frequency_b")
"""What a gate may read: of the first (a) and the second (b) prediction its entropy, the probability of its likeliest
token, and the log frequency it expects; nothing of the token that comes."""
READS_GOLD = ("oracle", "gold", "target", "frequency", "target_frequency", "loss", "nll", "accuracy", "correct", "rank")
"""Names under which people ask for a gate that knows the answer."""
_USED_BY = {"share": ("constant", "refine"), "threshold": ("expected_frequency", "refine")}
_USED_BY |= {"sharpness": ("confidence", "entropy", "expected_frequency"), "weights": ("learned",)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """p'(v) ∝ p(v)^slope · e^offset / prior(v)^adjustment, with a slope and an offset for each band of ids.

    Attributes:
      adjustment: tau of logit adjustment; 0 leaves p as it is, 1 takes the training frequencies out.
      bands: the family of categories, by vocabulary id, whose labels are the bands; "" for none.
      slopes, offsets: of every band, in the order of the family's labels; () before they are fitted.
    """

    adjustment: float = 0.0
    bands: str = ""
    slopes: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()

    def __post_init__(self):
        require(
            math.isfinite(self.adjustment),
            f"calibration.adjustment={self.adjustment} must be finite; common values lie between 0 and 1.",
        )
        require(
            len(self.slopes) == len(self.offsets),
            f"calibration has {len(self.slopes)} slopes and {len(self.offsets)} offsets; give one of each per band.",
        )
        require(
            all(slope > 0 for slope in self.slopes),
            f"calibration.slopes={self.slopes} must be positive, since others would turn the order of a band's ids.",
        )
        require(
            bool(self.bands) or not self.slopes,
            "calibration.slopes are given per band, and calibration.bands names no family of them; set for example "
            "bands='frequency_mass'.",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Combination:
    """Two predictions of every token as one.

    Attributes:
      experts: names of two readings, the first (a) and the second (b).
      rule: "linear" averages probabilities, "log_linear" averages their logarithms and normalises.
      gate: what sets the share g of the first expert: "constant"; "confidence", "entropy" and "expected_frequency",
        each a logistic of what the predictions themselves say; "learned", a logistic of all FEATURES; "least_entropy",
        the surer expert alone; "refine", the first alone where it is sure enough; or "package.module:function", a
        user's own function from `combine.context.Context` to shares.
      share: g of "constant", and of "refine" below its threshold: 0 replaces the first expert there.
      sharpness: slope of the logistic gates. threshold: the expected log frequency at which g = 1/2, or the confidence
        from which "refine" keeps the first expert.
      weights: bias and weight of every feature of "learned", of features as they are; () before they are fitted.
      calibration: of the combined prediction.
    """

    experts: tuple[str, ...] = ("ar", "block_chain")
    rule: str = "linear"
    gate: str = "constant"
    share: float = 0.5
    sharpness: float = 1.0
    threshold: float = 0.0
    weights: tuple[float, ...] = ()
    calibration: Calibration = Calibration()

    def __post_init__(self):
        require(
            len(self.experts) == 2 and len(set(self.experts)) == 2,
            f"combination.experts={self.experts} must name two different readings; with one alone there is nothing to "
            "combine.",
        )
        one_of("combination.rule", self.rule, RULES)
        self._check_gate()
        self._check_unused()
        require(0 <= self.share <= 1, f"combination.share={self.share} must lie between 0 and 1; it is a probability.")
        require(
            self.sharpness > 0,
            f"combination.sharpness={self.sharpness} must be positive; to turn the preference round, name the experts "
            "the other way round.",
        )
        require(
            self.gate != "refine" or 0 < self.threshold <= 1,
            f"combination.threshold={self.threshold} is the confidence from which the first expert is kept, so it must "
            "lie in (0, 1]; at 0 nothing would ever be refined.",
        )
        require(
            len(self.weights) in (0, 1 + len(FEATURES)),
            f"combination.weights has {len(self.weights)} numbers and must have {1 + len(FEATURES)}: a bias, and the "
            f"weights of {', '.join(FEATURES)}; leave it empty to fit them.",
        )

    def _check_gate(self):
        require(
            self.gate not in READS_GOLD,
            f"combination.gate={self.gate!r} would read the token that is to be predicted, so shares would depend on "
            "the answer and probabilities would not sum to 1. Use 'expected_frequency', 'least_entropy' or 'learned', "
            "which read the predictions alone; the best any switch could do is combine.oracle.oracle_switch, no model.",
        )
        if not re.fullmatch(r"[\w.]+:\w+", self.gate):
            one_of("combination.gate", self.gate, GATES)

    def _check_unused(self):
        default = {field.name: field.default for field in dataclasses.fields(self)}
        for name, gates in _USED_BY.items():
            require(
                self.gate in gates or getattr(self, name) == default[name],
                f"combination.{name}={getattr(self, name)} goes with gate={' or '.join(map(repr, gates))}, and gate "
                f"{self.gate!r} does not read it; leave it out, or choose such a gate.",
            )


def average(share: float = 0.5, **changes) -> Combination:
    """g p_a + (1 - g) p_b with one g for all tokens: the linear opinion pool (Stone 1961)."""
    return Combination(share=share, **changes)


def product(share: float = 0.5, **changes) -> Combination:
    """p_a^g p_b^(1-g), renormalised: a product of experts (Hinton 2002; APD, 2506.00413)."""
    return Combination(**{"rule": "log_linear", "share": share, **changes})


def frequency_gate(threshold: float, sharpness: float = 1.0, **changes) -> Combination:
    """The first expert where it expects common tokens, E_p[log frequency] above the threshold in nats."""
    return Combination(gate="expected_frequency", threshold=threshold, sharpness=sharpness, **changes)


def learned_gate(weights: tuple[float, ...] = (), **changes) -> Combination:
    """A mixture of experts with a logistic gate (Jacobs et al. 1991), fitted on held-out text."""
    return Combination(gate="learned", weights=weights, **changes)


def token_adaptive(**changes) -> Combination:
    """Each token by the expert of the lower entropy alone."""
    return Combination(gate="least_entropy", **changes)


def refiner(threshold: float, share: float = 0.0, **changes) -> Combination:
    """The first prediction where its confidence reaches the threshold, elsewhere the second, or a mixture of both."""
    return Combination(gate="refine", threshold=threshold, share=share, **changes)
