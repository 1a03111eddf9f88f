import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.statistics.calibration import binned, calibration, equal_mass, fine_counts


def _tokens(seed=0, clusters=40, each=50, excess=0.0):
    """Confidences that come true `excess` · 4p(1−p) less often than they say."""
    random = np.random.default_rng(seed)
    confidence_T = random.beta(2, 1, size=clusters * each)
    is_correct_T = random.random(confidence_T.size) < confidence_T - 4 * excess * confidence_T * (1 - confidence_T)
    cluster_T = np.repeat(np.arange(clusters), each)
    return confidence_T, is_correct_T, cluster_T, random.integers(2, size=(1, confidence_T.size))


def _read(confidence_T, is_correct_T, cluster_T, label_MT, bins=10, **options):
    bin_CF = equal_mass(fine_counts(confidence_T, label_MT, 2), bins)
    clusters = int(cluster_T.max()) + 1
    return calibration(binned(confidence_T, is_correct_T, cluster_T, label_MT, bin_CF, clusters=clusters), **options)


def test_two_bins_by_hand():
    """Confidence 0.6 came true in half of four, 0.9 in all of four: ECE = (0.1 + 0.1) / 2."""
    confidence_T = np.array([0.6, 0.6, 0.6, 0.6, 0.9, 0.9, 0.9, 0.9])
    is_correct_T = np.array([1, 0, 1, 0, 1, 1, 1, 1], bool)
    found = _read(confidence_T, is_correct_T, np.arange(8) % 4, np.zeros((1, 8), int), bins=2, seed=0)
    assert found.plain_C[0] == pytest.approx(0.1)
    np.testing.assert_allclose(found.confidence_CB[0], [0.6, 0.9])
    np.testing.assert_allclose(found.accuracy_CB[0], [0.5, 1.0])
    assert found.count_CB[0].tolist() == [4, 4]


def test_bins_hold_equal_mass_however_confidences_crowd():
    random = np.random.default_rng(0)
    sure_T = 1 - random.random(20_000) ** 6 * 0.5  # most of them above 0.99
    fine_CF = fine_counts(sure_T, np.zeros((1, 20_000), int), 1)
    mass_B = np.bincount(equal_mass(fine_CF, 10)[0], fine_CF[0])
    np.testing.assert_allclose(mass_B, 2000, rtol=0.2)
    assert np.all(np.diff(equal_mass(fine_CF, 10)[0]) >= 0)


def test_equal_confidences_share_a_bin_and_certainty_has_one():
    confidence_T = np.array([0.25] * 60 + [1.0] * 40, np.float32)
    found = _read(confidence_T, confidence_T == 1, np.arange(100) % 20, np.zeros((1, 100), int), bins=4, seed=0)
    assert sorted(found.count_CB[0][found.count_CB[0] > 0].tolist()) == [40, 60]
    assert found.plain_C[0] == pytest.approx(0.25 * 0.6)


def test_errors_are_those_of_a_loop_over_tokens():
    confidence_T, is_correct_T, cluster_T, label_MT = _tokens(excess=0.1)
    bin_CF = equal_mass(fine_counts(confidence_T, label_MT, 2), 8)
    found = _read(confidence_T, is_correct_T, cluster_T, label_MT, bins=8, seed=0, draws=50)
    logit_T = np.clip(np.log(confidence_T / (1 - confidence_T)), -16, 16 - 1e-9)
    for label in range(2):
        here_T = label_MT[0] == label
        bin_T = bin_CF[label, ((logit_T + 16) * 64).astype(int)]
        error = sum(
            abs((confidence_T - is_correct_T)[here_T & (bin_T == b)].sum()) for b in range(8)
        ) / here_T.sum()  # fmt: skip
        assert found.plain_C[label] == pytest.approx(error)


