"""Keep Topology: offsets on the artist's own vertices, preconditioned so that they move smoothly."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette_backend.refine.controls import Controls, anchor_factor
from maquette_backend.refine.surface import Surface
from maquette_backend.render.edges import build_topology
from maquette_backend.shape.offsets import LargeSteps
from maquette_backend.shape.start_shape import StartShape, StartWeights
from maquette_backend.shape.tied_offsets import TiedOffsets
from maquette_backend.shape.ties import tie


@dataclass(frozen=True)
class OffsetSettings:
    """How an artist's vertices move."""

    bound: float = 0.05
    """How far a vertex may move, in units of the longest side; never exceeded."""
    smoothness: float = 10.0
    """λ of (I + λL)⁻¹ (Nicolet et al. 2021, eq. 8) at edges of 0.02, so that motions are smooth over the same length
    in space on a mesh of any density."""
    learning_rate: float = 2e-3
    weights: StartWeights = field(default_factory=StartWeights)
    """How strongly the start mesh is held on to."""

    def held(self, stay_close: float) -> OffsetSettings:
        """With the anchor of ``stay_close`` 0..1; ½ changes nothing."""
        anchor = self.weights.anchor * anchor_factor(stay_close)
        return replace(self, weights=replace(self.weights, anchor=anchor))


class OffsetBody(nn.Module):
    """Start positions plus bounded, smoothly preconditioned offsets; triangles never change.

    Nothing that has a share of 0 moves, nor does a vertex of no triangle; their neighbours come to rest smoothly.
    """

    start: Tensor
    triangles: Tensor

    def __init__(
        self,
        positions: NDArray[np.float32],
        triangles: NDArray[np.int32],
        settings: OffsetSettings,
        device: torch.device = torch.device("cpu"),  # noqa: B008 (immutable)
        controls: Controls | None = None,
        unit_from_object: NDArray[np.floating] | None = None,
    ) -> None:
        """``positions`` [V,3] in unit space; ``controls`` hold in object space, from where ``unit_from_object`` [3,3]
        leads to unit space; without them nothing is locked and the two spaces are one."""
        super().__init__()
        self.settings = settings
        self.learning_rate = settings.learning_rate
        allowed = unlocked(positions, triangles) if controls is None else controls
        linear = np.eye(3) if unit_from_object is None else unit_from_object
        self.register_buffer("start", torch.from_numpy(positions.copy()).to(device), persistent=False)
        self.register_buffer("triangles", torch.from_numpy(triangles.astype(np.int64)).to(device), persistent=False)
        self._topology = build_topology(self.triangles)
        self._shape = StartShape(self.start, self.triangles, allowed.sharp_edges)
        still: NDArray[np.bool_] = np.zeros(len(positions), bool)
        still[triangles.reshape(-1)] = True  # a vertex of no triangle stays too, but holds no other at its place
        still &= allowed.share == 0
        pinned = torch.from_numpy(still).to(device)
        self._smooth = LargeSteps(self.start, self.triangles, settings.smoothness, pinned)
        self._allowed = TiedOffsets(allowed.ties, allowed.share, linear, settings.bound, device)
        self.differential = nn.Parameter(torch.zeros_like(self.start))

    def surface(self) -> Surface:
        moved = self._allowed.in_unit_space(self._offsets())
        return Surface(self.start + moved, self.triangles, self._topology, moved)

    def penalty(self, surface: Surface) -> Tensor:
        moved = surface.positions - self.start if surface.displacement is None else surface.displacement
        return self._shape.change(surface.positions, moved, self.settings.weights)

    def object_offsets(self) -> NDArray[np.float32]:
        """[V,3] in object space; exactly 0 where nothing may move."""
        with torch.no_grad():
            return self._offsets().cpu().numpy()

    def _offsets(self) -> Tensor:
        return self._allowed.in_object_space(self._smooth.from_differential(self.differential))


class FixedBody(nn.Module):
    """Texture only: a surface that does not move."""

    learning_rate = 0.0

    def __init__(
        self,
        positions: NDArray[np.float32],
        triangles: NDArray[np.int32],
        device: torch.device = torch.device("cpu"),  # noqa: B008 (immutable)
    ) -> None:
        super().__init__()
        faces = torch.from_numpy(triangles.astype(np.int64)).to(device)
        self._surface = Surface(torch.from_numpy(positions.copy()).to(device), faces, build_topology(faces))

    def surface(self) -> Surface:
        return self._surface

    def penalty(self, surface: Surface) -> Tensor:
        return surface.positions.new_zeros(())


def unlocked(positions: NDArray[np.float32], triangles: NDArray[np.int32]) -> Controls:
    """Every vertex of a triangle may move; those at one place move together."""
    used: NDArray[np.bool_] = np.zeros(len(positions), bool)
    used[triangles.reshape(-1)] = True
    return Controls(tie(positions, used), used.astype(np.float32), np.zeros((0, 2), np.int32))
