"""What keeps an optimised surface reasonable. All are scalars, differentiable, and zero for an empty mesh."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .adjacency import neighbouring_triangles, unique_edges


def sign_change(sdf: Tensor, edges: Tensor) -> Tensor:
    """Binary cross-entropy that pulls the two ends of sign-changing edges to one sign: fewer floaters and
    inner shells (Munkberg et al. 2022, eq. 2). ``sdf`` [V]; ``edges`` int64 [E,2] of the grid."""
    a, b = sdf[edges[:, 0]], sdf[edges[:, 1]]
    changing = (a > 0) != (b > 0)
    a, b = a[changing], b[changing]
    if len(a) == 0:
        return sdf.sum() * 0
    cross_entropy = functional.binary_cross_entropy_with_logits
    return cross_entropy(a, (b > 0).to(a)) + cross_entropy(b, (a > 0).to(b))


def laplacian_change(vertices: Tensor, start: Tensor, triangles: Tensor, edges: Tensor | None = None) -> Tensor:
    """Mean ‖δ − δ₀‖² of the uniform Laplacian against that of the ``start`` mesh (both [V,3], one topology).

    Against zero, as usual, an artist's sharp corners would be rounded for no reason.
    """
    if len(triangles) == 0:
        return vertices.sum() * 0
    # the Laplacian is linear, so the change of it is the Laplacian of the change
    return uniform_laplacian(vertices - start, triangles, edges).square().sum(dim=1).mean()


def uniform_laplacian(values: Tensor, triangles: Tensor, edges: Tensor | None = None) -> Tensor:
    """Each vertex's value [V,C] minus the mean of its neighbours'; zero where a vertex has none.

    ``edges`` [E,2] saves finding the unique ones where they are known.
    """
    a, b = (unique_edges(triangles) if edges is None else edges).unbind(1)
    total = torch.zeros_like(values).index_add(0, a, values.index_select(0, b))
    total = total.index_add(0, b, values.index_select(0, a))
    degree = torch.bincount(torch.cat([a, b]), minlength=len(values))[:, None]
    return torch.where(degree > 0, values - total / degree.clamp(min=1), torch.zeros_like(values))


def normal_consistency(vertices: Tensor, triangles: Tensor, pairs: Tensor | None = None) -> Tensor:
    """Mean of |1 − n₀·n₁| / 2 over triangles that share an edge: 0 when flat, 1 when folded back.

    ``pairs`` [N,2] of neighbouring triangles saves finding them where they are known.
    """
    pairs = neighbouring_triangles(triangles) if pairs is None else pairs
    if len(pairs) == 0:
        return vertices.sum() * 0
    # index_select, not indexing: its gradient is an index_add, several times faster
    normal = unit_normals(vertices, triangles)
    cosine = (normal.index_select(0, pairs[:, 0]) * normal.index_select(0, pairs[:, 1])).sum(dim=1)
    return (1 - cosine).abs().mean() / 2


@dataclass(frozen=True)
class Hinges:
    """Edges between two triangles, and how each was folded."""

    triangles: Tensor
    """int64 [N,2]."""
    edges: Tensor
    """int64 [N,2], vertices."""
    fold: Tensor
    """[N,2]: cosine and sine of the angle between the two normals."""

    def only(self, chosen: Tensor) -> Hinges:
        """Those of ``chosen`` bool [N]."""
        return Hinges(self.triangles[chosen], self.edges[chosen], self.fold[chosen])


def hinges(start: Tensor, triangles: Tensor, pairs: Tensor, edges: Tensor) -> Hinges:
    """The hinges of ``start`` [V,3] among the ``edges`` [N,2] with the triangles ``pairs`` [N,2] beside them.

    Border edges, and those beside a triangle without area, are none.
    """
    fold = _fold(unit_normals(start, triangles), start, pairs, edges)
    real = (pairs[:, 0] != pairs[:, 1]) & (fold.square().sum(1) > 0.5)
    return Hinges(pairs[real], edges[real], fold[real])


def fold_change(normals: Tensor, vertices: Tensor, hinges: Hinges) -> Tensor:
    """Mean of (1 − cos(θ − θ₀)) / 2 over hinges folded by θ now and by θ₀ at the start; 0 for an unchanged mesh.

    Unlike ``normal_consistency`` it leaves an artist's corners alone, and like it, it takes no notice of a rotation.
    ``normals`` are the ``unit_normals`` of ``vertices`` [V,3].
    """
    if len(hinges.edges) == 0:
        return vertices.sum() * 0
    # |(cos, sin) − (cos₀, sin₀)|² = 2 − 2 cos(θ − θ₀)
    return (_fold(normals, vertices, hinges.triangles, hinges.edges) - hinges.fold).square().sum(1).mean() / 4


def unit_normals(vertices: Tensor, triangles: Tensor) -> Tensor:
    """[F,3]; zero for a triangle without area."""
    a, b, c = (vertices.index_select(0, triangles[:, corner].long()) for corner in range(3))
    return functional.normalize(torch.linalg.cross(b - a, c - a), dim=1, eps=1e-12)


def _fold(normals: Tensor, vertices: Tensor, pairs: Tensor, edges: Tensor) -> Tensor:
    """Cosine and sine [N,2] of the angle from the first normal to the second about the edge."""
    one, two = normals.index_select(0, pairs[:, 0]), normals.index_select(0, pairs[:, 1])
    along = vertices.index_select(0, edges[:, 1]) - vertices.index_select(0, edges[:, 0])
    along = functional.normalize(along, dim=1, eps=1e-12)
    return torch.stack([(one * two).sum(1), (torch.linalg.cross(one, two) * along).sum(1)], 1)


def edge_length(
    vertices: Tensor, triangles: Tensor, start: Tensor | None = None, edges: Tensor | None = None
) -> Tensor:
    """Mean squared edge length, or with ``start`` [V,3] the mean squared change of it."""
    a, b = (unique_edges(triangles) if edges is None else edges).unbind(1)
    if len(a) == 0:
        return vertices.sum() * 0
    squared = (vertices.index_select(0, a) - vertices.index_select(0, b)).square().sum(dim=1)
    if start is None:
        return squared.mean()
    # the root's slope at a collapsed edge is infinite; the clamp makes it zero there
    return (squared.clamp(min=1e-20).sqrt() - (start[a] - start[b]).norm(dim=1)).square().mean()
