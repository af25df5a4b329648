"""Body-centred cubic tetrahedral grids: what marching tetrahedra runs on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_COARSEST_CELLS = 8
"""A search for the cubes near a surface begins with about so many a side."""


@dataclass(frozen=True)
class TetGrid:
    """Tetrahedra that fill a box (or a band of it) face to face."""

    vertices: Tensor
    """float32 [V,3]."""
    tets: Tensor
    """int64 [T,4]; every one positively oriented: det(v1−v0, v2−v0, v3−v0) > 0."""
    spacing: float
    """Side of a lattice cube; the longest edge of a tetrahedron."""

    def to(self, device: torch.device | str) -> TetGrid:
        """The same grid on another device."""
        return TetGrid(self.vertices.to(device), self.tets.to(device), self.spacing)


def grid(cells: int, low: float = -0.62, high: float = 0.62) -> TetGrid:
    """A cube [low, high]³ of ``cells``³ lattice cubes, their corners and centres joined to tetrahedra.

    Two cubes that share a face share four tetrahedra (both centres and one face edge each); a face on the
    outside is split into two triangles, each joined to its one centre. The shapes are better than those of
    the split of a cube into six, which prefers one diagonal (Labelle and Shewchuk 2007, section 3).

    Raises ``ValueError`` for ``cells < 1`` or an empty box.
    """
    if cells < 1 or not high > low:
        raise ValueError(f"a grid needs cells >= 1 and high > low, not {cells} cells in [{low}, {high}]")
    spacing = (high - low) / cells
    corners = _lattice(cells + 1) * spacing + low
    centers = (_lattice(cells) + 0.5) * spacing + low
    pieces = [_across_axis(cells, axis) for axis in range(3)]
    tets = torch.cat([part for pair in pieces for part in pair])
    vertices = torch.cat([corners, centers]).float()
    return TetGrid(vertices, _positively_oriented(vertices, tets), spacing)


def narrow_band(source: TetGrid, keep: Tensor) -> TetGrid:
    """The tetrahedra with at least one vertex in ``keep`` (bool [V]), and only the vertices they use.

    With ``keep = |signed distance| < band`` a surface stays closed as long as it moves less than ``band``.
    """
    tets = source.tets[keep[source.tets].any(dim=1)]
    used = torch.zeros(len(source.vertices), dtype=torch.bool, device=tets.device)
    used[tets.reshape(-1)] = True
    renumbered = torch.cumsum(used, 0) - 1
    return TetGrid(source.vertices[used], renumbered[tets], source.spacing)


def cubes_near(cells: int, distance: Callable[[Tensor], Tensor], reach: float, low: float, high: float) -> Tensor:
    """The lattice cubes, int64 [N,3], that may hold a point within ``reach`` of a surface; coarse to fine, so that no
    more is ever looked at than a multiple of what is found.

    ``distance`` gives for points [P,3] (float32) the unsigned distances [P] to the surface, or less.
    """
    spacing = (high - low) / cells
    size = 1
    while cells / size > _COARSEST_CELLS:
        size *= 2
    found = _lattice(-(-cells // size)).long()
    while True:
        center = ((found + 0.5) * (size * spacing) + low).float()
        found = found[distance(center) <= reach + 3**0.5 / 2 * size * spacing]
        if size == 1:
            return found
        found = (2 * found[:, None] + _lattice(2).long()).reshape(-1, 3)
        size //= 2
        found = found[(found * size < cells).all(dim=1)]


def grid_near(
    cells: int, distance: Callable[[Tensor], Tensor], reach: float, low: float = -0.62, high: float = 0.62
) -> TetGrid:
    """The part of ``grid(cells, low, high)`` that ``narrow_band`` keeps for all vertices within ``reach`` of a
    surface, made without ever making the whole. ``distance`` is that of ``cubes_near``."""
    spacing = (high - low) / cells
    cubes = cubes_near(cells, distance, reach, low, high)
    codes, tets = _tets_of(cubes, cells)
    vertices = (_corner_or_center(codes, cells) * spacing + low).float()
    whole = TetGrid(vertices, _positively_oriented(vertices, tets), spacing)
    return narrow_band(whole, distance(vertices) <= reach)


def _tets_of(cubes: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """All tetrahedra that have a part in one of ``cubes`` [N,3]: the codes of their vertices, and themselves [T,4].

    A corner's code is that of its lattice point, a centre's lies ``(cells + 1)³`` further on.
    """
    corner_step, center_step, first_center = _strides(cells + 1), _strides(cells), (cells + 1) ** 3
    pieces = []
    for axis in range(3):
        u, v = corner_step[(axis + 1) % 3], corner_step[(axis + 2) % 3]
        upper = cubes + torch.eye(3, dtype=torch.int64)[axis]
        face = torch.unique(torch.cat([cubes, upper]) @ corner_step)
        index = torch.stack([face // corner_step[0], face // corner_step[1] % (cells + 1), face % (cells + 1)], dim=1)
        around = face[:, None] + torch.tensor([0, u, u + v, v])
        inside = (index[:, axis] > 0) & (index[:, axis] < cells)
        above = (index @ center_step)[:, None] + first_center
        below = above - center_step[axis]
        ends = torch.cat([below, above], dim=1)[inside][:, None].expand(-1, 4, -1)
        edges = torch.stack([around, around.roll(-1, dims=1)], dim=2)[inside]
        pieces.append(torch.cat([ends, edges], dim=2).reshape(-1, 4))
        center = torch.where(index[:, axis : axis + 1] > 0, below, above)
        outer = torch.stack([torch.cat([center, around[:, k]], 1) for k in ([0, 1, 2], [0, 2, 3])], dim=1)
        pieces.append(outer[~inside].reshape(-1, 4))
    codes, number = torch.unique(torch.cat(pieces), return_inverse=True)
    return codes, number.reshape(-1, 4)


def _corner_or_center(codes: Tensor, cells: int) -> Tensor:
    """Lattice coordinates [P,3], float64, of the vertices with these codes."""
    first_center = (cells + 1) ** 3
    is_center = codes >= first_center
    count = torch.where(is_center, cells, cells + 1)
    rest = torch.where(is_center, codes - first_center, codes)
    at = torch.stack([rest // (count * count), rest // count % count, rest % count], dim=1)
    return at.double() + 0.5 * is_center[:, None]


def _lattice(count: int) -> Tensor:
    """Integer points [count³,3], the last axis fastest, as float64."""
    axis = torch.arange(count, dtype=torch.float64)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)


def _across_axis(cells: int, axis: int) -> tuple[Tensor, Tensor]:
    """Tetrahedra around all lattice faces perpendicular to ``axis``: the interior ones, the outer ones."""
    corner_step = _strides(cells + 1)
    center_step = _strides(cells)
    first_center = (cells + 1) ** 3
    u, v = corner_step[(axis + 1) % 3], corner_step[(axis + 2) % 3]
    around = torch.tensor([0, u, u + v, v])

    interior = _index_ranges([(1, cells) if a == axis else (0, cells) for a in range(3)])
    face = (interior @ corner_step)[:, None] + around
    above = interior @ center_step + first_center
    below = above - center_step[axis]
    ends = torch.stack([below, above], dim=1)[:, None].expand(-1, 4, -1)
    edges = torch.stack([face, face.roll(-1, dims=1)], dim=2)
    inner = torch.cat([ends, edges], dim=2).reshape(-1, 4)

    outer = []
    for side, cube in ((0, 0), (cells, cells - 1)):
        index = _index_ranges([(side, side + 1) if a == axis else (0, cells) for a in range(3)])
        face = (index @ corner_step)[:, None] + around
        index[:, axis] = cube
        center = (index @ center_step)[:, None] + first_center
        outer += [torch.cat([center, face[:, [0, 1, 2]]], 1), torch.cat([center, face[:, [0, 2, 3]]], 1)]
    return inner, torch.cat(outer)


def _strides(count: int) -> Tensor:
    return torch.tensor([count * count, count, 1])


def _index_ranges(ranges: list[tuple[int, int]]) -> Tensor:
    """All integer triples in half-open ranges, [n,3]."""
    axes = [torch.arange(start, stop) for start, stop in ranges]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)


def _positively_oriented(vertices: Tensor, tets: Tensor) -> Tensor:
    """Swap two vertices of every tetrahedron of negative volume."""
    first, *sides = (vertices.index_select(0, tets[:, k]) for k in range(4))
    a, b, c = (side - first for side in sides)
    # written out: a batch of small determinants takes ten times as long
    volume = (torch.linalg.cross(a, b) * c).sum(1)
    return torch.where((volume < 0)[:, None], tets[:, [0, 1, 3, 2]], tets)
