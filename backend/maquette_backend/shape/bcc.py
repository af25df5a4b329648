"""Body-centred cubic tetrahedral grids: what marching tetrahedra runs on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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
    p = vertices[tets]
    volume = torch.linalg.det(p[:, 1:] - p[:, :1])
    return torch.where((volume < 0)[:, None], tets[:, [0, 1, 3, 2]], tets)
