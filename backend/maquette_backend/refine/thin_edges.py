"""How vertices of a thickened surface get back to where the thin part really is."""

from __future__ import annotations

import torch
from torch import Tensor

from maquette_backend.refine.remesh_grid import RemeshGrid
from maquette_backend.shape.marching_tets import Crossings
from maquette_backend.shape.sdf import Solid

PLACES = 5
"""Along an edge, both ends among them."""


class ThinEdges:
    """The way back at a few places of each edge of the grid that has a thickened end, found when it is first needed."""

    def __init__(self, grid: RemeshGrid, solid: Solid) -> None:
        self._grid, self._solid = grid, solid
        thin = (grid.extra > 0)[grid.edges.edges].any(1)
        self._row = torch.where(thin, torch.cumsum(thin, 0) - 1, -1)
        count = int(thin.sum())
        self._back = grid.base.new_zeros((count, PLACES, 3))
        self._known = torch.zeros(count, dtype=torch.bool, device=thin.device)

    def back(self, found: Crossings) -> Tensor:
        """[N,3] for the vertices of a surface, zero where nothing was thickened."""
        row = self._row[found.edges]
        mine = (row >= 0).nonzero()[:, 0]
        self._learn(row[mine], found.ends[mine])
        at = found.share[mine].clamp(0, 1) * (PLACES - 1)
        low = at.long().clamp(max=PLACES - 2)
        one, other = self._back[row[mine], low], self._back[row[mine], low + 1]
        back = self._back.new_zeros((len(row), 3))
        back[mine] = one + (other - one) * (at - low)[:, None]
        return back

    def _learn(self, row: Tensor, ends: Tensor) -> None:
        new = ~self._known[row]
        if not bool(new.any()):
            return
        share = torch.linspace(0, 1, PLACES, device=row.device).repeat(int(new.sum()))
        along = Crossings(row, ends[new].repeat_interleave(PLACES, 0), share)
        values = (along.between(each) for each in (self._grid.grid.vertices, self._grid.base, self._grid.extra))
        self._back[row[new]] = to_level(self._solid, self._grid.grid.spacing, *values).reshape(-1, PLACES, 3)
        self._known[row[new]] = True


def to_level(solid: Solid, spacing: float, places: Tensor, level: Tensor, extra: Tensor) -> Tensor:
    """From places [N,3] straight to where the start's surface is ``level`` [N] away, [N,3]; nowhere where that is farther
    than interpolation can be wrong, as beside an opening. ``extra`` [N] is what the solid was thickened by."""
    distance, outward = solid.to_surface(places.double().cpu().numpy())
    wrong = torch.from_numpy(distance).to(level) - level
    wrong = torch.where(wrong.abs() <= extra + 0.75 * spacing, wrong, 0.0)
    return -wrong[:, None] * torch.from_numpy(outward).to(level)
