"""Seeded meshes and measurements shared by the tests and benchmarks of rendering."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as functional
from maquette_backend.render.cameras import Cameras, orbit_camera, perspective, to_clip
from maquette_backend.render.edges import Topology, build_topology
from maquette_backend.render.rasterizer import Rasterizer
from maquette_backend.render.shading import box_filter, vertex_normals
from torch import Tensor


def bumpy_torus(around: int, across: int) -> tuple[Tensor, Tensor]:
    """positions [around·across,3] within about ±.55 and 2·around·across outward triangles."""
    i, j = torch.meshgrid(torch.arange(around), torch.arange(across), indexing="ij")
    u, v = i / around * 2 * math.pi, j / across * 2 * math.pi
    radius = 0.15 + 0.02 * torch.sin(5 * u) * torch.cos(4 * v)
    ring = 0.35 + radius * v.cos()
    positions = torch.stack([ring * u.cos(), ring * u.sin(), radius * v.sin()], -1).reshape(-1, 3)
    right, above = (i + 1) % around, (j + 1) % across
    a, b, c, d = i * across + j, right * across + j, right * across + above, i * across + above
    triangles = torch.cat([torch.stack([a, b, c], -1).reshape(-1, 3), torch.stack([a, c, d], -1).reshape(-1, 3)])
    return positions, triangles


def sphere(rings: int, radius: float = 0.5) -> tuple[Tensor, Tensor]:
    """A latitude-longitude sphere with one vertex at each pole: positions and outward triangles."""
    sectors = 2 * rings
    i, j = torch.meshgrid(torch.arange(rings + 1), torch.arange(sectors), indexing="ij")
    polar, turn = i / rings * math.pi, j / sectors * 2 * math.pi
    unit = torch.stack([polar.sin() * turn.cos(), polar.sin() * turn.sin(), polar.cos()], -1)
    vertex = torch.where((i == 0) | (i == rings), i * sectors, i * sectors + j)
    right = vertex.roll(-1, 1)
    a, b, c, d = vertex[:-1], vertex[1:], right[1:], right[:-1]
    triangles = torch.stack([torch.stack([a[1:], b[1:], d[1:]], -1), torch.stack([d[:-1], b[:-1], c[:-1]], -1)])
    return radius * unit.reshape(-1, 3), triangles.reshape(-1, 3)


def ring_of_cameras(count: int, elevation: float = 0.5, distance: float = 2.2, fov_y: float = 0.6) -> Cameras:
    """Cameras evenly around the origin; angles in radians."""
    azimuth = torch.arange(count) / count * 2 * math.pi + 0.3
    level = torch.full_like(azimuth, elevation)
    return Cameras(
        orbit_camera(azimuth, level, torch.full_like(azimuth, distance)),
        perspective(torch.tensor(fov_y), 1.0, 0.1, 10.0),
    )


@dataclass(frozen=True)
class GradientErrors:
    """Relative errors ‖analytic − finite difference‖ / ‖finite difference‖ over sets of motions."""

    rigid: float
    local: float


@dataclass(frozen=True)
class Subject:
    """What the linear functional sees of the torus. Both have vertex colours over the full range."""

    name: str
    color_frequency: float
    """Radians of a colour's wave per unit of length; the torus measures 1.1 units, its tube .3."""
    weight_cells: int
    """The functional's weights are a random grid of so many cells a side, smooth between."""


SMOOTH = Subject("smooth", color_frequency=3.0, weight_cells=8)
HARSH = Subject("harsh", color_frequency=8.0, weight_cells=16)
"""Bands of about 7 pixels a radian at 128², and weights that change within 8 pixels."""
_VIEWPOINTS = ((0.3, 0.5), (2.0, 0.2), (4.0, 1.0))
"""Azimuth and elevation; from the second, the near side hides the hole."""


def _motions(positions: Tensor, triangles: Tensor, bumps: int, generator: torch.Generator) -> Tensor:
    """[6 + bumps,V,3]: three shifts, three turns, then Gaussian bumps along the normal at random places."""
    axes = torch.eye(3)
    shifts = axes[:, None, :].expand(3, len(positions), 3)
    turns = torch.stack([torch.linalg.cross(axis.expand_as(positions), positions) for axis in axes]) / 0.5
    centres = positions[torch.randperm(len(positions), generator=generator)[:bumps]]
    falloff = torch.exp(-torch.cdist(centres, positions).square() / (2 * 0.06**2))
    return torch.cat([shifts, turns, falloff[..., None] * vertex_normals(positions, triangles)])


