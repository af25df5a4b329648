"""Locks and mask of a field: symmetric functions, shares of the nearest surface, solids that stand on a floor."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from maquette_backend.fields.grid_field import GridField
from maquette_backend.shape.field_controls import (
    FieldControls,
    floor_in_unit_space,
    mirror_in_unit_space,
    standing,
)
from maquette_backend.shape.sdf import signed_distance
from numpy.typing import NDArray
from torch import Tensor

LEANING: NDArray[np.float64] = np.array([[0.3, 0.1, 0, 0.1], [-0.1, 0.2, 0.05, -0.2], [0, 0.1, 0.4, 0.05], [0, 0, 0, 1]])
"""Sheared, off centre."""
PLAIN: NDArray[np.float64] = np.eye(4)
AXES = [axes for count in range(1, 4) for axes in itertools.combinations(range(3), count)]
_FACES = [0, 2, 3, 0, 3, 1, 4, 5, 7, 4, 7, 6, 0, 1, 5, 0, 5, 4, 2, 6, 7, 2, 7, 3, 0, 4, 6, 0, 6, 2, 1, 3, 7, 1, 7, 5]
BOX = np.array(_FACES, np.int32).reshape(-1, 3)
CORNERS = (np.array([[k & 1, k >> 1 & 1, k >> 2] for k in range(8)]) - 0.5).astype(np.float32)


def points(count: int = 200) -> Tensor:
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64) - 0.5


def wild() -> GridField:
    torch.manual_seed(3)
    field = GridField(4).double()
    with torch.no_grad():
        for level in field.levels:
            level.normal_()
    return field


def moved(places: Tensor, matrix: NDArray[np.float64]) -> Tensor:
    return places @ torch.from_numpy(matrix[:3, :3]).T + torch.from_numpy(matrix[:3, 3])


@pytest.mark.parametrize("matrix", [PLAIN, LEANING])
@pytest.mark.parametrize("axes", AXES)
def test_a_field_made_even_is_the_same_across_every_plane(axes: tuple[int, ...], matrix: NDArray[np.float64]) -> None:
    """Its scalar is equal there; its vector is mirrored with the places."""
    mirrors = [mirror_in_unit_space(matrix, axis) for axis in axes]
    controls, field, at = FieldControls(tuple(mirrors)), wild(), points()
    here = controls.even(field, at)
    for mirror in mirrors:
        there = controls.even(field, moved(at, mirror))
        torch.testing.assert_close(there[:, 0], here[:, 0])
        torch.testing.assert_close(there[:, 1:], here[:, 1:] @ torch.from_numpy(mirror[:3, :3]).T)
    even_already = controls.even(lambda places: controls.even(field, places), at)
    torch.testing.assert_close(even_already, here)


def test_each_of_several_vectors_is_mirrored() -> None:
    """Two that differ at every point come out as each would by itself."""
    controls, field, at = FieldControls((mirror_in_unit_space(LEANING, 0), mirror_in_unit_space(LEANING, 1))), wild(), points()

    def two(places: Tensor) -> Tensor:
        value = field(places)
        return torch.cat([value, value[:, 1:].square()], 1)

    alone = controls.even(lambda places: torch.cat([two(places)[:, :1], two(places)[:, 4:]], 1), at)
    torch.testing.assert_close(controls.even(two, at), torch.cat([controls.even(field, at), alone[:, 1:]], 1))


def test_nothing_is_carried_through_the_floor() -> None:
    """What is left of a vector neither rises over the floor nor sinks, however the object leans; along it, all is left."""
    floor = floor_in_unit_space(LEANING, 0.1)
    controls, vectors = FieldControls(floor=floor), points()
    level = controls.level(vectors)
    up = torch.from_numpy(floor.up)
    assert float((level @ up).abs().max()) < 1e-12
    torch.testing.assert_close(level + (vectors @ up)[:, None] * up, vectors)
    assert torch.equal(FieldControls().level(vectors), vectors)


def test_without_mirrors_the_field_is_itself() -> None:
    field, at = wild(), points()
    assert torch.equal(FieldControls().even(field, at), field(at))


@pytest.mark.parametrize("matrix", [PLAIN, LEANING])
def test_mirrors_are_those_of_object_space(matrix: NDArray[np.float64]) -> None:
    mirror = mirror_in_unit_space(matrix, 1)
    in_object = points()
    flipped = in_object * torch.tensor([1, -1, 1])
    torch.testing.assert_close(moved(moved(in_object, matrix), mirror), moved(flipped, matrix))


def test_the_share_is_that_of_the_nearest_point_of_the_surface() -> None:
    """On a box whose top is free and whose bottom is not it rises with height up the sides."""
    share = np.where(CORNERS[:, 2] > 0, 1, 0).astype(np.float32)
    controls = FieldControls(masked=(CORNERS, BOX, share))
    beside = torch.tensor([[0.7, 0.1, z] for z in (-0.9, -0.5, -0.2, 0.0, 0.3, 0.5, 0.8)], dtype=torch.float64)
    torch.testing.assert_close(controls.share(beside), torch.tensor([0, 0, 0.3, 0.5, 0.8, 1, 1], dtype=torch.float64))
    below = torch.tensor([[0.1, 0.2, -0.55], [0.1, 0.2, -0.45]], dtype=torch.float64)
    assert controls.share(below).tolist() == [0, 0]
    assert FieldControls().share(beside).tolist() == [1] * 7


def test_under_a_mirror_the_smaller_share_counts() -> None:
    share = np.where(CORNERS[:, 0] > 0, 1, 0).astype(np.float32)
    controls = FieldControls((mirror_in_unit_space(PLAIN, 0),), (CORNERS, BOX, share))
    at = torch.tensor([[0.6, 0, 0], [-0.6, 0, 0], [0.2, 0.6, 0], [0, 0.6, 0]], dtype=torch.float64)
    torch.testing.assert_close(controls.share(at), torch.tensor([0, 0, 0.3, 0.5], dtype=torch.float64))


@pytest.mark.parametrize("matrix", [PLAIN, LEANING])
def test_what_is_cut_ends_at_the_floor_of_object_space(matrix: NDArray[np.float64]) -> None:
    in_object = points()
    cut = FieldControls(floor=floor_in_unit_space(matrix, -0.2)).cut(torch.full((200,), -9.0).double(), moved(in_object, matrix))
    assert ((cut > 0) == (in_object[:, 2] < -0.2)).all()
    # and its slope is 1: a distance
    gradient = torch.autograd.functional.jacobian(
        lambda at: FieldControls(floor=floor_in_unit_space(matrix, -0.2)).cut(torch.full((1,), -9.0).double(), at), points(1)
    )
    assert isinstance(gradient, Tensor)
    assert gradient.norm().item() == pytest.approx(1)


@pytest.mark.parametrize("matrix", [PLAIN, LEANING])
def test_standing_makes_the_bottom_deeper_and_nothing_else(matrix: NDArray[np.float64]) -> None:
    """A box stays a box in object space, closed, as much taller as was asked for."""
    start = moved(torch.from_numpy(CORNERS).double(), matrix).numpy()
    floor = floor_in_unit_space(matrix, -0.5)
    positions, triangles = standing(start, BOX, CORNERS[:, 2] < 0, floor, 0.07)
    np.testing.assert_allclose(positions.astype(np.float64) @ floor.up - floor.height, [0] * 4 + list(
        (start[4:] @ floor.up) - floor.height
    ) + [-0.07] * 4, atol=1e-6)
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).tolist()
    directed = {tuple(edge) for edge in edges}
    assert len(directed) == len(edges)
    assert all((b, a) in directed for a, b in directed)
    inside = moved(points() * 0.98, matrix)
    before, after = (signed_distance(inside.numpy(), *mesh) for mesh in ((start, BOX), (positions, triangles)))
    assert (before < 0).all()
    assert (after < 0).all()
    assert (after <= before + 1e-6).all()
    lower = inside.numpy() - 0.06 * floor.along
    assert (signed_distance(lower, positions, triangles) < 0).all()


def test_what_stands_on_a_point_or_is_a_sheet_is_left_alone() -> None:
    on_a_corner = np.arange(8) == 0
    floor = floor_in_unit_space(PLAIN, -0.5)
    np.testing.assert_array_equal(standing(CORNERS, BOX, on_a_corner, floor, 0.1)[1], BOX)
    sheet = BOX[:2]
    np.testing.assert_array_equal(standing(CORNERS, sheet, CORNERS[:, 2] < 0, floor, 0.1)[1], sheet)
