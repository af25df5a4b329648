"""A low-pass filter along surfaces that does not shrink them (Taubin 1995, "A signal processing approach to fair surface
design")."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .creases import EDGE, Creased

_STEPS = (0.5, -0.53)
"""One step each way, the second a little longer."""
_PAIRS = 5

Values = NDArray[np.float64]
Pairs = NDArray[np.int64]


def evened_places(surface: Creased) -> Values:
    """Positions [V,3] evened: of vertices on an edge along it, and where it ends, or three meet, they stay."""
    on_edge = surface.side == EDGE
    pairs = _pairs(surface.triangles)
    pairs = pairs[~on_edge[pairs[:, 0]] | on_edge[pairs[:, 1]]]
    degree = np.bincount(pairs[:, 0], minlength=len(on_edge))
    return _low_pass(surface.positions, pairs, np.where(on_edge, degree == 2, degree > 0))


def evened_values(surface: Creased, values: Values) -> Values:
    """Numbers [V] evened along each side by itself; on edges they stay."""
    pairs = _pairs(surface.triangles)
    side = surface.side
    pairs = pairs[(side[pairs[:, 0]] == side[pairs[:, 1]]) & (side[pairs[:, 0]] != EDGE)]
    degree = np.bincount(pairs[:, 0], minlength=len(side))
    return _low_pass(values[:, None], pairs, degree > 0)[:, 0]


def _low_pass(values: Values, pairs: Pairs, free: NDArray[np.bool_]) -> Values:
    """``values`` [V,C] where ``free`` [V] after a few steps towards and away from the mean of their neighbours."""
    count = len(values)
    share = 1 / np.maximum(np.bincount(pairs[:, 0], minlength=count), 1)
    mean = sparse.csr_matrix((share[pairs[:, 0]], (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    for _ in range(_PAIRS):
        for step in _STEPS:
            values = values + np.where(free[:, None], step * (mean @ values - values), 0.0)
    return values


def _pairs(faces: NDArray[np.int64]) -> Pairs:
    """Neighbours [P,2], each pair both ways round; of a closed surface every edge is met once each way."""
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
