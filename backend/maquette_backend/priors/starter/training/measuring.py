"""What is measured on a rendered model: its colours, its materials, its proportions, how much its sides differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maquette_backend.priors.starter.training.furniture_mesh import FurnitureMesh
from maquette_backend.priors.starter.training.rendering import Picture, render
from maquette_backend.priors.starter.training.viewpoints import Viewpoint, distance_for

PALETTE = 1024
"""Colours kept of each model."""
_MOST_PARTS = 100
_FOV_Y_DEG, _ELEVATION_DEG, _FRAME_HEIGHT, _SIZE = 40.0, 15.0, 1.6, 64


@dataclass(frozen=True)
class MaterialShare:
    """A material as it is seen."""

    name: str
    """The material, then its texture file."""
    share: float
    """Of all covered samples."""
    rgb: tuple[int, int, int]
    """Median colour, unshaded."""


@dataclass(frozen=True)
class Measures:
    """Of the model as its author made it, not stretched."""

    extent: tuple[float, float, float]
    """Width, height and depth, the longest 1."""
    quarter_turn: float
    """How much the picture changes by a quarter turn about the vertical axis: see ``turn_difference``."""
    half_turn: float
    half_turn_color: float
    """The same for colour: mean |Δrgb| where both pictures show the object, 0..1."""
    materials: tuple[MaterialShare, ...]
    """The most visible first."""
    parts: tuple[str, ...]
    """Names of its groups."""
    faces: int
    see_through: bool
    covered: float
    """Share of the picture that it covers, on average."""


def measure(
    mesh: FurnitureMesh, samples: NDArray[np.float64], materials: NDArray[np.int32], covered: float
) -> Measures:
    """samples [P,3] are colours 0..1 as seen from all sides, materials [P] their rows in the mesh's textures."""
    width, height, depth = (round(float(side), 4) for side in np.ptp(mesh.positions, axis=0))
    around = [_side(mesh, azimuth_deg) for azimuth_deg in (0.0, 90.0, 180.0, 270.0)]
    return Measures(
        extent=(width, height, depth),
        quarter_turn=turn_difference(around, 1),
        half_turn=turn_difference(around, 2),
        half_turn_color=_color_difference(around, 2),
        materials=_material_shares(mesh.materials, samples, materials),
        parts=mesh.parts[:_MOST_PARTS],
        faces=len(mesh.triangles),
        see_through=mesh.see_through,
        covered=round(covered, 4),
    )


def turn_difference(around: list[Picture], quarters: int) -> float:
    """How much the shape's picture changes when the camera goes on by so many quarters of a turn.

    Mean over the four sides of Σ(|Δn|₁/2 + |Δm|) / Σ max(m, m'), with camera-space normals n (0 outside) and
    coverage m: 0 for a vase, about 1 where hardly anything stays.
    """
    differences = []
    for side, picture in enumerate(around):
        other = around[(side + quarters) % len(around)]
        normals = np.abs(picture.normal.astype(float) - other.normal).sum(-1) / 127.5 / 2
        masks = np.abs(picture.coverage.astype(float) - other.coverage) / 255
        union = np.maximum(picture.coverage, other.coverage).astype(float).sum() / 255
        differences.append((normals + masks).sum() / max(union, 1.0))
    return round(float(np.mean(differences)), 4)


def _color_difference(around: list[Picture], quarters: int) -> float:
    differences = []
    for side, picture in enumerate(around):
        other = around[(side + quarters) % len(around)]
        both = (picture.coverage == 255) & (other.coverage == 255)
        if both.any():
            differences.append(np.abs(picture.color.astype(float) - other.color)[both].mean() / 255)
    return round(float(np.mean(differences)), 4) if differences else 0.0


def palette(samples: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.uint8]:
    """``PALETTE`` of the colours [P,3] 0..1, drawn alike: uint8 [PALETTE,3]."""
    return (samples[random.integers(0, len(samples), PALETTE)] * 255 + 0.5).astype(np.uint8)


def _side(mesh: FurnitureMesh, azimuth_deg: float) -> Picture:
    distance = distance_for(_FRAME_HEIGHT, _FOV_Y_DEG)
    return render(mesh, Viewpoint(azimuth_deg, _ELEVATION_DEG, distance, _FOV_Y_DEG), _SIZE)


def _material_shares(
    names: tuple[str, ...], samples: NDArray[np.float64], materials: NDArray[np.int32]
) -> tuple[MaterialShare, ...]:
    shares = []
    for row, name in enumerate(names):
        own = samples[materials == row]
        if len(own):
            red, green, blue = (round(float(value)) for value in np.median(own, axis=0) * 255)
            shares.append(MaterialShare(name, round(len(own) / len(samples), 4), (red, green, blue)))
    return tuple(sorted(shares, key=lambda material: -material.share))
