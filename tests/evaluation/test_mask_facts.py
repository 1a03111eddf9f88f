"""A mask over facts that no row will have is refused before any row is made."""

import dataclasses

import pytest

from hybridlm import masks
from hybridlm.config.data import DataConfig
from hybridlm.config.errors import ConfigError
from hybridlm.config.experiment import Experiment
from hybridlm.evaluation import mask_facts


def reading(fact, **data):
    mask = masks.causal() & masks.custom(lambda q, k: getattr(k, fact) > 0)
    return Experiment(name="mine", mask=mask, data=DataConfig(**data))


@pytest.mark.parametrize(
    ("experiment", "hint"),
    [
        (reading("postion"), "did you mean 'position'?"),
        (reading("words_band"), "did you mean 'word_band'?"),
        (
            reading("bracket_depth"),
            "known are block, document, group, index, language, position, prefix_length, segment, stream, valid, "
            "word_band",
        ),
    ],
)
def test_a_fact_of_no_column_is_refused(experiment, hint):
    (name,) = set(experiment.mask.facts) - {"index"}
    with pytest.raises(ConfigError) as refused:
        mask_facts.check(experiment)
    assert str(refused.value) == (
        f"the mask reads {name!r}, and rows made by this config will have no such column; a family of labels is one "
        f"once data.labels names it (docs/masks.md); {hint}"
    )


def test_what_rows_may_have_is_left_alone():
    mask_facts.check(reading("bracket_depth", labels=("bracket_depth",)))
    mask_facts.check(reading("group"))
    mask_facts.check(reading("depth", prepared="rows/of/mine"))
    mask_facts.check(Experiment(name="mine"))
    run = reading("depth")
    own = dataclasses.replace(run.objectives["ar"], builder="mine.objectives:build")
    mask_facts.check(dataclasses.replace(run, objectives={"ar": own}))
