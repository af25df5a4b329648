"""The grid that a remeshed subject lives on: the band its surface can reach, thin parts made thick enough to be seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.shape.bcc import TetGrid, grid, grid_near, narrow_band
from maquette_backend.shape.marching_tets import TetEdges, tet_edges
from maquette_backend.shape.sdf import Solid
from maquette_backend.shape.thickness import ThinPlaces, thin_places

LATTICE_PER_CLASS = 0.4
"""BCC cells a side per unit of a DMTet grid's class: 51 cells have the size of the classic "128" grid (METHODS §7 [T])."""
DENSEST_CLASS = 128
"""Above this the whole grid is never made, only what lies near the surface."""
SEEN_RADIUS = 0.6
"""In cells: a ball of this radius holds a lattice point wherever it lies (a BCC lattice's covering radius is √5/4)."""
GRID_SIDE = 1.24
"""Of the whole grid, unit space."""
_LEAST_INWARD = 1e-4


@dataclass(frozen=True)
class RemeshGrid:
    """A band of a tetrahedral grid, and what is known at its vertices."""

    grid: TetGrid
    edges: TetEdges
    stiffness: Tensor
    """[E,1]: what a difference between an edge's ends counts for: one over its length, less where it leads away from the
    surface or round a crease (``_along``)."""
    base: Tensor
    """[V] signed distance to the start's solid, less ``extra``."""
    extra: Tensor
    """[V] ≥ 0: by how much thin parts are thickened while the surface is found; taken off it afterwards."""
    inward: Tensor
    """[V] how far the surface may move inwards."""

    @property
    def has_thin_parts(self) -> bool:
        return bool((self.extra > 0).any())


def lattice_cells(grid_class: int) -> int:
    """Lattice cubes a side of a grid of a class."""
    return max(8, round(grid_class * LATTICE_PER_CLASS))


def remesh_grid(
    solid: Solid, grid_class: int, bound: float, inward_share: float, device: torch.device
) -> RemeshGrid:
    """The band in which a surface that starts at ``solid`` and moves at most ``bound`` stays."""
    cells = lattice_cells(grid_class)
    spacing = GRID_SIDE / cells
    needed = SEEN_RADIUS * spacing
    thin = thin_places(solid, needed / (1 - inward_share), 0.5 * spacing)
    reach = bound + 1.5 * spacing
    source = _source(solid, cells, grid_class, reach + needed)
    vertices = source.vertices.double().numpy()
    seen, outward = solid.to_surface(vertices)
    distance = torch.from_numpy(solid.distance(vertices) if solid.is_open else seen).float()
    sample = thin.nearest(vertices, distance.numpy(), spacing)
    is_thin = sample >= 0
    extra = np.zeros(len(vertices))
    extra[is_thin] = _thickening(thin, needed, inward_share, spacing)[sample[is_thin]]
    base = _within_grid(distance - torch.from_numpy(extra).float(), source.vertices, bound + 0.1 * spacing)
    edges = tet_edges(source.tets).edges
    half = _half_thickness(distance, edges, 2 * bound + spacing, spacing)
    half[torch.from_numpy(is_thin)] = torch.from_numpy(thin.half_thickness[sample[is_thin]]).float()
    inward = (inward_share * half).clamp(min=min(_LEAST_INWARD, bound), max=bound)
    keep = _reached(base, edges, reach)
    used = _used_by(source, keep)
    thickened, away = torch.from_numpy(extra).float()[used], torch.from_numpy(outward).float()[used]
    return _on_device(narrow_band(source, keep), base[used], thickened, inward[used], away, device)


def _thickening(thin: ThinPlaces, needed: float, inward_share: float, spacing: float) -> NDArray[np.float64]:
    """By how much each thin sample's surface [S] is moved outwards, so that it is still ``needed`` thick after the
    farthest motion inwards; but not so far that it grows together with what the grid can tell it apart from."""
    extra = np.maximum(0, needed - (1 - inward_share) * thin.half_thickness)
    # the gap is known from below, to an eighth of a step; a little under a cell may be a whole one
    return np.where(thin.gap > 0.75 * spacing, np.minimum(extra, 0.5 * (thin.gap - spacing).clip(min=0.1 * spacing) - 0.05 * spacing), extra)


