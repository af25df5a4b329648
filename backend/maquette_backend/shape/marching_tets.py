"""Marching tetrahedra: a signed distance on a tetrahedral grid becomes a triangle mesh, differentiably.

Shen et al. 2021, "Deep Marching Tetrahedra", section 3.2; the case analysis is Doi and Koide 1991. Vertices
are differentiable in the grid's positions and in the signed distance; the choice of triangles is not.
Negative is inside, and triangles are counter-clockwise seen from outside.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
"""The six edges of a tetrahedron, in the order in which ``TetEdges.tet_edges`` lists them."""


@dataclass(frozen=True)
class TetEdges:
    """What depends on the tetrahedra only; computed once per grid so that a step costs little."""

    edges: Tensor
    """int64 [E,2]: every edge once, its smaller vertex first."""
    tet_edges: Tensor
    """int64 [T,6]: which edge each of a tetrahedron's ``EDGES`` is."""
    table: Tensor
    """int64 [16,6]: per case the local edges of up to two triangles, −1 where there is none."""


def tet_edges(tets: Tensor) -> TetEdges:
    """Number the edges of tetrahedra [T,4] (int64)."""
    local = torch.tensor(EDGES, device=tets.device)
    one, other = (tets[:, local[:, k]].reshape(-1) for k in (0, 1))
    count = int(tets.max()) + 1 if len(tets) else 1
    # not a sort of each pair, which takes several times as long
    key, number = torch.unique(torch.minimum(one, other) * count + torch.maximum(one, other), return_inverse=True)
    edges = torch.stack([key // count, key % count], dim=1)
    return TetEdges(edges, number.reshape(-1, 6), torch.tensor(_case_table(), device=tets.device))


@dataclass(frozen=True)
class Crossings:
    """Where a level cuts the grid's edges: the surface's vertices, in their order."""

    edges: Tensor
    """int64 [N]: their numbers."""
    ends: Tensor
    """int64 [N,2]."""
    share: Tensor
    """[N] of the way from the first end to the second, differentiable in the signed distance."""

    def between(self, values: Tensor) -> Tensor:
        """What ``values`` [V,…] at the grid's vertices are there, [N,…]."""
        # index_select, not indexing: its gradient is an index_add, several times faster
        start, end = (values.index_select(0, self.ends[:, k]) for k in (0, 1))
        share = self.share.reshape(-1, *[1] * (values.ndim - 1))
        # (p_a·s_b − p_b·s_a) / (s_b − s_a), written so that rounding cannot leave the edge
        return start + (end - start) * share


def crossings(sdf: Tensor, cache: TetEdges) -> Crossings:
    """The edges whose ends ``sdf`` [V] puts on two sides, and where its zero level cuts them."""
    return _crossings(sdf, cache, _cut_edges(sdf < 0, cache))


def extract(vertices: Tensor, sdf: Tensor, tets: Tensor, cache: TetEdges) -> tuple[Tensor, Tensor]:
    """The zero level of ``sdf`` [V] on the grid (``vertices`` [V,3], ``tets`` int64 [T,4]).

    Returns positions [N,3], differentiable in ``vertices`` and ``sdf``, and faces int64 [F,3], outward. The
    mesh is closed wherever the level stays inside the grid. Both are empty when no sign changes. A distance
    of exactly zero counts as outside; triangles there may have no area (``clean.remove_degenerate``).
    """
    with torch.no_grad():
        inside = sdf < 0
        cut = _cut_edges(inside, cache)
        number = torch.zeros(len(cache.edges), dtype=torch.int64, device=cut.device)
        number[cut] = torch.arange(len(cut), device=cut.device)
        faces = _faces(inside.to(torch.uint8), tets, cache, number)
    return _crossings(sdf, cache, cut).between(vertices), faces


def _cut_edges(inside: Tensor, cache: TetEdges) -> Tensor:
    """Numbers of the edges with one end inside (bool [V]) and one outside."""
    # both flags of an edge read as one number: they differ when it is 1 or 256
    pair = inside.to(torch.uint8)[cache.edges.reshape(-1)].view(torch.int16)
    return ((pair == 1) | (pair == 256)).nonzero()[:, 0]


def _crossings(sdf: Tensor, cache: TetEdges, cut: Tensor) -> Crossings:
    ends = cache.edges[cut]
    s, t = (sdf.index_select(0, ends[:, k]) for k in (0, 1))
    return Crossings(cut, ends, s / (s - t))


def _faces(flags: Tensor, tets: Tensor, cache: TetEdges, number: Tensor) -> Tensor:
    """Triangles int64 [F,3] as indices into the sign-changing edges; ``flags`` is 1 inside, 0 outside."""
    corners = flags[tets.reshape(-1)]
    # a tetrahedron's four flags read as one number: few are cut, and only those are looked at closely
    four = corners.view(torch.int32)
    cut = ((four != 0) & (four != 0x01010101)).nonzero()[:, 0]
    case = (corners.view(-1, 4)[cut].long() * torch.tensor([1, 2, 4, 8], device=cut.device)).sum(dim=1)
    local = cache.table[case]
    edges = torch.gather(cache.tet_edges[cut], 1, local.clamp(min=0))
    triangles = number[edges].reshape(-1, 3)
    return triangles[local.reshape(-1, 3)[:, 0] >= 0]


def _case_table() -> list[list[int]]:
    """Row ``c`` lists the triangles when the vertices whose bits are set in ``c`` are inside."""
    rows = []
    for case in range(16):
        inside = [v for v in range(4) if case >> v & 1]
        outside = [v for v in range(4) if not case >> v & 1]
        rows.append([-1] * 6 if len(inside) in (0, 4) else _case_row(inside, outside))
    return rows


def _case_row(inside: list[int], outside: list[int]) -> list[int]:
    """Local edges of one case's triangles, derived on the tetrahedron 0, x, y, z.

    There, corner 0 alone inside is cut by (01, 02, 03), whose normal (1,1,1) points away from it; corners 0
    and 1 inside are cut by the quadrilateral (02, 03, 13, 12), whose normal (0,1,1) points to 2 and 3. Every
    other case is one of these two under a rotation, that is an even permutation.
    """
    alone = inside if len(inside) == 1 else outside
    if len(alone) == 1:
        others = [v for v in range(4) if v != alone[0]]
        corners = [_edge(alone[0], v) for v in _evened(alone, others)]
        return [*(corners if alone is inside else corners[::-1]), -1, -1, -1]
    (i, j), (k, m) = inside, _evened(inside, outside)
    loop = [_edge(i, k), _edge(i, m), _edge(j, m), _edge(j, k)]
    return [loop[0], loop[1], loop[2], loop[0], loop[2], loop[3]]


def _evened(first: list[int], rest: list[int]) -> list[int]:
    """``rest``, its last two swapped if that makes ``first + rest`` an even permutation of 0..3."""
    order = first + rest
    inversions = sum(a > b for a, b in itertools.combinations(order, 2))
    return rest if inversions % 2 == 0 else [*rest[:-2], rest[-1], rest[-2]]


def _edge(a: int, b: int) -> int:
    return EDGES.index((min(a, b), max(a, b)))
