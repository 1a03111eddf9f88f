"""What a reading asks of a model, held against what the model was trained to do."""

from collections.abc import Mapping

from hybridlm.config.errors import require
from hybridlm.config.evaluation import Reading
from hybridlm.config.objective import Objective


def check(where: str, reading: Reading, objectives: Mapping[str, Objective]) -> None:
    """Raises ConfigError where an estimator reveals tokens in a way that no objective of the training masks them.

    A reading of another run's network is held against the objectives of that run, where it is opened.
    """
    if reading.estimator == "objective" or reading.network:
        return
    masked = {name: one for name, one in objectives.items() if one.corruption in ("absorbing", "masked_lm")}
    require(
        bool(masked),
        f"{where} asks a model about masked tokens that never saw one in training: its objectives are "
        f"{', '.join(objectives)}. Left to right, autoregressive() is exact in one pass (--readings=ar).",
    )
    wanted = _group(reading.objective)
    trained = {name: _group(one) for name, one in masked.items()}
    known = " and ".join(f"{group} ({name})" for name, group in trained.items())
    require(
        wanted in trained.values(),
        f"{where} reveals {wanted}, but this model learned to reveal {known}, so the result would be the likelihood of "
        f"a model that nobody trained; name one of these objectives, as in --readings={next(iter(trained))}:"
        f"{reading.estimator}.",
    )


def is_for(reading: Reading, objectives: Mapping[str, Objective]) -> bool:
    """False if no objective of the training shows text the way that this reading does; of another run, who knows."""
    own, trained = reading.objective, objectives.values()
    if reading.network or any(one.builder for one in (own, *trained)):
        return True
    return _sight(own) in map(_sight, trained) or (own.is_autoregressive and any(map(_reads_left_to_right, trained)))


def _sight(objective: Objective) -> tuple[str, str, str, str]:
    """Who sees whom, what became of the input, what is revealed together, and where targets lie; rates may differ."""
    is_masked = objective.corruption in ("absorbing", "all", "masked_lm")
    corruption = "masked" if is_masked else objective.corruption
    return objective.layout, corruption, _group(objective), objective.predicts


def _reads_left_to_right(objective: Objective) -> bool:
    """Does it learn from left to right beside something else: in its clean stream, or behind a prefix of nothing?"""
    starts_empty = bool(objective.prefix) and objective.prefix[0] == 0 and objective.corruption == "none"
    return objective.has_two_losses or starts_empty


def _group(objective: Objective) -> str:
    """What is masked and revealed together, and behind what."""
    behind = " behind text that sees what is to its left alone" if objective.clean_causal else ""
    return f"blocks of {objective.block_size}{behind}" if objective.block_size else "whole documents"
