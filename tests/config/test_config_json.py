"""A config survives JSON exactly, is changed by dotted names, and says what is wrong with a name or a value."""

import dataclasses
import json

import numpy as np
import pytest

from hybridlm import masks
from hybridlm.config.errors import ConfigError
from hybridlm.config.evaluation import EvaluationConfig, Reading
from hybridlm.config.experiment import Experiment
from hybridlm.config.objective import autoregressive, block_diffusion, masked_lm, prefix_lm
from hybridlm.config.presets import preset
from hybridlm.config.storage import from_dict, override, to_dict
from hybridlm.config.training import OptimizerConfig, TrainingConfig

FULL = Experiment(
    name="all of it",
    seed=3,
    model=preset("4M", remat="dots"),
    objectives={"ar": autoregressive(ratio=2.0), "prefix": prefix_lm(0.1, 0.4), "block": block_diffusion(8, "cosine")},
    mask=masks.window(63) & masks.custom(lambda q, k: (q.position - k.position) % 4 == 0)
    | ~masks.dense(np.tri(256, dtype=bool)),
    optimizer=OptimizerConfig(name="optax.contrib:muon", options={"beta": 0.9}),
    evaluation=EvaluationConfig(readings={"own": Reading(objective=masked_lm(predicts="next"))}),
)


@pytest.mark.parametrize("config", [FULL, Experiment(name="defaults")], ids=["full", "defaults"])
def test_json_gives_back_the_same_config(config):
    text = json.dumps(to_dict(config))
    again = from_dict(Experiment, json.loads(text))
    assert again == config
    assert hash(again.mask) == hash(config.mask)
    assert json.dumps(to_dict(again)) == text


def test_a_whole_number_is_a_float_where_one_is_meant():
    config = from_dict(OptimizerConfig, {"learning_rate": 1, "options": {"nesterov": 1}})
    assert (type(config.learning_rate), type(config.options["nesterov"])) == (float, float)


def test_overrides_change_what_they_name_and_nothing_else():
    changed = override(
        FULL,
        {
            "training.steps": 100,
            "objectives.block.ratio": 3,
            "objectives.mlm": masked_lm(ratio=0.5),
            "optimizer.options.momentum": 0.5,
            "mask": masks.causal(),
            "data.sources": ["a.txt", "b.jsonl"],
        },
    )
    assert changed == dataclasses.replace(
        FULL,
        training=TrainingConfig(steps=100),
        objectives=FULL.objectives | {"block": block_diffusion(8, "cosine", ratio=3.0), "mlm": masked_lm(ratio=0.5)},
        optimizer=OptimizerConfig(name="optax.contrib:muon", options={"beta": 0.9, "momentum": 0.5}),
        mask=masks.causal(),
        data=dataclasses.replace(FULL.data, sources=("a.txt", "b.jsonl")),
    )
    assert override(FULL, {"mask": None}).mask is None


def test_an_overridden_config_is_checked_as_a_whole():
    with pytest.raises(ConfigError, match=r"^optimizer.warmup=50 is longer than training.steps=10; a run"):
        override(Experiment(name="run"), {"training.steps": 10})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"training.stepz": 1}, "config.training.stepz does not exist; did you mean 'steps'?"),
        ({"trainin.steps": 1}, "config.trainin does not exist; did you mean 'training'?"),
        ({"objectives.arr.ratio": 1}, "config.objectives.arr does not exist; did you mean 'ar'?"),
        (
            {"training.steps.more": 1},
            "config.training.steps.more does not exist: config.training.steps=600 has no parts.",
        ),
        ({"training.steps": 1.5}, "config.training.steps=1.5 must be of type int, not float."),
        ({"training.steps": True}, "config.training.steps=True must be of type int, not bool."),
        ({"optimizer.eps": False}, "config.optimizer.eps=False must be of type float, not bool."),
        ({"model.final_norm": 1}, "config.model.final_norm=1 must be of type bool, not int."),
        ({"name": None}, "config.name=None must be of type str, not NoneType."),
        ({"data.sources": "a.txt"}, "config.data.sources='a.txt' must be a list, not str."),
        ({"data.sources": ["a.txt", 3]}, "config.data.sources[1]=3 must be of type str, not int."),
        ({"model": 3}, "config.model=3 must be named values, not int."),
        ({"objectives.new": 3}, "config.objectives.new=3 must be named values, not int."),
        ({"evaluation.readings.new": {}}, "config.evaluation.readings.new.objective is missing and has no default."),
        (
            {"mask": ["lambda", "q, k: True"]},
            "config.mask=['lambda', 'q, k: True'] is not a stored mask: ['lambda', 'q, k: True'] is not a condition. "
            "Store masks by masks.to_json, and edit none by hand. To try one, write it into the config file, as in "
            "Experiment(mask=masks.causal()).",
        ),
    ],
)
def test_a_wrong_name_or_value_is_refused_with_its_place(changes, text):
    with pytest.raises(ConfigError) as refusal:
        override(Experiment(name="run"), changes)
    assert str(refusal.value) == text


def test_a_mask_that_is_only_python_is_not_saved():
    config = Experiment(name="run", mask=masks.dense(lambda q, k: q.position >= k.position))
    with pytest.raises(ValueError, match="cannot be stored, because its Python would have to run again"):
        to_dict(config)
