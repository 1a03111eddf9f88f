"""Labels of stretches of text, painted onto its characters."""

import numpy as np
from jaxtyping import Int, Int8


def paint(
    size: int, begins_K: Int[np.ndarray, "K"], ends_K: Int[np.ndarray, "K"], labels_K: np.ndarray
) -> Int8[np.ndarray, "S"]:
    """The label of the stretch that each of `size` characters lies in, 0 between them; stretches do not overlap."""
    lengths_K = ends_K - begins_K
    shifts_K = begins_K - np.cumsum(lengths_K) + lengths_K
    labels_S = np.zeros(size, np.int8)
    labels_S[np.arange(lengths_K.sum()) + np.repeat(shifts_K, lengths_K)] = np.repeat(labels_K, lengths_K)
    return labels_S
