"""The edges of a triangle list and the triangles beside them: what a silhouette is searched among."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Topology:
    """Unique edges, each with the (at most two) triangles beside it; all tensors int64 but ``sides``.

    Rebuild it whenever the triangles change; it does not depend on positions. An edge shared by more than two
    triangles keeps the first two in triangle order.
    """

    edges: Tensor
    """[E,2] vertex ids, the smaller first."""
    triangles: Tensor
    """[E,2] triangle ids; at a border both are the same triangle."""
    sides: Tensor
    """[E,2] int8: +1 where the triangle runs along the edge from its first vertex to its second, −1 the other way,
    0 for the missing second triangle of a border edge."""

    @property
    def device(self) -> torch.device:
        return self.edges.device


def _sorted_half_edges(key: Tensor) -> tuple[Tensor, Tensor]:
    """Keys in rising order and where each came from, ties in order of appearance.

    Sorting values is several times faster than sorting with indices, so the index travels in the low bits of the
    value where it fits (meshes below about two million vertices and triangles).
    """
    count = key.shape[0]
    index_bits = max(1, (count - 1).bit_length())
    if int(key.max()).bit_length() + index_bits > 62:
        values, order = torch.sort(key, stable=True)
        return values, order
    packed = torch.sort((key << index_bits) | torch.arange(count, device=key.device)).values
    return packed >> index_bits, packed & ((1 << index_bits) - 1)


def build_topology(triangles: Tensor) -> Topology:
    """Edges of ``triangles`` [F,3] (int32 or int64, F ≥ 1) in O(F log F). Raises ValueError on an empty list."""
    if triangles.ndim != 2 or triangles.shape[1] != 3 or triangles.shape[0] == 0:
        raise ValueError(f"triangles must be [F,3] with F >= 1, got {tuple(triangles.shape)}")
    start = triangles.long().reshape(-1)
    end = triangles.long()[:, [1, 2, 0]].reshape(-1)
    low, high = torch.minimum(start, end), torch.maximum(start, end)
    key, order = _sorted_half_edges(low * (int(high.max()) + 1) + high)
    is_first = torch.ones_like(key, dtype=torch.bool)
    is_first[1:] = key[1:] != key[:-1]
    first = is_first.nonzero()[:, 0]
    following = (first + 1).clamp(max=len(key) - 1)
    shared = ~is_first[following]
    shared &= following > first
    one, two = order[first], torch.where(shared, order[following], order[first])
    side = torch.where(start < end, 1, -1).to(torch.int8)
    return Topology(
        edges=torch.stack([low[one], high[one]], 1),
        triangles=torch.stack([one // 3, two // 3], 1),
        sides=torch.stack([side[one], side[two] * shared.to(torch.int8)], 1),
    )
