"""Shapes that are hard for a grid: thin legs, handles, two holes, plates, parts apart and parts inside parts.

Boxes are as an artist places them, overlapping; what is round is the level of a distance in closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from maquette_backend.shape import bcc, marching_tets
from maquette_backend.shape.clean import remove_degenerate
from maquette_backend.shape.manifold import manifold
from maquette_backend.shape.slivers import without_slivers
from numpy.typing import NDArray
from refine_shapes import Positions, Triangles, boxes
from torch import Tensor

Distance = Callable[[Tensor], Tensor]


def table(leg: float = 0.03, top: float = 0.04) -> tuple[Positions, Triangles]:
    """A top on four legs, each ``leg`` thick; longest side 1."""
    at = 0.42
    legs = [
        (x - leg / 2, y - leg / 2, -0.35, x + leg / 2, y + leg / 2, 0.35 - top / 2) for x in (-at, at) for y in (-0.27, 0.27)
    ]
    return boxes((-0.5, -0.32, 0.35 - top, 0.5, 0.32, 0.35), *legs)


def plate(thickness: float = 0.012) -> tuple[Positions, Triangles]:
    return boxes((-0.5, -0.4, -thickness / 2, 0.5, 0.4, thickness / 2))


def two_apart() -> tuple[Positions, Triangles]:
    """A cabinet and, a little away, a knob of a hundredth of its area."""
    return boxes((-0.5, -0.2, -0.4, 0.5, 0.2, 0.4), (0.0, -0.3, 0.0, 0.05, -0.25, 0.05))


def nested() -> tuple[Positions, Triangles]:
    """A ball's box within a box: a thing of its own, though hidden."""
    return boxes((-0.5, -0.5, -0.5, 0.5, 0.5, 0.5), (-0.2, -0.2, -0.2, 0.2, 0.2, 0.2))


def hollow() -> tuple[Positions, Triangles]:
    """A box with a cavity: one solid, whose inner wall nobody sees."""
    positions, triangles = nested()
    return positions, np.concatenate([triangles[:12], triangles[12:, ::-1]])


def two_holes(tube: float = 0.07, squash: float = 1.0) -> tuple[Positions, Triangles]:
    """Two rings side by side, grown together: genus 2; longest side about 1."""

    def distance(p: Tensor) -> Tensor:
        rings = [ring(p - torch.tensor([x, 0.0, 0.0]), 0.215, tube, squash) for x in (-0.215, 0.215)]
        return smooth_union(rings[0], rings[1], 0.04)

    return level(distance)


def cup(wall: float = 0.03, handle: float = 0.025, radius: float = 0.3) -> tuple[Positions, Triangles]:
    """Open at the top, with a handle of this radius at +X."""

    def distance(p: Tensor) -> Tensor:
        across, z = p[:, :2].norm(dim=1), p[:, 2]
        outer = capped(across, z, radius, 0.4)
        inner = capped(across, z - 2 * wall, radius - wall, 0.4)
        turned = torch.stack([p[:, 0] - radius, p[:, 2], p[:, 1]], 1)
        grip = torch.maximum(ring(turned, 0.2, handle), radius - wall - across)
        return torch.minimum(torch.maximum(outer, -inner), grip)

    return level(distance, cells=64)


def lamp(arm: float = 0.02, shade: float = 0.2) -> tuple[Positions, Triangles]:
    """A foot, a thin upright arm and a shade, each closed by itself."""

    def of(part: Distance) -> tuple[Positions, Triangles]:
        return level(part, cells=48)

    foot = of(lambda p: capped(p[:, :2].norm(dim=1), p[:, 2] + 0.47, 0.2, 0.03))
    hat = of(lambda p: torch.maximum(capped(p[:, :2].norm(dim=1), p[:, 2] - 0.35, shade, 0.15), cone(p, shade)))
    pole = prism(arm, -0.47, 0.35)
    return joined(foot, pole, hat)


def cone(p: Tensor, radius: float) -> Tensor:
    return (p[:, :2].norm(dim=1) - radius + 0.6 * (p[:, 2] - 0.2)) / 1.17


def prism(radius: float, low: float, high: float, sides: int = 12) -> tuple[Positions, Triangles]:
    """An upright prism."""
    turn = np.arange(sides) * 2 * np.pi / sides
    circle = radius * np.stack([np.cos(turn), np.sin(turn)], 1)
    rims = [np.concatenate([circle, np.full((sides, 1), z)], 1) for z in (low, high)]
    positions = np.concatenate([*rims, [[0, 0, low], [0, 0, high]]])
    a = np.arange(sides)
    b = (a + 1) % sides
    walls = [np.stack([a, b, b + sides], 1), np.stack([a, b + sides, a + sides], 1)]
    caps = [np.stack([b, a, np.full(sides, 2 * sides)], 1), np.stack([a + sides, b + sides, np.full(sides, 2 * sides + 1)], 1)]
    return positions.astype(np.float32), np.concatenate(walls + caps).astype(np.int32)


def joined(*meshes: tuple[Positions, Triangles]) -> tuple[Positions, Triangles]:
    """Several meshes as one."""
    first = np.cumsum([0, *[len(positions) for positions, _ in meshes]])
    triangles = [faces + shift for (_, faces), shift in zip(meshes, first[:-1], strict=True)]
    return np.concatenate([positions for positions, _ in meshes]), np.concatenate(triangles).astype(np.int32)


def ring(p: Tensor, radius: float, tube: float, squash: float = 1.0) -> Tensor:
    """A torus round Z; its section ``squash`` times as high as wide."""
    return torch.stack([p[:, :2].norm(dim=1) - radius, p[:, 2] / squash], 1).norm(dim=1) - tube


def capped(across: Tensor, z: Tensor, radius: float, half_height: float) -> Tensor:
    """An upright cylinder."""
    outside = torch.stack([across - radius, z.abs() - half_height], 1)
    return outside.clamp(min=0).norm(dim=1) + outside.amax(dim=1).clamp(max=0)


def smooth_union(one: Tensor, other: Tensor, width: float) -> Tensor:
    blend = (0.5 + 0.5 * (other - one) / width).clamp(0, 1)
    return other + (one - other) * blend - width * blend * (1 - blend)


@cache
def _grid(cells: int) -> tuple[bcc.TetGrid, marching_tets.TetEdges]:
    made = bcc.grid(cells, -0.6, 0.6)
    return made, marching_tets.tet_edges(made.tets)


def level(distance: Distance, cells: int = 40) -> tuple[Positions, Triangles]:
    """The zero level of a distance, as a clean mesh."""
    grid, edges = _grid(cells)
    positions, triangles = marching_tets.extract(grid.vertices, distance(grid.vertices), grid.tets, edges)
    found: NDArray[np.float32] = positions.numpy()
    return without_slivers(*manifold(*remove_degenerate(found, triangles.numpy().astype(np.int32), 1e-4)), 1e-5)


def broken_cube() -> tuple[Positions, Triangles]:
    """Open at the top, one side inside out, a slanting wall within, two triangles without area, four vertices doubled."""
    corners = [(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]
    quads = [(2, 3, 1, 0), (2, 3, 7, 6), (6, 7, 5, 4), (4, 5, 1, 0), (2, 6, 4, 0), (0, 3, 7, 4), (8, 9, 0, 1)]
    triangles = [corner for a, b, c, d in quads for corner in ((a, b, c), (a, c, d))]
    return np.array(corners + corners[:4], np.float32), np.array(triangles, np.int32)
