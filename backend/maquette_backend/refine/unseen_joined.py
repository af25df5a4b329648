"""What unseen texels are filled with meets what is known beside it, texel by texel and across UV seams.

A screened Poisson equation (Bhat et al. 2008, "Fourier Analysis of the 2D Screened Poisson Equation for Gradient Domain
Problems", equation 2): the fill keeps its own gradients and stays near itself, except that neighbours agree at its borders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import cg

from maquette_backend.appearance.seam_places import seam_places, texels_at
from maquette_backend.appearance.seams import shared_edges
from maquette_backend.refine.texel_map import TexelMap
from maquette_backend.shape.places import first_at_each_place

_REACH = (4.0, 16.0)
"""Texels over which a correction falls to 1/e: as far as the points lie apart of which the fill was made, within these bounds."""
_ITERATIONS, _TOLERANCE = 100, 1e-5


@dataclass(frozen=True)
class _Links:
    """Pairs of texels (rows of P) that are neighbours on the surface, at least one of each unknown."""

    inside: NDArray[np.int64]
    """[L,2] on one island"""
    across: NDArray[np.int64]
    """[M,2] on the two sides of a seam"""


def joined(
    values: NDArray[np.floating], texels: TexelMap, known: NDArray[np.bool_], spacing: float
) -> NDArray[np.float64]:
    """``values`` [P,C] with those that are not ``known`` [P] corrected so that they go on from what is known without a step.

    ``spacing``: texels between the points that what is filled in was made of. No new value is outside of those there are.
    """
    result = values.astype(np.float64)
    low, high = result.min(0), result.max(0)
    links = _links(texels, known)
    unknown = np.flatnonzero(~known)
    row: NDArray[np.int64] = np.full(len(known), -1, np.int64)
    row[unknown] = np.arange(len(unknown))
    pairs = np.concatenate([links.inside, links.across])
    steps = result[pairs[:, 1]] - result[pairs[:, 0]]
    within = np.asarray((row[pairs] >= 0).all(1))
    within[len(links.inside) :] = False
    steps[within] = 0
    system, wanted = _system(row[pairs], steps, len(unknown), float(np.clip(spacing, *_REACH)))
    for channel in range(result.shape[1]):
        found, _ = cg(system, wanted[:, channel], rtol=_TOLERANCE, maxiter=_ITERATIONS, M=diags_array(1 / system.diagonal()))
        result[unknown, channel] += found
    result[unknown] = result[unknown].clip(low, high)
    return result


def _system(
    pairs: NDArray[np.int64], steps: NDArray[np.float64], count: int, reach: float
) -> tuple[csr_array, NDArray[np.float64]]:
    """[U,U] and [U,C]: corrections of U unknown values whose links [L,2] (−1: known) take away ``steps`` [L,C] from first to second."""
    one, other = pairs.T
    wanted = np.zeros((count, steps.shape[1]))
    degree = np.full(count, 1 / reach**2)
    for end, towards in ((one, steps), (other, -steps)):
        free = end >= 0
        degree += np.bincount(end[free], minlength=count)
        for channel in range(steps.shape[1]):
            wanted[:, channel] += np.bincount(end[free], towards[free, channel], count)
    free = (pairs >= 0).all(1)
    rows, columns = np.concatenate([one[free], other[free]]), np.concatenate([other[free], one[free]])
    links = coo_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    return csr_array(diags_array(degree) - links.tocsr()), wanted


def _links(texels: TexelMap, known: NDArray[np.bool_]) -> _Links:
    mesh, size = texels.mesh, texels.size
    assert mesh.corner_uvs is not None
    triangles = first_at_each_place(mesh.positions)[mesh.triangles]
    edges = shared_edges(mesh.positions, triangles, mesh.corner_uvs)
    number: NDArray[np.int64] = np.full(size * size, -1, np.int64)
    number[np.flatnonzero(texels.covered)] = np.arange(len(known))
    grid, island = number.reshape(size, size), edges.island[texels.triangles]
    beside = [(grid[:, :-1], grid[:, 1:]), (grid[:-1], grid[1:])]
    inside = np.concatenate([np.stack([one.ravel(), other.ravel()], -1) for one, other in beside])
    inside = _wanted(inside, known)
    across = _wanted(number[texels_at(seam_places(edges, size), size)].T, known)
    return _Links(inside[island[inside[:, 0]] == island[inside[:, 1]]], across[across[:, 0] != across[:, 1]])


def _wanted(pairs: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Those of [L,2] that lie on the surface and of which one is to be found."""
    pairs = pairs[(pairs >= 0).all(1)]
    return pairs[~known[pairs].all(1)]
