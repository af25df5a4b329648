"""A low-pass filter along surfaces that does not shrink them (Taubin 1995, "A signal processing approach to fair surface
design")."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .sided import EDGE, Sided, neighbours

_STEPS = (0.5, -0.53)
"""One step each way, the second a little longer."""
_PAIRS = 5
_EDGE_PAIRS = 10
"""Along an edge there are two to three vertices in a cell."""

Values = NDArray[np.float64]
Pairs = NDArray[np.int64]


def evened_places(surface: Sided) -> Values:
    """Positions [V,3] evened: first of vertices on an edge along it, but where it ends, or three meet; then of the others."""
    on_edge = surface.side == EDGE
    pairs = neighbours(surface.triangles)
    along = pairs[on_edge[pairs].all(axis=1)]
    two = np.bincount(along[:, 0], minlength=len(on_edge)) == 2
    placed = _low_pass(surface.positions, along, on_edge & two, _EDGE_PAIRS)
    return _low_pass(placed, pairs[~on_edge[pairs[:, 0]]], ~on_edge, _PAIRS)


def evened_values(surface: Sided, values: Values) -> Values:
    """Numbers [V] evened along each side by itself, without what is beside an edge; there they stay."""
    pairs = neighbours(surface.triangles)
    side = surface.side
    pairs = pairs[(side[pairs[:, 0]] == side[pairs[:, 1]]) & (surface.inside[pairs] > 0).all(axis=1)]
    degree = np.bincount(pairs[:, 0], minlength=len(side))
    return _low_pass(values[:, None], pairs, degree > 0, _PAIRS)[:, 0]


def _low_pass(values: Values, pairs: Pairs, free: NDArray[np.bool_], count: int) -> Values:
    """``values`` [V,C] where ``free`` [V] after ``count`` steps towards and away from the mean of their neighbours."""
    size = len(values)
    share = 1 / np.maximum(np.bincount(pairs[:, 0], minlength=size), 1)
    mean = sparse.csr_matrix((share[pairs[:, 0]], (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    for _ in range(count):
        for step in _STEPS:
            values = values + np.where(free[:, None], step * (mean @ values - values), 0.0)
    return values
