"""How much more some tokens count in training, and how that changes over the run; scores never see it."""

import dataclasses

from hybridlm.config.errors import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenWeight:
    """The loss of some targets times `factor`, times (1 / frequency)^`power`, all of it to the power `strength`.

    With `strength` the same at both ends the weight is constant; a curriculum moves it from the first value to the
    second, `strength=(0.0, 1.0)` from even weights to these, `(1.0, 0.0)` back, evenly between two points of the run.

    Attributes:
      tokens: which targets: a filter over labels, as in training.filters.
      factor: of their loss. power: of their inverse frequency in the training text.
      strength: at the beginning and at the end. between: from which share of all steps to which it changes.
    """

    tokens: str = "all"
    factor: float = 1.0
    power: float = 0.0
    strength: tuple[float, ...] = (1.0, 1.0)
    between: tuple[float, ...] = (0.0, 1.0)

    def __post_init__(self):
        where = f"training.token_weights: the weight of {self.tokens!r}"
        require(
            len(self.strength) == len(self.between) == 2,
            f"{where} has strength={self.strength} and between={self.between}; each is a pair, first and last.",
        )
        require(
            0 <= self.between[0] < self.between[1] <= 1,
            f"{where} changes between={self.between}, which must be two rising shares of the run, from 0 to 1.",
        )
        require(
            self.factor > 0,
            f"{where} has factor={self.factor}; it must be positive, because a loss of weight 0 is not computed and "
            "the reported mean would lack it. A small one such as 0.01 comes to the same.",
        )
        require(
            (self.factor, self.power) != (1, 0) and any(self.strength),
            f"{where} changes nothing: factor={self.factor}, power={self.power}, strength={self.strength}. Set a "
            "factor or a power, or leave it out.",
        )
