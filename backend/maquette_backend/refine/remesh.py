"""Remesh: the subject as a signed distance on a tetrahedral grid (DMTet, Shen et al. 2021), moved within a bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette_backend.fields.grid_field import GridField
from maquette_backend.refine.surface import Surface
from maquette_backend.render.edges import build_topology
from maquette_backend.shape.bcc import TetGrid, grid, narrow_band
from maquette_backend.shape.kaolin_tets import extractor
from maquette_backend.shape.marching_tets import TetEdges, tet_edges
from maquette_backend.shape.regularisers import normal_consistency, sign_change
from maquette_backend.shape.sdf import signed_distance

LATTICE_PER_CLASS = 0.4
"""BCC cells a side per unit of a DMTet grid's class: 51 cells have the size of the classic "128" grid (METHODS §7 [T])."""


@dataclass(frozen=True)
class RemeshSettings:
    """How a DMTet body moves."""

    grid_class: int = 64
    """The classic name of the grid's size: 32, 64, 128."""
    bound: float = 0.05
    """How far the surface may move outwards, in units of the longest side."""
    inward_share: float = 0.5
    """A part may lose at most this share of its own half thickness, so that thin parts do not vanish."""
    learning_rate: float = 1.2e-3
    smoothness: float = 60.0
    """Weight of the squared gradient of the displacement."""
    sign_weight: float = 0.05
    """Weight of the cross-entropy against needless sign changes (floaters, inner shells)."""
    normal_weight: float = 3.0
    """Weight of the angle between neighbouring triangles."""


class RemeshBody(nn.Module):
    """Signed distance ``base + displacement`` plus a small shift of the grid's vertices.

    Only the band of the grid that the surface can reach is kept, so a step costs what the surface costs.
    """

    vertices: Tensor
    tets: Tensor
    base: Tensor
    inward: Tensor

    def __init__(
        self,
        positions: NDArray[np.float32],
        triangles: NDArray[np.int32],
        settings: RemeshSettings,
        device: torch.device = torch.device("cpu"),  # noqa: B008 (immutable)
    ) -> None:
        super().__init__()
        self.settings = settings
        self.learning_rate = settings.learning_rate
        full = grid(max(8, round(settings.grid_class * LATTICE_PER_CLASS)))
        base = torch.from_numpy(signed_distance(full.vertices.numpy(), positions, triangles))
        band, base, inward = _reachable(full, base, settings)
        band = band.to(device)
        self._extract = extractor(device)
        self._spacing = full.spacing
        self._edges: TetEdges = tet_edges(band.tets)
        start, end = self._edges.edges.unbind(1)
        self._inverse_length = 1 / (band.vertices[start] - band.vertices[end]).norm(dim=1, keepdim=True)
        self.register_buffer("vertices", band.vertices, persistent=False)
        self.register_buffer("tets", band.tets, persistent=False)
        self.register_buffer("base", base.to(device), persistent=False)
        self.register_buffer("inward", inward.to(device), persistent=False)
        self.field = GridField(4).to(device)

    def surface(self) -> Surface:
        moved = self.field(self.vertices)
        sdf = self.base + self._bounded(moved[:, 0])
        # small enough that every tetrahedron keeps its orientation, and never past the bound
        shift = min(0.2 * self._spacing, self.settings.bound)
        vertices = self.vertices + shift * torch.tanh(moved[:, 1:] / self._spacing)
        positions, triangles = self._extract(vertices, sdf, self.tets, self._edges)
        return Surface(positions, triangles, build_topology(triangles), moved)

    def penalty(self, surface: Surface) -> Tensor:
        displacement = self.field(self.vertices) if surface.displacement is None else surface.displacement
        start, end = self._edges.edges.unbind(1)
        change = displacement.index_select(0, start) - displacement.index_select(0, end)
        slope = (change * self._inverse_length).square().sum(1).mean()
        bend = normal_consistency(surface.positions, surface.triangles, surface.topology.triangles)
        signs = sign_change(self.base + self._bounded(displacement[:, 0]), self._edges.edges)
        weights = self.settings
        return weights.smoothness * slope + weights.normal_weight * bend + weights.sign_weight * signs

    def _bounded(self, displacement: Tensor) -> Tensor:
        """Positive displacements shrink the solid, negative ones grow it; each has its own hard bound, slope 1 at 0."""
        outward = self.settings.bound
        return torch.where(
            displacement > 0,
            self.inward * torch.tanh(displacement / self.inward),
            outward * torch.tanh(displacement / outward),
        )


def _reachable(full: TetGrid, base: Tensor, settings: RemeshSettings) -> tuple[TetGrid, Tensor, Tensor]:
    """The band of the grid that the surface can reach, its distances, and the bound of inward motion, each [V]."""
    edges = tet_edges(full.tets).edges
    thickness = _half_thickness(base, edges, reach=2 * settings.bound + full.spacing, spacing=full.spacing)
    inward = (settings.inward_share * thickness).clamp(min=1e-4, max=settings.bound)
    keep = base.abs() < settings.bound + 1.5 * full.spacing
    band = narrow_band(full, keep)
    used = torch.zeros(len(base), dtype=torch.bool)
    used[full.tets[keep[full.tets].any(1)].reshape(-1)] = True
    return band, base[used], inward[used]


def _half_thickness(base: Tensor, edges: Tensor, reach: float, spacing: float) -> Tensor:
    """The greatest depth inside the solid found within ``reach`` of each grid vertex, [V]."""
    depth = (-base).clamp(min=0)
    for _ in range(max(1, round(reach / spacing))):
        start, end = edges.unbind(1)
        depth = depth.scatter_reduce(0, start, depth[end], "amax").scatter_reduce(0, end, depth[start], "amax")
    return depth
