import numpy as np

from hybridlm.combine.pareto import curve


def test_a_point_is_efficient_unless_another_serves_both_groups_better():
    """Rare and common costs at four values of tau; at the third both could be lower, at the last rare ones could."""
    nll_PN = np.array([[9.0, 1, 1], [7, 2, 2], [8, 3, 1], [7, 3, 3]])
    found = curve(np.arange(4.0), nll_PN, np.array([True, False, False]))
    np.testing.assert_array_equal(found.rare_P, [9, 7, 8, 7])
    np.testing.assert_array_equal(found.common_P, [1, 2, 2, 3])
    np.testing.assert_allclose(found.all_P, [11 / 3, 11 / 3, 4, 13 / 3])
    np.testing.assert_array_equal(found.is_efficient_P, [True, True, False, False])