@dataclass(frozen=True)
class GradientReference:
    """Central differences of a linear functional of a rendering supersampled to 1024² without antialiasing.

    The functional's gradient by any antialiased rendering at ``side_px`` should equal them.
    """

    positions: Tensor  # [V,3]
    triangles: Tensor  # [F,3]
    cameras: Cameras  # one
    attributes: Tensor  # [V,4] white, then colours
    weights: Tensor  # [1,4,side,side]
    motions: Tensor  # [M,V,3] six rigid ones first
    expected: Tensor  # [M,2] of the white object (outline only), and of the coloured one

    @property
    def side_px(self) -> int:
        return self.weights.shape[-1]


def _functional(
    rasterizer: Rasterizer, case: GradientReference, points: Tensor, factor: int, topology: Topology | None
) -> Tensor:
    """[2] the functional of the white and of the coloured image, rendered ``factor`` times larger and averaged."""
    clip = to_clip(points, case.cameras.clip_from_world)
    rast = rasterizer.rasterize(clip, case.triangles, (case.side_px * factor, case.side_px * factor))
    image = rasterizer.interpolate(case.attributes, rast, case.triangles)
    if topology is not None:
        image = rasterizer.antialias(image, rast, clip, case.triangles, topology)
    total = (box_filter(image, factor).permute(0, 3, 1, 2) * case.weights).sum((0, 2, 3))
    return torch.stack([total[0], total[1:].sum()])


def gradient_references(
    rasterizer: Rasterizer,
    subject: Subject,
    *,
    reference_px: int = 1024,
    side_px: int = 128,
    bumps: int = 16,
    viewpoints: int = 3,
    seeds: int = 1,
) -> list[GradientReference]:
    """Bumpy torus of 10k triangles, self-occluding, one reference a viewpoint and seed.

    A step moves the surface by about .6 pixel of ``side_px``, which is several pixels of the reference. Against a
    step of half that at 2048² these differences err by 1 to 3 %.
    """
    positions, triangles = bumpy_torus(100, 50)
    cases = []
    for azimuth, elevation in _VIEWPOINTS[:viewpoints]:
        for _ in range(seeds):
            generator = torch.Generator().manual_seed(11 + len(cases))
            waves = torch.randn(3, 3, generator=generator) * subject.color_frequency
            cells = torch.randn(1, 4, subject.weight_cells, subject.weight_cells, generator=generator)
            case = GradientReference(
                positions=positions,
                triangles=triangles,
                cameras=_camera(azimuth, elevation),
                attributes=torch.cat([torch.ones(len(positions), 1), 0.5 + 0.5 * torch.sin(positions @ waves)], 1),
                weights=functional.interpolate(cells, size=side_px, mode="bicubic", align_corners=False),
                motions=_motions(positions, triangles, bumps, generator),
                expected=torch.zeros(0),
            )
            cases.append(replace(case, expected=_differences(rasterizer, case, reference_px // side_px)))
    return cases


def _camera(azimuth: float, elevation: float) -> Cameras:
    matrix = orbit_camera(torch.tensor([azimuth]), torch.tensor([elevation]), torch.tensor([2.2]))
    return Cameras(matrix, perspective(torch.tensor(0.6), 1.0, 0.1, 10.0))


def _differences(rasterizer: Rasterizer, case: GradientReference, factor: int) -> Tensor:
    """[M,2]"""
    step = 0.6 * 2.2 * math.tan(0.3) * 2 / case.side_px
    with torch.no_grad():
        ahead = [_functional(rasterizer, case, case.positions + step * m, factor, None) for m in case.motions]
        back = [_functional(rasterizer, case, case.positions - step * m, factor, None) for m in case.motions]
    return (torch.stack(ahead) - torch.stack(back)) / (2 * step)


def gradient_errors(
    rasterizer: Rasterizer, cases: list[GradientReference], *, white: bool, supersample: int = 1
) -> GradientErrors:
    """Of an antialiased rendering, against the differences of ``cases``, whose errors and norms are pooled: a single
    view's few bumps may hardly touch its outline, so that its own ratio says little."""
    column = 0 if white else 1
    errors, expected = [], []
    for case in cases:
        moving = case.positions.clone().requires_grad_()
        _functional(rasterizer, case, moving, supersample, build_topology(case.triangles))[column].backward()
        assert moving.grad is not None
        expected.append(case.expected[:, column])
        errors.append((moving.grad * case.motions).sum((1, 2)) - expected[-1])
    error, norm = torch.stack(errors), torch.stack(expected)
    return GradientErrors(
        rigid=float(error[:, :6].norm() / norm[:, :6].norm()), local=float(error[:, 6:].norm() / norm[:, 6:].norm())
    )
