"""The five shapes of the known-answer test: each with a coarse start that an artist could have made of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from maquette_backend.shape import bcc, marching_tets
from maquette_backend.shape.clean import remove_degenerate, simplify
from maquette_backend.shape.manifold import manifold
from maquette_backend.shape.slivers import without_slivers
from numpy.typing import NDArray
from torch import Tensor

Shape = tuple[NDArray[np.float32], NDArray[np.int32]]
Profile = list[tuple[float, float]]


@dataclass(frozen=True)
class Case:
    """A start and its answer in unit space; the answer is nowhere farther from the start than 0.05."""

    name: str
    start: Callable[[], Shape]
    answer: Callable[[], Shape]


def bumpy_ball(bump: float, sides: int) -> Shape:
    """A ball with three waves round it and two along it."""
    profile = [(math.sin(a), -math.cos(a)) for a in np.linspace(0, math.pi, sides // 2 + 1).tolist()]
    positions, triangles = lathe(profile, sides)
    x, y, z = positions.astype(np.float64).T
    radius = 0.45 + bump * np.cos(3 * np.arctan2(y, x)) * (1 - z * z) + 0.5 * bump * np.cos(4 * z)
    return (positions * radius[:, None]).astype(np.float32), triangles


def table(leg: float, top: float, reach: float) -> Shape:
    """A top on four thin legs, boxes put into each other."""
    legs = [
        box((x - leg / 2, y - leg / 2, -0.36), (x + leg / 2, y + leg / 2, 0.36 - top / 2))
        for x in (-0.42, 0.42)
        for y in (-0.26, 0.26)
    ]
    return joined(box((-reach, -0.32, 0.36 - top), (reach, 0.32, 0.36)), *legs)


def two_rings(tube: float, squash: float, faces: int) -> Shape:
    """Two rings side by side, grown together: genus 2."""

    def distance(p: Tensor) -> Tensor:
        rings = []
        for x in (-0.215, 0.215):
            across = (p[:, :2] - torch.tensor([x, 0.0])).norm(dim=1) - 0.215
            rings.append(torch.stack([across, p[:, 2] / squash], 1).norm(dim=1) - tube)
        blend = (0.5 + 0.5 * (rings[1] - rings[0]) / 0.04).clamp(0, 1)
        return rings[1] + (rings[0] - rings[1]) * blend - 0.04 * blend * (1 - blend)

    grid = bcc.grid(36, -0.56, 0.56)
    edges = marching_tets.tet_edges(grid.tets)
    positions, triangles = marching_tets.extract(grid.vertices, distance(grid.vertices), grid.tets, edges)
    found = remove_degenerate(positions.numpy(), triangles.numpy(), 1e-4)
    return simplify(*without_slivers(*manifold(*found)), faces)


def cup(wall: float, flare: float, handle: float, sides: int) -> Shape:
    """A cup with a handle; ``flare`` is how much wider its rim is than its foot."""
    low, high = 0.3 - flare / 2, 0.3 + flare / 2
    outside = [(0.0, -0.4), (low, -0.4), (high, 0.4)]
    inside = [(high - wall, 0.4), (low - wall, -0.4 + 1.5 * wall), (0.0, -0.4 + 1.5 * wall)]
    turn = np.linspace(-1.35, 1.35, max(8, sides // 2))
    center = np.stack([0.26 + 0.2 * np.cos(turn), 0 * turn, 0.22 * np.sin(turn)], 1)
    return joined(lathe(outside + inside, sides), tube(center, handle, max(6, sides // 3)))


def lamp(pole: float, foot: float, shade: float, sides: int) -> Shape:
    """A foot, a thin pole and a shade."""
    return joined(
        lathe([(0.0, -0.5), (foot, -0.5), (foot, -0.44), (0.0, -0.42)], sides),
        lathe([(0.0, -0.47), (pole, -0.47), (pole, 0.3), (0.0, 0.3)], max(6, sides // 2)),
        lathe([(0.0, 0.15), (shade, 0.15), (0.6 * shade, 0.5), (0.0, 0.5)], sides),
    )


def lathe(profile: Profile, sides: int) -> Shape:
    """A profile (radius, height), from the axis round to the axis, turned about Z."""
    turn = np.arange(sides) * (2 * math.pi / sides)
    inner = np.array(profile[1:-1])
    rings = np.stack(
        [inner[:, :1] * np.cos(turn), inner[:, :1] * np.sin(turn), np.repeat(inner[:, 1:], sides, axis=1)], axis=2
    )
    poles = np.array([[0, 0, profile[0][1]], [0, 0, profile[-1][1]]])
    walls = _walls(len(inner), sides)
    a, last = np.arange(sides), (len(inner) - 1) * sides
    b, first_pole = (a + 1) % sides, len(inner) * sides
    caps = [
        np.stack([b, a, np.full(sides, first_pole)], 1),
        np.stack([last + a, last + b, np.full(sides, first_pole + 1)], 1),
    ]
    triangles = np.concatenate([walls, *caps])
    return np.concatenate([rings.reshape(-1, 3), poles]).astype(np.float32), triangles.astype(np.int32)


def tube(center: NDArray[np.float64], radius: float, sides: int) -> Shape:
    """A round bar along points [K,3] of the plane y = 0, its ends closed."""
    along = np.gradient(center, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(along, [0.0, 1.0, 0.0])
    turn = np.arange(sides)[:, None] * (2 * math.pi / sides)
    rings = center[:, None] + radius * (np.cos(turn) * across[:, None] + np.sin(turn) * np.array([0.0, 1.0, 0.0]))
    walls = _walls(len(center), sides)
    a, last = np.arange(sides), (len(center) - 1) * sides
    b, ends = (a + 1) % sides, len(center) * sides
    caps = [np.stack([b, a, np.full(sides, ends)], 1), np.stack([last + a, last + b, np.full(sides, ends + 1)], 1)]
    positions = np.concatenate([rings.reshape(-1, 3), center[:1], center[-1:]])
    return positions.astype(np.float32), np.concatenate([walls, *caps]).astype(np.int32)


def _walls(rings: int, sides: int) -> NDArray[np.int64]:
    """Triangles between neighbouring rings of vertices."""
    ring, a = np.meshgrid(np.arange(rings - 1) * sides, np.arange(sides), indexing="ij")
    ring, a = ring.reshape(-1), a.reshape(-1)
    b = (a + 1) % sides
    lower, upper = ring, ring + sides
    return np.concatenate(
        [np.stack([lower + a, lower + b, upper + b], 1), np.stack([lower + a, upper + b, upper + a], 1)]
    )


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> Shape:
    """An upright box."""
    corner = np.array([[k & 1, k >> 1 & 1, k >> 2] for k in range(8)])
    faces = [0, 2, 3, 0, 3, 1, 4, 5, 7, 4, 7, 6, 0, 1, 5, 0, 5, 4, 2, 6, 7, 2, 7, 3, 0, 4, 6, 0, 6, 2, 1, 3, 7, 1, 7, 5]
    positions = np.array(low) + corner * (np.array(high) - np.array(low))
    return positions.astype(np.float32), np.array(faces, np.int32).reshape(-1, 3)


def joined(*shapes: Shape) -> Shape:
    """Several as one."""
    first = np.cumsum([0, *[len(positions) for positions, _ in shapes]])
    triangles = [faces + shift for (_, faces), shift in zip(shapes, first[:-1], strict=True)]
    return np.concatenate([positions for positions, _ in shapes]), np.concatenate(triangles).astype(np.int32)


CASES = (
    Case("ball", lambda: bumpy_ball(0.0, 24), lambda: bumpy_ball(0.035, 96)),
    Case("table", lambda: table(0.055, 0.06, 0.47), lambda: table(0.045, 0.05, 0.5)),
    Case("rings", lambda: two_rings(0.085, 1.0, 800), lambda: two_rings(0.07, 0.75, 12_000)),
    Case("cup", lambda: cup(0.06, 0.0, 0.04, 16), lambda: cup(0.05, 0.025, 0.034, 64)),
    Case("lamp", lambda: lamp(0.03, 0.22, 0.24, 12), lambda: lamp(0.024, 0.2, 0.26, 48)),
)
