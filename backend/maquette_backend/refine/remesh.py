"""Remesh: the subject as a signed distance on a tetrahedral grid (DMTet, Shen et al. 2021), moved within a bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette_backend.fields.grid_field import GridField
from maquette_backend.refine.remesh_grid import LATTICE_PER_CLASS, RemeshGrid, remesh_grid
from maquette_backend.refine.surface import Surface
from maquette_backend.refine.thin_edges import ThinEdges, to_level
from maquette_backend.render.edges import build_topology
from maquette_backend.shape import marching_tets
from maquette_backend.shape.field_controls import FieldControls
from maquette_backend.shape.kaolin_tets import extractor
from maquette_backend.shape.marching_tets import Crossings, crossings
from maquette_backend.shape.regularisers import normal_consistency, sign_change
from maquette_backend.shape.sdf import Solid, solid_of

COARSEST_CLASS = 48
"""A grid is preceded by one of half its class where that is not coarser than this."""
COARSE_SHARE = 0.4
"""Share of the steps that run on the coarser grid."""
FINE_CLASS = 64
"""Above this the displacement has a level of 64 samples a side as well."""
CARRIED_LEVELS = 2
"""So many of the displacement's coarsest levels carry parts along as well."""
FARTHEST_CARRIED = 0.05
"""Nothing is carried farther than this, in units of the longest side: the finer of those levels has samples 0.18 apart,
so that even opposite ways of neighbouring samples turn no tetrahedron over."""
TAKEN_OFF = 0.95
"""While it moves, a thickened part loses this share of what was added: the last bit keeps its triangles an area."""


@dataclass(frozen=True)
class RemeshSettings:
    """How a DMTet body moves."""

    grid_class: int = 64
    """The classic name of the grid's size: 32, 64, 128, 256."""
    bound: float = 0.05
    """How far the surface may move outwards, in units of the longest side."""
    inward_share: float = 0.5
    """A part may lose at most this share of its own half thickness, so that thin parts do not vanish."""
    learning_rate: float = 1.2e-3
    smoothness: float = 60.0
    """Weight of the squared gradient of the displacement along the surface."""
    sign_weight: float = 0.05
    """Weight of the cross-entropy against needless sign changes (floaters, inner shells)."""
    normal_weight: float = 3.0
    """Weight of the angle between neighbouring triangles."""
    recall: float = 6000.0
    """Weight of the mean squared length by which a wish is past its bound. Out there the bound's slope is next to nothing,
    and where a part is thin a few steps lead there: without it a surface that overshot would stay whatever is seen."""
    anchor: float = 0.0
    """Weight of the mean squared displacement: how strongly the surface is held where it was."""


