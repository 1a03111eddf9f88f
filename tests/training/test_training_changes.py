"""Twenty steps with everything that changes how a model is trained, and nothing that it predicts, at once."""

import dataclasses

import numpy as np
import pytest

from hybridlm.config.objective import autoregressive, masked_lm
from hybridlm.config.token_weights import TokenWeight
from hybridlm.training import run
from tests.end_to_end.results import lines
from tests.golden.every_objective import balanced

pytestmark = pytest.mark.usefixtures("small_and_plain")

WEIGHTS = (
    TokenWeight(tokens="digits!=none", factor=2.0),
    TokenWeight(power=0.3, strength=(0.0, 1.0), between=(0.2, 0.8)),
)


def losses(directory, name):
    return np.array([line[f"loss/{name}"] for line in lines(directory) if f"loss/{name}" in line])


def test_a_masked_lm_head_joins_trained_autoregression_under_weights_a_curriculum_and_balanced_rows(
    trained, experiment, tmp_path
):
    """It goes on where the trained run stopped, far below where that began, and learns what is new to it."""
    both = dataclasses.replace(
        balanced(experiment),
        objectives={"ar": autoregressive(), "mlm": masked_lm(0.3, predicts="next")},
        training=dataclasses.replace(experiment.training, start_from=str(trained), token_weights=WEIGHTS),
    )
    run.train(both, tmp_path)
    ar, mlm, before = losses(tmp_path, "ar"), losses(tmp_path, "mlm"), losses(trained, "ar")
    assert len(ar) == len(mlm) == 20 and np.isfinite([*ar, *mlm]).all()
    assert ar.max() < before[:3].mean() and ar[-5:].mean() < before[-5:].mean()
    assert mlm[-5:].mean() < mlm[:5].mean()
