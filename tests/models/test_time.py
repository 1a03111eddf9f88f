"""Time features: distinct levels of noise look distinct, near ones look alike."""

import jax.numpy as jnp
import numpy as np

from hybridlm.models.time import TIME_WIDTH, sinusoids


def test_clean_text_is_the_zero_angle():
    clean = sinusoids(jnp.zeros((1, 1)))[0, 0]
    assert clean.tolist() == [1.0] * (TIME_WIDTH // 2) + [0.0] * (TIME_WIDTH // 2)


def test_likeness_falls_with_distance_in_time():
    features = np.asarray(sinusoids(jnp.array([[0.5, 0.501, 0.51, 0.6, 1.0]])))[0]
    likeness = features[0] @ features.T / (TIME_WIDTH // 2)
    assert (np.diff(likeness) < 0).all()
    assert likeness[1] > 0.8 > likeness[3]
