"""CG-LoRA: low-rank additions to cross-attention that are generated from where the camera is and what the text says.

X-Dreamer (Ma et al. 2023): ``y = W x + scale · up(x · A(text, camera))``. Nothing but ``up`` is static;
it starts at 0, so the network is what it was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maquette_backend.guidance.adapted import PROJECTIONS, Layer, Projection
from maquette_backend.priors.prior import Views

CAMERA_SIZE = 6
_HIDDEN = 512
RANK = 4
ELEVATION_DEG = (-10.0, 45.0)
"""What counts as lowest and highest; beyond it the number goes on growing."""
FOV_DEG = (25.71, 45.0)


@dataclass(frozen=True)
class Target:
    """One projection of one layer."""

    layer: str
    projection: Projection
    inputs: int
    outputs: int


class CgLora(nn.Module):
    """The generators, the camera's encoder and the static halves, for all layers of one network.

    1.65 million numbers for Stable Diffusion 2.1.
    """

    def __init__(self, targets: Sequence[Target], text_width: int, seed: int = 0) -> None:
        super().__init__()
        self.targets = tuple(targets)
        layers = (nn.Linear(CAMERA_SIZE, _HIDDEN), nn.Linear(_HIDDEN, text_width))
        self.camera = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU())
        self.first = nn.Parameter(torch.zeros(2, len(targets), RANK, text_width))
        """[2,targets,4,W]: text's and camera's hyper-networks, first layers"""
        self.second = nn.ParameterList(torch.zeros(2, 2 * target.inputs, RANK) for target in targets)
        """[2,2·d_in,4] each: their second layers"""
        self.up = nn.ParameterList(torch.zeros(target.outputs, RANK) for target in targets)
        """[d_out,4] each"""
        self._start(layers, torch.Generator().manual_seed(seed))

    def forward(self, camera: Tensor, text: Tensor) -> list[Tensor]:
        """Camera vectors [B,6], text vectors [B,W] → the down matrices A [B,d_in,4] of every target.

        The text fills the first half of A's rows, the camera the second.
        """
        told = torch.stack([text.to(self.first), self.camera(camera.to(self.first))])  # a half-precision text, for one
        hidden = torch.einsum("sbw,snrw->nsbr", told, self.first)
        made = [second @ narrow.mT for narrow, second in zip(hidden, self.second, strict=True)]  # [2,2·d_in,B]
        return [
            halves.permute(2, 0, 1).reshape(len(text), target.inputs, RANK)
            for halves, target in zip(made, self.targets, strict=True)
        ]

    def _start(self, layers: Sequence[nn.Linear], generator: torch.Generator) -> None:
        """Xavier-uniform generators; the encoder's layers as torch makes them; ``up`` stays 0."""
        with torch.no_grad():
            for matrix in [*self.first.flatten(0, 1), *(half for second in self.second for half in second)]:
                nn.init.xavier_uniform_(matrix, generator=generator)
            for layer in layers:
                bound = 1 / math.sqrt(layer.in_features)
                for parameter in layer.parameters():
                    parameter.uniform_(-bound, bound, generator=generator)


def adapted(y: Tensor, narrow: Tensor, up: Tensor) -> Tensor:
    """``y + up(x · A)``: y [B,N,d_out], x · A [B,N,4], up [d_out,4] → [B,N,d_out], y's type.

    Without a tape ``y`` itself is changed.
    """
    parts = narrow.to(y.dtype), up.to(y.dtype).mT.expand(len(y), -1, -1)
    # the layer made y for us alone: without a tape it is added to where it lies
    return torch.baddbmm(y, *parts) if torch.is_grad_enabled() else y.baddbmm_(*parts)


def targets_of(layers: Sequence[Layer]) -> list[Target]:
    """All four projections of every layer."""
    return [_target(layer, projection) for layer in layers for projection in PROJECTIONS]


def _target(layer: Layer, projection: Projection) -> Target:
    linear = layer.linear(projection)
    return Target(layer.name, projection, linear.in_features, linear.out_features)


def camera_vector(views: Views) -> Tensor:
    """Views → [B,6]: sigmoid of the camera's position, then elevation, azimuth and field of view, each about 0..1.

    As X-Dreamer has it. Its release adds the highest elevation where the lowest should be taken off; we take it off.
    """
    azimuth, elevation, distance = views.azimuth.float(), views.elevation.float(), views.distance.float()
    level = distance * elevation.cos()
    position = torch.stack([level * azimuth.sin(), -level * azimuth.cos(), distance * elevation.sin()], 1)
    turn = torch.atan2(azimuth.sin(), azimuth.cos())
    numbers = [
        _unit(torch.rad2deg(elevation), ELEVATION_DEG),
        (torch.rad2deg(turn) + 180) / 360,
        _unit(torch.rad2deg(views.fov_y.float()), FOV_DEG),
    ]
    return torch.cat([position.sigmoid(), torch.stack(numbers, 1)], 1)


def _unit(values: Tensor, bounds: tuple[float, float]) -> Tensor:
    low, high = bounds
    return (values - low) / (high - low)
