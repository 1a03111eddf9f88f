import numpy as np

from hybridlm.statistics import resampling


def test_draws_are_those_of_a_loop():
    random = np.random.default_rng(0)
    one_NC, other_NC = random.normal(size=(12, 2)), random.integers(5, size=(12, 1))
    again, expected = np.random.default_rng(7), []
    for _ in range(30):
        picked = again.integers(12, size=12)
        expected.append([*one_NC[picked].sum(0), *other_NC[picked].sum(0)])
    one_RC, other_RC = resampling.resample((one_NC, other_NC), seed=7, draws=30)
    np.testing.assert_allclose(np.hstack([one_RC, other_RC]), expected)


def test_many_clusters_are_drawn_in_pieces_without_a_seam(monkeypatch):
    sums_NC = np.random.default_rng(1).normal(size=(40, 3))
    (whole,) = resampling.resample((sums_NC,), seed=7, draws=50)
    monkeypatch.setattr(resampling, "_CHUNK", 300)
    (pieces,) = resampling.resample((sums_NC,), seed=7, draws=50)
    np.testing.assert_allclose(pieces, whole)


def test_a_draw_holds_as_many_clusters_as_there_are():
    (drawn_RC,) = resampling.resample((np.ones((9, 1)),), seed=0, draws=20)
    assert np.all(drawn_RC == 9)
