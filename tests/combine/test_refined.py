import numpy as np

from hybridlm.combine.refined import latency


def test_latency_of_three_texts():
    """R refined, k kept, . padding:  R k R k   k k k .   R R R R"""
    share = np.array([[0, 1, 0.5, 1], [1, 1, 1, 0], [0, 0, 0, 0]])
    is_counted = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]], bool)
    found = latency(share, is_counted)
    assert found.fraction == 6 / 11
    np.testing.assert_array_equal(found.sequences_K, [1, 0, 1, 0, 1])
    assert found.mean == 2