class RemeshBody(nn.Module):
    """Signed distance ``base + displacement`` on a grid whose vertices are moved: carried along far and smoothly, so
    that a thin wall can go somewhere else though neither of its sides may go far into it, and shifted a little each.

    Only the band of the grid that the surface can reach is kept, so a step costs what the surface costs. The
    displacement is a function of place, so it goes from a coarse grid to a fine one as it is: ``at`` says which, and
    nothing but the field is state.

    Parts too thin for the grid are found thickened, and what was added is taken off the vertices again, straight
    towards the start's surface (``_back``): the grid decides what hangs together, not how thick it is.
    """

    def __init__(
        self,
        positions: NDArray[np.float32],
        triangles: NDArray[np.int32],
        settings: RemeshSettings,
        device: torch.device = torch.device("cpu"),  # noqa: B008 (immutable)
        controls: FieldControls | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.controls = FieldControls() if controls is None else controls
        self._share: Tensor | None = None
        self.learning_rate = settings.learning_rate
        self.solid: Solid = solid_of(positions, triangles)
        self._device = device
        self._grid_class = settings.grid_class
        self._grid: RemeshGrid | None = None
        self._thin: ThinEdges | None = None
        levels = (4, 8, 16, 32) if settings.grid_class <= FINE_CLASS else (4, 8, 16, 32, 64)
        self.field = GridField(4, levels).to(device)

    @property
    def grid(self) -> RemeshGrid:
        """The grid of the present phase, made when it is first needed."""
        if self._grid is None:
            bound, inward = self.settings.bound, self.settings.inward_share
            self._grid = remesh_grid(self.solid, self._grid_class, bound, inward, self._device)
            self._share = self.controls.share(self._grid.grid.vertices)
        return self._grid

    def at(self, progress: float) -> None:
        """Use the grid that belongs to ``progress`` 0..1 through the geometry stage; 1 is the finest."""
        fine = self.settings.grid_class
        coarse = fine // 2 if fine // 2 >= COARSEST_CLASS else fine
        wanted = coarse if progress < COARSE_SHARE else fine
        if wanted != self._grid_class:
            self._grid_class, self._grid, self._thin = wanted, None, None

    def finest(self) -> RemeshGrid:
        """The grid on which the surface is delivered, from now on the present one."""
        self.at(1.0)
        return self.grid

    def surface(self) -> Surface:
        grid = self.grid
        moved, vertices, sdf = self._placed()
        if grid.has_thin_parts:
            positions, triangles = marching_tets.extract(vertices, sdf, grid.grid.tets, grid.edges)
            positions = positions + self._back(sdf)
        else:
            positions, triangles = extractor(self._device)(vertices, sdf, grid.grid.tets, grid.edges)
        return Surface(positions, triangles, build_topology(triangles), moved)

    @torch.no_grad()
    def delivered(self) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float64]]:
        """The surface on the finest grid, each vertex exactly as far from the start's surface as its displacement says:
        between two grid vertices the distance is not linear, which cuts edges and thins what is round. And where each
        vertex [V,3] would be had the grid not been carried along."""
        self.at(1.0)
        _, vertices, sdf = self._placed()
        return self._exactly(vertices, sdf)

    @torch.no_grad()
    def unmoved(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """The surface on the finest grid as it would be delivered had nothing moved; it closes what was open."""
        self.at(1.0)
        vertices = self.grid.grid.vertices
        return self._exactly(vertices, self.controls.cut(self.grid.base, vertices))[:2]

    def penalty(self, surface: Surface) -> Tensor:
        grid = self.grid
        moved = self._wished() if surface.displacement is None else surface.displacement
        start, end = grid.edges.edges.unbind(1)
        change = moved.index_select(0, start) - moved.index_select(0, end)
        slope = (change * grid.stiffness).square().sum(1).mean()
        bend = normal_consistency(surface.positions, surface.triangles, surface.topology.triangles)
        signs = sign_change(grid.base + self._bounded(moved), grid.edges.edges)
        weights = self.settings
        held = weights.anchor * moved[:, :4].square().sum(1).mean() + weights.recall * self._past(moved).square().mean()
        return weights.smoothness * slope + weights.normal_weight * bend + weights.sign_weight * signs + held

    def _placed(self) -> tuple[Tensor, Tensor, Tensor]:
        """What is wished for [V,7], and after it: the grid's vertices [V,3] and the signed distance there [V]."""
        grid, moved = self.grid, self._wished()
        vertices = grid.grid.vertices + self._carried(moved) + self._shift(moved)
        return moved, vertices, self.controls.cut(grid.base + self._bounded(moved), vertices)

    def _wished(self) -> Tensor:
        """[V,7]: displacement, carrying and shift of the grid's vertices, before any bound, as symmetric as is asked for."""
        return self.controls.even(self._field_at, self.grid.grid.vertices)

    def _field_at(self, points: Tensor) -> Tensor:
        """[P,7] at points [P,3]: every level says how far the surface moves, the coarse ones where to parts are carried,
        the fine ones how vertices are shifted."""
        levels = self.field.by_level(points)
        displacement = levels[..., :1].sum(0)
        coarse, fine = levels[:CARRIED_LEVELS, :, 1:].sum(0), levels[CARRIED_LEVELS:, :, 1:].sum(0)
        return torch.cat([displacement, coarse, fine], 1)

    def _bounded(self, moved: Tensor) -> Tensor:
        """[V]: positive displacements shrink the solid, negative ones grow it; each has its own hard bound, slope 1 at 0,
        and what is carried along may not go as far besides."""
        farthest = self._farthest(moved)
        assert self._share is not None
        rest = 1 - self._carried(moved).norm(dim=1) / max(self.settings.bound, 1e-12)
        return (self._share * rest.clamp(min=0)) * farthest * torch.tanh(moved[:, 0] / farthest)

    def _farthest(self, moved: Tensor) -> Tensor:
        """[V]: the displacement's bound, inwards or outwards."""
        inward = self.grid.inward
        return torch.where(moved[:, 0] > 0, inward, torch.full_like(inward, self.settings.bound))

    def _past(self, moved: Tensor) -> Tensor:
        """[V]: how far past its bound the displacement is wished."""
        return (moved[:, 0].abs() - self._farthest(moved)).clamp(min=0)

    def _carried(self, moved: Tensor) -> Tensor:
        """[V,3]: never past the bound, and along the floor where there is one."""
        wished, farthest = moved[:, 1:4], min(self.settings.bound, FARTHEST_CARRIED)
        assert self._share is not None
        length = wished.square().sum(1, keepdim=True).clamp(min=1e-16).sqrt()
        way = self.controls.level(wished / length)
        return self._share[:, None] * farthest * torch.tanh(length / farthest) * way

    def _shift(self, moved: Tensor) -> Tensor:
        """[V,3]: small enough that every tetrahedron keeps its orientation, and never past the bound or through a thin
        part."""
        spacing = self.grid.grid.spacing
        assert self._share is not None
        return (self._share * self.grid.inward.clamp(max=0.2 * spacing))[:, None] * torch.tanh(moved[:, 4:] / spacing)

    @torch.no_grad()
    def _back(self, sdf: Tensor) -> Tensor:
        """What takes the thickening off the surface's vertices, [N,3]; the gradient passes by it. Along one edge of the
        grid it depends on the place alone, so it is asked for once per edge, at a few places."""
        if self._thin is None:
            self._thin = ThinEdges(self.grid, self.solid)
        return TAKEN_OFF * self._thin.back(crossings(sdf, self.grid.edges))

    def _exactly(
        self, vertices: Tensor, sdf: Tensor
    ) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float64]]:
        grid = self.grid
        positions, triangles = marching_tets.extract(vertices, sdf, grid.grid.tets, grid.edges)
        found = crossings(sdf, grid.edges)
        back = self._exactly_back(found)
        came_from = found.between(grid.grid.vertices) + back
        placed = (positions + back).cpu().numpy().astype(np.float32)
        return placed, triangles.cpu().numpy().astype(np.int32), came_from.cpu().numpy().astype(np.float64)

    def _exactly_back(self, found: Crossings) -> Tensor:
        """What puts every vertex exactly at its level, [N,3]."""
        grid = self.grid
        values = (found.between(each) for each in (grid.grid.vertices, grid.base, grid.extra))
        return to_level(self.solid, grid.grid.spacing, *values)


__all__ = ["LATTICE_PER_CLASS", "RemeshBody", "RemeshSettings"]
