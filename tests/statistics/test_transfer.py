import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.statistics.sums import Sums
from hybridlm.statistics.transfer import Measured, expected_gain, measured

LABELS = ("prose", "code", "numbers")


def _gaps(**changes):
    known = {
        "family": "domain",
        "labels": LABELS,
        "gap_C": np.array([0.1, 0.3, 0.0]),
        "covariance_CC": np.diag([0.01, 0.02, 0.01]) ** 2 + 2e-5,
        "clusters_C": np.array([200, 100, 40]),
        "data": "x",
        "unit": "token",
    }
    return Measured(**(known | changes))


def _text(clusters=50, seed=0):
    random = np.random.default_rng(seed)
    return np.array([random.multinomial(200, random.dirichlet([5, 3, 2])) for _ in range(clusters)])


def test_half_prose_half_code_by_hand():
    found = expected_gain(_gaps(), np.array([[50, 50, 0], [100, 100, 0]]))
    assert found.gain == pytest.approx(0.5 * 0.1 + 0.5 * 0.3)
    assert found.part_C == pytest.approx([0.05, 0.15, 0])
    assert found.error_of_gaps == pytest.approx(np.sqrt(0.25 * 1e-4 + 0.25 * 4e-4 + 2e-5))
    assert found.error_of_text == pytest.approx(0, abs=1e-9), "both clusters hold the same classes"
    assert (found.covered, found.unmeasured) == (1.0, ())


def test_its_error_is_that_of_drawing_gaps_and_texts():
    gaps, count_NC, random = _gaps(), _text(), np.random.default_rng(1)
    drawn = []
    for gap_C in random.multivariate_normal(gaps.gap_C, gaps.covariance_CC, size=20_000):
        count_C = count_NC[random.integers(50, size=50)].sum(0)
        drawn.append(gap_C @ count_C / count_C.sum())
    found = expected_gain(gaps, count_NC)
    error = (found.high - found.low) / 2 / 1.97
    assert error == pytest.approx(np.std(drawn), rel=0.03)
    assert found.low < found.gain < found.high
    assert error > np.hypot(found.error_of_gaps, found.error_of_text), "and a little for both being off together"


def test_the_measuring_text_gains_what_it_gained():
    random = np.random.default_rng(0)
    count_NC = random.integers(0, 30, size=(80, 3))
    total_NC = count_NC * (np.array([0.1, 0.3, 0.0]) + 0.2 * random.normal(size=(80, 1)))
    names = tuple(("domain", label) for label in LABELS)
    both = Sums(
        total_NC=np.hstack([total_NC, total_NC[:, :1]]),
        count_NC=np.hstack([count_NC, count_NC[:, :1]]),
        categories=(*names, ("copy", "new")),
        data="x",
    )
    gaps = measured(both, "domain")
    assert gaps.labels == LABELS
    assert expected_gain(gaps, count_NC).gain == pytest.approx(total_NC.sum() / count_NC.sum())
    off_diagonal = gaps.covariance_CC[0, 1] / np.sqrt(gaps.covariance_CC[0, 0] * gaps.covariance_CC[1, 1])
    assert off_diagonal > 0.5, "clusters move all classes together"
    with pytest.raises(ConfigError, match="no gaps of a family 'digits' were measured; there are copy, domain"):
        measured(both, "digits")


def test_classes_whose_gap_is_unknown_are_left_out_and_named():
    gaps = _gaps(
        gap_C=np.array([0.1, 0.3, np.nan]),
        covariance_CC=np.array([[1e-4, 0, np.nan], [0, 4e-4, np.nan], [np.nan] * 3]),
        clusters_C=np.array([200, 100, 1]),
    )
    found = expected_gain(gaps, np.array([[40, 40, 20], [40, 40, 20]]))
    assert (found.gain, found.covered, found.unmeasured) == (pytest.approx(0.2), pytest.approx(0.8), ("numbers",))
    assert np.isfinite([found.low, found.high]).all()
    with pytest.raises(ConfigError, match="no token of a class of 'domain' whose gap was measured"):
        expected_gain(gaps, np.array([[0, 0, 20]]))


def test_little_text_and_few_clusters_are_said():
    one = expected_gain(_gaps(clusters_C=np.array([200, 12, 40])), np.array([[40, 40, 20]]))
    assert one.notes == (
        "the text is one cluster: its class shares are taken as they are",
        "gaps of code were measured on fewer than 30 clusters",
    )
    assert one.error_of_text == 0 < one.error_of_gaps
    assert expected_gain(_gaps(), _text(5)).notes == ("the text has 5 clusters: its interval may be too narrow",)
    assert expected_gain(_gaps(), _text(50)).notes == ()


def test_few_clusters_reach_further():
    found = expected_gain(_gaps(covariance_CC=np.zeros((3, 3))), _text(4))
    assert found.high - found.gain == pytest.approx(3.182446 * found.error_of_text)


def test_other_classes_are_refused():
    with pytest.raises(ConfigError, match="counted in 2 classes, but 'domain' was measured in 3"):
        expected_gain(_gaps(), np.array([[1, 2]]))
