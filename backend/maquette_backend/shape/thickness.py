"""How thick a solid is along its surface, as far as a grid needs to know it: thin parts must not fall between its points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from .sdf import Solid

Points = NDArray[np.float64]

_MAX_SAMPLES = 40_000
_COARSE_STEPS = 6
_BISECTIONS = 3
_PROBE = 1e-4
"""Where a ray begins beside the surface, as a fraction of the longest side."""


@dataclass(frozen=True)
class ThinPlaces:
    """Samples of the surface where the solid is thinner than what was asked about."""

    points: Points
    """[S,3]."""
    half_thickness: Points
    """[S]: half the way straight through the solid; at most that, never more."""

    def __len__(self) -> int:
        return len(self.points)

    def nearest(self, query: Points, reach: float) -> tuple[Points, NDArray[np.bool_]]:
        """The least half thickness [P] within ``reach`` of each point [P,3], and whether there is any."""
        least = np.full(len(query), np.inf)
        if len(self):
            near = KDTree(query).query_ball_point(self.points, reach)
            count = np.array([len(found) for found in near])
            at = np.concatenate([np.asarray(found, np.int64) for found in near])
            np.minimum.at(least, at, np.repeat(self.half_thickness, count))
        found = np.isfinite(least)
        return np.where(found, least, 0.0), found


def thin_places(solid: Solid, limit: float, spacing: float) -> ThinPlaces:
    """Where ``solid`` is less than 2·``limit`` thick, from samples about ``spacing`` apart.

    From each sample a line goes straight through the solid until it leaves it. (The depth inside, or an inscribed ball,
    would call every convex edge thin.)
    """
    points, normal = _samples(solid, spacing)
    probe = _PROBE * solid.extent
    through = np.zeros(len(points))
    for side in (1.0, -1.0):
        through += _until_outside(solid, points + side * probe * normal, side * normal, 2 * limit)
    thin = through < 2 * limit
    return ThinPlaces(points[thin], through[thin] / 2)


def _until_outside(solid: Solid, start: Points, direction: Points, limit: float) -> Points:
    """How far [S] lines stay inside from ``start`` [S,3] on, at least; ``limit`` where longer."""
    inside_until = np.zeros(len(start))
    going = np.flatnonzero(solid.distance(start) < 0)
    step = limit / _COARSE_STEPS
    for number in range(1, _COARSE_STEPS + 1):
        if len(going) == 0:
            break
        still = solid.distance(start[going] + number * step * direction[going]) < 0
        inside_until[going[still]] = number * step
        going = going[still]
    open_ = np.flatnonzero(inside_until < limit)
    return _bisected(solid, start, direction, inside_until, open_, step)


def _bisected(
    solid: Solid, start: Points, direction: Points, inside_until: Points, rows: NDArray[np.int64], step: float
) -> Points:
    for _ in range(_BISECTIONS):
        step /= 2
        further = inside_until[rows] + step
        still = solid.distance(start[rows] + further[:, None] * direction[rows]) < 0
        inside_until[rows[still]] = further[still]
    return inside_until


def _samples(solid: Solid, spacing: float) -> tuple[Points, Points]:
    """Points [S,3] on what can be seen of the solid and its unit normals [S,3], seeded; every triangle has one."""
    corners = solid.surface
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    twice_area = np.linalg.norm(normal, axis=1)
    real = twice_area > 1e-14 * solid.extent**2
    corners, normal, twice_area = corners[real], normal[real] / twice_area[real, None], twice_area[real]
    wanted = twice_area / 2 / spacing**2
    wanted *= min(1.0, _MAX_SAMPLES / max(wanted.sum(), 1e-12))
    count = np.maximum(1, np.ceil(wanted)).astype(np.int64)
    if count.sum() > 2 * _MAX_SAMPLES:  # more triangles than samples: some of them
        chosen = np.random.default_rng(0).choice(len(corners), _MAX_SAMPLES, p=twice_area / twice_area.sum())
        count = np.bincount(chosen, minlength=len(corners))
    owner = np.repeat(np.arange(len(corners)), count)
    weights = np.random.default_rng(1).dirichlet([1.0, 1.0, 1.0], len(owner))
    return np.einsum("sk,skx->sx", weights, corners[owner]), normal[owner]
