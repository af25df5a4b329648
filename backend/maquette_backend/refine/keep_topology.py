"""Keep Topology: offsets on the artist's own vertices, preconditioned so that they move smoothly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette_backend.refine.surface import Surface
from maquette_backend.render.edges import build_topology
from maquette_backend.shape.offsets import LargeSteps
from maquette_backend.shape.regularisers import laplacian_change, normal_consistency


@dataclass(frozen=True)
class OffsetSettings:
    """How an artist's vertices move."""

    bound: float = 0.05
    """How far a vertex may move, in units of the longest side; never exceeded."""
    smoothness: float = 10.0
    """λ of (I + λL)⁻¹ (Nicolet et al. 2021, eq. 8)."""
    learning_rate: float = 2e-3
    anchor: float = 60.0
    """Weight of the mean squared offset: how strongly a vertex is held where it was."""
    laplacian_weight: float = 200.0
    """Weight of the change of the uniform Laplacian: keeps the artist's own detail and corners."""
    normal_weight: float = 0.5


class OffsetBody(nn.Module):
    """Start positions plus bounded, smoothly preconditioned offsets; triangles never change."""

    start: Tensor
    triangles: Tensor

    def __init__(
        self,
        positions: NDArray[np.float32],
        triangles: NDArray[np.int32],
        settings: OffsetSettings,
        device: torch.device = torch.device("cpu"),  # noqa: B008 (immutable)
    ) -> None:
        super().__init__()
        self.settings = settings
        self.learning_rate = settings.learning_rate
        self.register_buffer("start", torch.from_numpy(positions.copy()).to(device), persistent=False)
        self.register_buffer("triangles", torch.from_numpy(triangles.astype(np.int64)).to(device), persistent=False)
        self._topology = build_topology(self.triangles)
        self._smooth = LargeSteps(self.start, self.triangles, settings.smoothness)
        self.differential = nn.Parameter(torch.zeros_like(self.start))

    def surface(self) -> Surface:
        return Surface(self.start + self._offsets(), self.triangles, self._topology)

    def penalty(self, surface: Surface) -> Tensor:
        anchor = (surface.positions - self.start).square().sum(1).mean()
        bend = normal_consistency(surface.positions, surface.triangles, self._topology.triangles)
        detail = laplacian_change(surface.positions, self.start, self.triangles)
        weights = self.settings
        return weights.anchor * anchor + weights.laplacian_weight * detail + weights.normal_weight * bend

    def _offsets(self) -> Tensor:
        """[V,3], never longer than the bound: the length, not each coordinate, is squashed."""
        raw = self._smooth.from_differential(self.differential)
        length = raw.norm(dim=1, keepdim=True).clamp(min=1e-9)
        bound = self.settings.bound
        return raw * (bound * torch.tanh(length / bound) / length)


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