def test_pieces_of_a_text_add_up_to_the_whole():
    tokens = _tokens()
    fine_CF = fine_counts(tokens[0], tokens[3], 2)
    parts = [[array[..., cut] for array in tokens] for cut in (slice(700), slice(700, None))]
    np.testing.assert_array_equal(sum(fine_counts(part[0], part[3], 2) for part in parts), fine_CF)
    bin_CF = equal_mass(fine_CF, 5)
    first, second = (binned(*part, bin_CF, clusters=40) for part in parts)
    np.testing.assert_allclose((first + second).confidence_NCB, binned(*tokens, bin_CF, clusters=40).confidence_NCB)


def test_a_perfect_model_shows_its_floor_and_no_more():
    found = [_read(*_tokens(seed, each=200), seed=seed, draws=300) for seed in range(40)]
    plain, floor, better = (np.mean(x) for x in zip(*((f.plain_C, f.floor_C, f.error.estimate_C) for f in found)))
    assert plain == pytest.approx(floor, rel=0.1)
    assert better < 0.75 * plain, "what is left once the draws have shown the bias"
    assert np.mean([f.p_C < 0.05 for f in found]) < 0.15
    assert np.mean([f.error.low_C == 0 for f in found]) > 0.85


def test_intervals_hold_the_truth_as_often_as_they_say():
    truth, held = 0.2 * 4 * (1 / 2 - 2 / 4 + 1 / 6), []  # 4 · E[p(1−p)] of Beta(2, 1) is 2/3
    truth, held = 0.2 * 4 * (2 / 3 - 1 / 2), []  # E[4p(1 − p)] of Beta(2, 1)
    for seed in range(80):
        found = _read(*_tokens(seed, excess=0.2), seed=seed, draws=300)
        held.append((found.error.low_C <= truth) & (truth <= found.error.high_C))
        assert np.all(found.p_C < 0.05)
    assert 0.88 < np.mean(held) < 0.99


def test_labels_without_tokens_or_with_one_cluster_say_so():
    confidence_T, is_correct_T, cluster_T, _ = _tokens()
    bin_CF = np.zeros((3, 2048), int)
    label_MT = np.where(cluster_T == 3, 1, 0)[None]
    sums = binned(confidence_T, is_correct_T, cluster_T, label_MT, bin_CF, clusters=40)
    found = calibration(sums, seed=0, draws=50)
    assert found.error.notes == ("", "one cluster: no interval", "no tokens")
    assert np.isnan(found.p_C).tolist() == np.isnan(found.floor_C).tolist() == [False, True, True]
    assert np.isnan(found.plain_C).tolist() == [False, False, True]


def test_a_negative_label_counts_nowhere():
    confidence_T, is_correct_T, cluster_T, label_MT = _tokens()
    bin_CF = np.zeros((2, 2048), int)
    sums = binned(confidence_T, is_correct_T, cluster_T, np.where(label_MT == 1, -1, label_MT), bin_CF, clusters=40)
    assert sums.count_NCB.sum() == (label_MT == 0).sum()


def test_labels_of_the_outcome_make_a_perfect_model_look_wrong():
    """Two words, drawn with exactly the stated probability: all is well by what was predicted, nothing by what came."""
    random = np.random.default_rng(0)
    first_T = random.beta(4, 2, size=20_000)  # probability of word 0
    word_T = (random.random(20_000) > first_T).astype(int)
    predicted_T, confidence_T = (first_T < 0.5).astype(int), np.maximum(first_T, 1 - first_T)
    cluster_T = np.arange(20_000) % 100
    by_prediction, by_outcome = (
        _read(confidence_T, predicted_T == word_T, cluster_T, label_T[None], seed=0, draws=300)
        for label_T in (predicted_T, word_T)
    )
    assert np.all(by_prediction.plain_C < 2 * by_prediction.floor_C) and np.all(by_prediction.p_C > 0.01)
    assert np.all(by_outcome.plain_C > 10 * by_outcome.floor_C)


def test_logarithms_are_no_confidences():
    with pytest.raises(ConfigError, match="a confidence is a probability, but they run from -0.5 to -0.1; pass the"):
        fine_counts(np.array([-0.5, -0.1]), np.zeros((1, 2), int), 1)
