"""The way into unit space and back, over random transforms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from maquette_backend.refine.placement import place
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import IDENTITY, Matrix4
from numpy.typing import NDArray
from refine_shapes import box_chair, boxes, volume

SEEDS = range(40)


def matrix(values: NDArray[np.float64]) -> Matrix4:
    return tuple(float(value) for value in values.reshape(-1))  # type: ignore[return-value]


def affine(seed: int) -> NDArray[np.float64]:
    """Rotation, uneven and partly negative scale, shear, and a parent with the like: condition below about 100."""
    rng = np.random.default_rng(seed)

    def one() -> NDArray[np.float64]:
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        scale = np.diag(rng.choice([-1, 1], 3) * rng.uniform(0.4, 2.5, 3))
        shear = np.eye(3) + np.triu(rng.uniform(-0.6, 0.6, (3, 3)), 1)
        whole = np.eye(4)
        whole[:3, :3], whole[:3, 3] = turn @ shear @ scale, rng.normal(size=3) * 5
        return whole

    return one() @ one()


@pytest.mark.parametrize("seed", SEEDS)
def test_there_and_back(seed: int) -> None:
    positions, triangles = box_chair()
    placed = place("Chair", positions, matrix(affine(seed)))
    back = placed.to_object(placed.to_unit(positions))
    np.testing.assert_allclose(back, positions, atol=2e-5)
    np.testing.assert_array_equal(placed.wind(placed.wind(triangles)), triangles)


@pytest.mark.parametrize("seed", SEEDS)
def test_unit_space_holds_the_shape_as_it_stands_in_the_world(seed: int) -> None:
    """Centred, longest side 1, front to −Y, and nothing but turned about Z, scaled evenly and shifted."""
    positions, _ = box_chair()
    world_from_object = affine(seed)
    placed = place("Chair", positions, matrix(world_from_object))
    unit = placed.to_unit(positions)
    assert np.ptp(unit, axis=0).max() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose((unit.min(0) + unit.max(0)) / 2, 0, atol=1e-6)
    np.testing.assert_allclose(placed.unit_from_world @ world_from_object, placed.unit_from_object, atol=1e-9)
    linear = placed.unit_from_world[:3, :3]
    scale = np.cbrt(np.linalg.det(linear))
    np.testing.assert_allclose(linear @ linear.T, scale**2 * np.eye(3), atol=1e-12)
    np.testing.assert_allclose(linear[2], [0, 0, scale], atol=1e-12)
    front = placed.unit_from_object[:3, :3] @ [0, -1, 0]
    assert front[0] == pytest.approx(0, abs=1e-9)
    assert front[1] < 0


@pytest.mark.parametrize("seed", SEEDS)
def test_outside_stays_outside(seed: int) -> None:
    positions, triangles = box_chair()
    placed = place("Chair", positions, matrix(affine(seed)))
    assert placed.mirrored == (np.linalg.det(affine(seed)[:3, :3]) < 0)
    assert volume(positions, triangles) > 0
    assert volume(placed.to_unit(positions), placed.wind(triangles)) > 0
    assert volume(placed.to_object(placed.to_unit(positions)), placed.wind(placed.wind(triangles))) > 0


def test_seeds_hold_both_kinds() -> None:
    assert len({np.linalg.det(affine(seed)[:3, :3]) < 0 for seed in SEEDS}) == 2


@pytest.mark.parametrize("side", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("by_scale", [False, True])
@pytest.mark.parametrize("away", [0.0, 5e3])
def test_a_millimetre_and_a_kilometre_look_alike(side: float, by_scale: bool, away: float) -> None:
    """Whether the mesh or the object's scale is small, and wherever in the world it stands."""
    positions, _ = boxes((0, 0, 0, 1, 0.5, 0.25))
    world = np.eye(4)
    world[:3, 3] = away
    if by_scale:
        world[:3, :3] *= side
    else:
        positions = positions * np.float32(side)
    placed = place("Box", positions, matrix(world))
    expected, _ = boxes((-0.5, -0.25, -0.125, 0.5, 0.25, 0.125))
    np.testing.assert_allclose(placed.to_unit(positions), expected, atol=2e-6)
    np.testing.assert_allclose(placed.to_object(placed.to_unit(positions)), positions, atol=2e-6 * np.abs(positions).max())


def test_a_tiny_scale_on_a_huge_mesh_is_no_zero_scale() -> None:
    positions, _ = boxes((-1e6, -1e6, -1e6, 1e6, 1e6, 1e6))
    unit = place("Plan", positions, matrix(np.diag([1e-7, 1e-7, 1e-7, 1.0]))).to_unit(positions)
    assert np.ptp(unit, axis=0).max() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("scale", [(0, 0, 0), (1, 0, 1), (1, 1, 1e-9)])
def test_zero_scale_names_the_object(scale: tuple[float, float, float]) -> None:
    with pytest.raises(MaquetteError, match="Wobbly Chair") as caught:
        place("Wobbly Chair", box_chair()[0], matrix(np.diag([*scale, 1.0])))
    assert caught.value.code is ErrorCode.ZERO_SIZE
    assert caught.value.remedy


def test_a_single_point_has_no_size() -> None:
    with pytest.raises(MaquetteError) as caught:
        place("Point", np.ones((5, 3), np.float32), IDENTITY)
    assert caught.value.code is ErrorCode.ZERO_SIZE


def test_lying_on_its_back_it_is_not_turned() -> None:
    """The front points up: then no turn about Z makes it face −Y."""
    lying = np.eye(4)
    quarter = -math.pi / 2
    lying[1:3, 1:3] = [[math.cos(quarter), -math.sin(quarter)], [math.sin(quarter), math.cos(quarter)]]
    placed = place("Chair", box_chair()[0], matrix(lying))
    np.testing.assert_allclose(placed.unit_from_object[:3, :3], lying[:3, :3], atol=1e-6)
