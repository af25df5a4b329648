"""Edges of triangle meshes, the triangles that share them, and the parts that hang together."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor


def unique_edges(triangles: Tensor) -> Tensor:
    """Every edge of ``triangles`` [F,3] once, int64 [E,2], its smaller vertex first."""
    if len(triangles) == 0:
        return triangles.new_zeros((0, 2), dtype=torch.int64)
    ends = _half_edges(triangles).sort(dim=1).values
    key, count = torch.unique(_keyed(ends)), int(ends.max()) + 1
    return torch.stack([key // count, key % count], dim=1)


def neighbouring_triangles(triangles: Tensor) -> Tensor:
    """Pairs of triangles that share an edge, int64 [N,2]; an edge of n triangles gives n − 1 pairs."""
    if len(triangles) == 0:
        return triangles.new_zeros((0, 2), dtype=torch.int64)
    key, order = _keyed(_half_edges(triangles).sort(dim=1).values).sort(stable=True)
    owner = order % len(triangles)
    same = key[1:] == key[:-1]
    return torch.stack([owner[:-1][same], owner[1:][same]], dim=1)


def parts(triangles: NDArray[np.integer], vertex_count: int) -> NDArray[np.int64]:
    """Connected part [F] of each triangle, numbered from 0 without gaps."""
    ends = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]]])
    links = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(vertex_count, vertex_count))
    _, label = connected_components(links, directed=False)
    return np.unique(label[triangles[:, 0]], return_inverse=True)[1].astype(np.int64)


def _half_edges(triangles: Tensor) -> Tensor:
    """[3F,2]; half edge h belongs to triangle h mod F."""
    faces = triangles.long()
    return torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def _keyed(ends: Tensor) -> Tensor:
    """One number per pair: sorting those is far faster than sorting rows."""
    return ends[:, 0] * (int(ends.max()) + 1) + ends[:, 1]
