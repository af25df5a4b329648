"""A surface made symmetric: closed, its own image to the last bit but rounding, and where it was on the side that is kept."""

from __future__ import annotations

import numpy as np
import pytest
from maquette_backend.shape.clean import is_closed
from maquette_backend.shape.field_controls import mirror_in_unit_space
from maquette_backend.shape.manifold import is_edge_manifold, manifold
from maquette_backend.shape.sdf import nearest_points
from maquette_backend.shape.symmetrise import is_mirrored, reflected, symmetrised
from numpy.typing import NDArray

from tests.backend.render.surfaces import sphere

SHEARED = np.array([[1.0, 0.4, 0.0, 0.1], [0.2, 0.8, 0.1, -0.05], [0.0, 0.3, 1.1, 0.0], [0.0, 0.0, 0.0, 1.0]])


def ball() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    positions, triangles = sphere(12)
    return positions.numpy().astype(np.float64), triangles.numpy().astype(np.int64)


def volume(positions: NDArray[np.float64], triangles: NDArray[np.int64]) -> float:
    a, b, c = np.moveaxis(positions[triangles], 1, 0)
    return float((a * np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("space", [np.eye(4), SHEARED])
def test_a_lumpy_ball_becomes_its_own_image(axes: tuple[int, ...], space: NDArray[np.float64]) -> None:
    positions, triangles = ball()
    lumpy = positions * (1 + 0.2 * np.sin(7 * positions + 1).sum(axis=1, keepdims=True)) + 0.03
    lumpy = reflected(lumpy, space)
    mirrors = [mirror_in_unit_space(space, axis) for axis in axes]
    assert not any(is_mirrored(lumpy, triangles, each, 1e-2) for each in mirrors)
    found, faces = symmetrised(lumpy, triangles, mirrors)
    assert is_closed(faces)
    cut_apart = manifold(found, faces)
    assert is_closed(cut_apart[1])
    assert is_edge_manifold(cut_apart[1])
    assert volume(found, faces) > 0
    for each in mirrors:
        assert is_mirrored(found, faces, each, 1e-12)
    # the first quarter kept is old surface: 5e-4 off at most, where it was put on a plane
    size = len(found) >> len(axes)
    assert nearest_points(found[:size], lumpy, triangles)[0].max() < 1e-3


def test_what_is_symmetric_keeps_its_shape() -> None:
    positions, triangles = ball()
    mirror = mirror_in_unit_space(np.eye(4), 0)
    found, faces = symmetrised(positions, triangles, [mirror])
    assert volume(found, faces) == pytest.approx(volume(positions, triangles), rel=1e-3)
    assert nearest_points(positions, found, faces)[0].max() < 1e-3


def test_two_parts_off_the_plane_stay_two() -> None:
    """Nothing is cut, so nothing is joined."""
    positions, triangles = ball()
    both = np.concatenate([positions * 0.5 + [2, 0, 0], positions * 0.4 - [2, 0, 0]])
    faces = np.concatenate([triangles, triangles + len(positions)])
    found, result = symmetrised(both, faces, [mirror_in_unit_space(np.eye(4), 0)])
    assert len(result) == 2 * len(triangles)
    assert volume(found, result) == pytest.approx(2 * volume(positions * 0.5, triangles))


def test_settling_keeps_to_the_plane() -> None:
    positions, triangles = ball()
    found, faces = symmetrised(
        positions, triangles, [mirror_in_unit_space(np.eye(4), 0)], lambda points: points + np.array([0.01, 0.02, 0.0])
    )
    assert is_closed(faces)
    assert (found[:, 0] == 0).sum() > 4
    assert found[:, 1].max() > positions[:, 1].max() + 0.01
