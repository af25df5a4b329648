"""How thick a solid is along its surface, as far as a grid needs to know it: thin parts must not fall between its points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from .sdf import Solid

Points = NDArray[np.float64]

_MAX_SAMPLES = 20_000
_COARSE_STEPS = 4
_FARTHEST_GAP = 4
"""Gaps wider than so many times the limit do not matter."""
_BISECTIONS = 3
_SLACK = 0.5
"""Share of the reach by which the nearest sample may be farther than the surface: samples lie apart."""
_PROBE = 1e-4
"""Where a ray begins beside the surface, as a fraction of the longest side."""


@dataclass(frozen=True)
class ThinPlaces:
    """Samples of the surface where the solid is thinner than what was asked about."""

    points: Points
    """[S,3]."""
    half_thickness: Points
    """[S]: half the way straight through the solid; at most that, never more."""
    gap: Points
    """[S]: the least way straight out, near here, until the solid begins again; ``inf`` where that is far."""

    def __len__(self) -> int:
        return len(self.points)

    def nearest(self, query: Points, distance: Points, reach: float) -> NDArray[np.int64]:
        """The thinnest sample within ``reach`` of each point [P,3], −1 where there is none or something thick is nearer:
        a wall beside a thin part is not thin. ``distance`` [P] is that to the surface."""
        thinnest = np.full(len(query), -1)
        if len(self) == 0:
            return thinnest
        close = np.flatnonzero(np.abs(distance) < reach)
        to_thin, _ = KDTree(self.points).query(query[close])
        own = close[to_thin < np.abs(distance[close]) + _SLACK * reach]
        near = KDTree(query[own]).query_ball_point(self.points, reach) if len(own) else []
        for sample in np.argsort(-self.half_thickness, kind="stable") if len(own) else []:
            thinnest[own[near[sample]]] = sample
        return thinnest


def thin_places(solid: Solid, limit: float, spacing: float) -> ThinPlaces:
    """Where ``solid`` is less than 2·``limit`` thick, from samples about ``spacing`` apart.

    From each sample a line goes straight through the solid until it leaves it. (The depth inside, or an inscribed ball,
    would call every convex edge thin.)
    """
    points, normal = _samples(solid, spacing)
    probe = _PROBE * solid.extent
    through, gap = np.zeros(len(points)), np.full(len(points), np.inf)
    for side in (1.0, -1.0):
        start, direction = points + side * probe * normal, side * normal
        through += _while(True, solid, start, direction, 2 * limit)
        out = np.flatnonzero(~solid.contains(start))
        reached = _while(False, solid, start[out], direction[out], _FARTHEST_GAP * limit)
        gap[out] = np.minimum(gap[out], np.where(reached < _FARTHEST_GAP * limit, reached, np.inf))
    thin = through < 2 * limit
    return ThinPlaces(points[thin], through[thin] / 2, _least_near(points[thin], gap[thin], 2 * spacing))


def _least_near(points: Points, values: Points, reach: float) -> Points:
    """The least of ``values`` [S] within ``reach`` of each point; most are ``inf``, and only the others are looked round."""
    least = values.copy()
    known = np.flatnonzero(np.isfinite(values))
    if len(known):
        near = KDTree(points[known]).sparse_distance_matrix(KDTree(points), reach, output_type="coo_matrix")
        np.minimum.at(least, near.col, values[known[near.row]])
    return least


def _while(inside: bool, solid: Solid, start: Points, direction: Points, limit: float) -> Points:
    """How far [S] lines stay inside (or outside) from ``start`` [S,3] on, at least; ``limit`` where longer."""
    until = np.zeros(len(start))
    going = np.flatnonzero(solid.contains(start) == inside)
    step = limit / _COARSE_STEPS
    for number in range(1, _COARSE_STEPS + 1):
        if len(going) == 0:
            break
        still = solid.contains(start[going] + number * step * direction[going]) == inside
        until[going[still]] = number * step
        going = going[still]
    return _bisected(inside, solid, start, direction, until, np.flatnonzero(until < limit), step)


def _bisected(
    inside: bool,
    solid: Solid,
    start: Points,
    direction: Points,
    until: Points,
    rows: NDArray[np.int64],
    step: float,
) -> Points:
    for _ in range(_BISECTIONS):
        step /= 2
        further = until[rows] + step
        still = solid.contains(start[rows] + further[:, None] * direction[rows]) == inside
        until[rows[still]] = further[still]
    return until


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