def _on_device(
    band: TetGrid, base: Tensor, extra: Tensor, inward: Tensor, outward: Tensor, device: torch.device
) -> RemeshGrid:
    band = band.to(device)
    edges = tet_edges(band.tets)
    stiffness = _along(band.vertices, outward.to(device), edges.edges)
    return RemeshGrid(band, edges, stiffness, base.to(device), extra.to(device), inward.to(device))


def _along(vertices: Tensor, outward: Tensor, edges: Tensor) -> Tensor:
    """What the slope of a displacement along each edge counts for, over the edge's length, [E,1].

    A displacement is smooth along the surface. Through it, and round its creases, it has no reason to be: the two sides
    of a thin plate, or a side and a bottom, move each by itself. So an edge counts for as much as the surfaces that are
    nearest to its ends face the same way, and as it runs along them. ``outward`` [V,3] is straight away from the
    surface, 0 on it.
    """
    start, end = edges.unbind(1)
    edge = vertices.index_select(0, end) - vertices.index_select(0, start)
    length = edge.norm(dim=1, keepdim=True)
    one, other = (outward.index_select(0, each) for each in (start, end))
    across = ((edge / length) * torch.stack([one, other])).sum(2, keepdim=True)
    off = across.square().mean(0)
    on_surface = ((one == 0).all(1) | (other == 0).all(1))[:, None]
    alike = torch.where(on_surface, 1.0, (one * other).sum(1, keepdim=True).clamp(min=0))
    return (alike * (1 - off).clamp(min=0)).sqrt() / length


def _source(solid: Solid, cells: int, grid_class: int, reach: float) -> TetGrid:
    """The whole grid, or what of it is near the surface, where the whole would be too large."""
    if grid_class <= DENSEST_CLASS:
        return grid(cells)
    return grid_near(cells, _unsigned(solid), reach)


def _unsigned(solid: Solid) -> Callable[[Tensor], Tensor]:
    """The unsigned distance of points [P,3], or less."""
    # towards an opening the distance is a first-order one, which may be too long
    trust = 0.5 if solid.is_open else 1.0
    return lambda points: trust * torch.from_numpy(np.abs(solid.distance(points.double().numpy()))).float()


def _used_by(source: TetGrid, keep: Tensor) -> Tensor:
    """Which vertices ``narrow_band(source, keep)`` keeps, bool [V]."""
    used = torch.zeros(len(source.vertices), dtype=torch.bool)
    used[source.tets[keep[source.tets].any(1)].reshape(-1)] = True
    return used


def _within_grid(base: Tensor, vertices: Tensor, least: float) -> Tensor:
    """``base`` [V], at least ``least`` on the grid's own border: what was thickened on a coarse grid does not grow out of
    it, where its surface would have a hole."""
    border = vertices.abs().amax(1) >= GRID_SIDE / 2 - 1e-6
    return torch.where(border, base.clamp(min=least), base)


def _reached(base: Tensor, edges: Tensor, reach: float) -> Tensor:
    """Which vertices the surface can come to, bool [V]. Beside the opening of a badly broken mesh the signed distance is
    a guess and may jump from far inside to far outside along an edge; there is a surface too, or it would have a border."""
    crossed = edges[(base[edges] < 0).sum(1) == 1].reshape(-1)
    return (base.abs() < reach).index_fill(0, crossed, True)


def _half_thickness(base: Tensor, edges: Tensor, reach: float, spacing: float) -> Tensor:
    """The greatest depth inside the solid found within ``reach`` of each grid vertex, [V]."""
    depth = (-base).clamp(min=0)
    start, end = edges.unbind(1)
    for _ in range(max(1, round(reach / spacing))):
        depth = depth.scatter_reduce(0, start, depth[end], "amax").scatter_reduce(0, end, depth[start], "amax")
    return depth
