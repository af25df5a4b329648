"""Keep Topology's regularisers: how far a mesh has come from the one it started as."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .adjacency import neighbouring_triangles
from .places import first_at_each_place
from .regularisers import edge_length, fold_change, hinges, uniform_laplacian, unit_normals


@dataclass(frozen=True)
class StartWeights:
    """What each change from the start mesh counts for."""

    anchor: float = 200.0
    """Of the mean squared offset: how strongly a vertex is held where it was."""
    laplacian: float = 200.0
    """Of the change of the uniform Laplacian: keeps the artist's own detail."""
    strain: float = 0.5
    """Of the mean squared change of edge lengths over the mean squared edge length."""
    fold: float = 0.5
    """Of the change of the angle between neighbouring triangles: 90° corners are the artist's and stay."""
    sharp: float = 100.0
    """The same at edges that are marked sharp."""


class StartShape:
    """One start mesh. What depends on it alone is computed once; its change costs a few gathers."""

    def __init__(self, start: Tensor, triangles: Tensor, sharp_edges: NDArray[np.int32]) -> None:
        """``start`` [V,3], ``triangles`` int64 [F,3], ``sharp_edges`` [E,2] vertices.

        Vertices at one place count as one, so that an edge whose sides have vertices of their own is an edge still.
        """
        place = _places(start)
        welded = place[triangles]
        self._triangles = triangles
        pairs, ends = _shared_edges(welded)
        every = hinges(start, triangles, pairs, ends)
        marked = _among(every.edges, place[torch.from_numpy(sharp_edges.astype(np.int64)).to(place.device)])
        self._sharp, self._smooth = every.only(marked), every.only(~marked)
        self._edges = _distinct(torch.cat([welded[:, [0, 1]], welded[:, [1, 2]], welded[:, [2, 0]]]))
        self._square = edge_length(start, triangles, edges=self._edges).clamp(min=1e-20)
        self._start = start

    def change(self, positions: Tensor, moved: Tensor, weights: StartWeights) -> Tensor:
        """Scalar, 0 for the start itself. ``moved`` [V,3] is ``positions`` [V,3] minus the start, free of rounding."""
        normals = unit_normals(positions, self._triangles)
        strain = edge_length(positions, self._triangles, self._start, self._edges) / self._square
        return (
            weights.anchor * moved.square().sum(1).mean()
            # the Laplacian is linear, so the change of it is the Laplacian of the change
            + weights.laplacian * uniform_laplacian(moved, self._triangles, self._edges).square().sum(1).mean()
            + weights.strain * strain
            + weights.fold * fold_change(normals, positions, self._smooth)
            + weights.sharp * fold_change(normals, positions, self._sharp)
        )


def _places(positions: Tensor) -> Tensor:
    """[V]: the first vertex at each vertex's position."""
    return torch.from_numpy(first_at_each_place(positions.cpu().numpy())).to(positions.device)


def _shared_edges(triangles: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs [N,2] of triangles that share an edge, and that edge's vertices [N,2]."""
    pairs = neighbouring_triangles(triangles)
    one, two = triangles[pairs[:, 0]], triangles[pairs[:, 1]]
    common = (one[:, :, None] == two[:, None, :]).any(2)
    proper = common.sum(1) == 2  # not two triangles at the same three vertices
    return pairs[proper], one[proper][common[proper]].reshape(-1, 2)


def _distinct(edges: Tensor) -> Tensor:
    """Each of ``edges`` [N,2] once, those of no length left out."""
    edges = edges[edges[:, 0] != edges[:, 1]]
    key, base = _keys(edges)
    key = torch.unique(key)
    return torch.stack([key // base, key % base], 1)


def _among(edges: Tensor, chosen: Tensor) -> Tensor:
    """Bool [N]: which of ``edges`` [N,2] are ``chosen`` [E,2], either way round."""
    key, _ = _keys(torch.cat([edges, chosen]))
    return torch.isin(key[: len(edges)], key[len(edges) :])


def _keys(edges: Tensor) -> tuple[Tensor, int]:
    base = int(edges.max()) + 1 if len(edges) else 1
    return edges.amin(1) * base + edges.amax(1), base
