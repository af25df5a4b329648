"""Which vertices of a mesh are at one place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def first_at_each_place(positions: NDArray[np.floating]) -> NDArray[np.int64]:
    """[V]: the first of the vertices at the very same position as each of ``positions`` [V,3].

    Sorting by three keys is several times faster than ``np.unique`` over rows.
    """
    order = np.lexsort(positions.T)
    rows = positions[order]
    begins: NDArray[np.bool_] = np.ones(len(order), bool)
    begins[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    result: NDArray[np.int64] = np.zeros(len(order), np.int64)
    result[order] = order[begins][np.cumsum(begins) - 1]  # the sort is stable: a group's first is its least
    return result
