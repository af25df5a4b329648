"""What baking needs to know first: whether the UVs can take a picture, and how far apart the two surfaces are."""

# mathutils' stubs say that a tree and what it finds may be none: not of a mesh with faces
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportOptionalOperand=false

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree
from numpy.typing import NDArray

from ._protocol import errors
from .refined import Floats, Ints

Code = errors.ErrorCode
GRID = 1024
"""Samples along a picture's side, for the search for overlaps."""
_CHUNK = 4_000_000
"""Samples tested at a time."""
_OVERLAP_ALLOWED = 0.002
"""Share of the covered samples: neighbours that touch may round to a sample or two."""
_OUTSIDE_ALLOWED = 1e-3
_MOST_SAMPLES = 40_000
_LEAST_COSINE = 0.3
"""Between a vertex' normal and its faces': sharper corners would ask for a cage that reaches into other parts."""


@dataclass(frozen=True)
class Gap:
    """How far one surface is from another, in the other's object space."""

    outward: float
    inward: float
    """≥ 0, on the back of the other."""


def check_uvs(name: str, layer: str, corner_uvs: Floats) -> None:
    """Raises MaquetteError unless the UVs [F,3,2] of a layer give every point of a surface a place of its own."""
    unwrap = "Unwrap the original (UV > Unwrap, or Smart UV Project), then bake again."
    if corner_uvs.size == 0 or not np.isfinite(corner_uvs).all():
        raise errors.MaquetteError(Code.INVALID_RECIPE, f"The UV map {layer} of {name} is not usable.", unwrap)
    if corner_uvs.min() < -_OUTSIDE_ALLOWED or corner_uvs.max() > 1 + _OUTSIDE_ALLOWED:
        raise errors.MaquetteError(
            Code.INVALID_RECIPE,
            f"The UV map {layer} of {name} leaves the picture, so parts would lie on each other.",
            "Scale it into the square (UV > Pack Islands), then bake again.",
        )
    covered, overlap = coverage(corner_uvs)
    if covered == 0:
        raise errors.MaquetteError(Code.INVALID_RECIPE, f"The UV map {layer} of {name} has no area.", unwrap)
    if overlap > _OVERLAP_ALLOWED:
        raise errors.MaquetteError(
            Code.INVALID_RECIPE,
            f"{overlap:.1%} of the UV map {layer} of {name} overlaps: one place in the picture cannot show two.",
            unwrap,
        )


def coverage(corner_uvs: Floats, grid: int = GRID) -> tuple[float, float]:
    """Share of the picture that UVs [F,3,2] cover, and share of that which they cover more than once."""
    hits = np.zeros(grid * grid, np.int64)
    for _, samples in samples_inside(corner_uvs, grid):
        hits += np.bincount(samples, minlength=grid * grid)
    covered = int((hits > 0).sum())
    return covered / hits.size, float((hits > 1).sum() / max(covered, 1))


def samples_inside(corner_uvs: Floats, grid: int = GRID) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Triangles, and the samples of a grid² picture that are strictly inside each: pairs, some millions at a time."""
    places = corner_uvs.astype(np.float64) * grid - 0.5
    low = np.clip(np.ceil(places.min(axis=1)), 0, grid).astype(np.int64)
    high = np.clip(np.floor(places.max(axis=1)), -1, grid - 1).astype(np.int64)
    sizes = np.clip(high - low + 1, 0, None)
    ends = np.cumsum(sizes.prod(axis=1))
    start = 0
    while start < len(places):
        before = ends[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + _CHUNK, side="right")))
        owners, samples = _inside(places[start:end], low[start:end], sizes[start:end], grid)
        yield owners + start, samples
        start = end


def _inside(
    places: NDArray[np.float64], low: NDArray[np.int64], sizes: NDArray[np.int64], grid: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    counts = sizes.prod(axis=1)
    owner = np.repeat(np.arange(len(places)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    column = low[owner, 0] + within % sizes[owner, 0]
    row = low[owner, 1] + within // sizes[owner, 0]
    samples = np.stack([column, row], axis=1)
    a, b, c = (places[owner, corner] for corner in range(3))
    sides = np.stack([_turn(a, b, samples), _turn(b, c, samples), _turn(c, a, samples)])
    # an edge's own samples belong to neither side, so that neighbours do not count as overlapping
    inside = (sides > 1e-4).all(axis=0) | (sides < -1e-4).all(axis=0)
    return owner[inside], row[inside] * grid + column[inside]


def _turn(a: NDArray[np.float64], b: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    return (b[:, 0] - a[:, 0]) * (p[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (p[:, 0] - a[:, 0])


def surface_gap(low: tuple[Floats, Ints], high: tuple[Floats, Ints]) -> Gap:
    """Farthest distances between two surfaces, each (positions, triangles): of either's points to the other."""
    trees = [BVHTree.FromPolygons(points.tolist(), faces.tolist(), all_triangles=True) for points, faces in (low, high)]
    outward = inward = 0.0
    for point in _samples(*high):
        place, normal, _, distance = trees[0].find_nearest(point)
        if normal.dot(Vector(point) - place) < 0:
            inward = max(inward, distance)
        else:
            outward = max(outward, distance)
    for point in _samples(*low):
        distance = trees[1].find_nearest(point)[
            3
        ]  # on which side does not matter: a cage too large by this is harmless
        outward, inward = max(outward, distance), max(inward, distance)
    return Gap(outward, inward)


def _samples(positions: Floats, triangles: Ints) -> list[list[float]]:
    """Corners and middles of triangles, evenly thinned out."""
    points = np.concatenate([positions[np.unique(triangles)], positions[triangles].mean(axis=1)])
    return points[:: max(1, len(points) // _MOST_SAMPLES)].tolist()


def cage(gap: Gap, least_cosine: float, size: float) -> tuple[float, float]:
    """Extrusion of the cage and length of its rays.

    The cage moves each vertex along its own normal, so at a corner its faces move by the cosine between the two only.
    """
    slack = 0.002 * size
    cosine = max(least_cosine, _LEAST_COSINE)
    extrusion = 1.05 * gap.outward / cosine + slack
    return extrusion, extrusion + 1.05 * gap.inward / cosine + slack
