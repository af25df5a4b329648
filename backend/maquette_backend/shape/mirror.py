"""Which vertices of a mesh are mirror images of each other across a plane through the origin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

TOLERANCE = 1e-4
"""How far a vertex may be from its partner's mirror image, as a share of the longest side."""
NONE = -1


def mirror_partners(positions: NDArray[np.floating], axis: int, tolerance: float) -> NDArray[np.int64]:
    """The index [V] of each point's mirror image among ``positions`` [V,3] under ``axis`` → −``axis``; −1 for none.

    A point within ``tolerance`` (a length) of the plane is its own partner. Partners name each other: each is the point
    nearest to the other's image.
    """
    image = positions.astype(np.float64)
    image[:, axis] *= -1
    distance, nearest = KDTree(positions).query(image, distance_upper_bound=tolerance, workers=-1)
    own = np.arange(len(positions))
    found = np.isfinite(distance)
    nearest = np.where(found, nearest, 0).astype(np.int64)
    mutual = found & (nearest[nearest] == own)
    return np.where(np.abs(image[:, axis]) <= tolerance, own, np.where(mutual, nearest, NONE))
