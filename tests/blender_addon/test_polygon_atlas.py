"""A texture with seams inside of polygons becomes one without, and shows the same colour at every point of the surface."""

from __future__ import annotations

import numpy as np
import pytest
from driving import Addon

pytestmark = pytest.mark.blender
SIZE = 128


def _split_quads(count: int) -> tuple[np.ndarray, ...]:
    """Quads in a row, each cut into two triangles whose UVs lie apart; the first quad's lie together."""
    steps = np.arange(count + 1)
    positions = np.array([(x, y, 0.3 * x) for x in steps for y in (0, 1)], np.float32)
    triangles, loops, uvs = [], [], []
    cell = 1 / np.ceil(np.sqrt(2 * count))
    across = round(1 / cell)
    for quad in range(count):
        corner = (2 * quad, 2 * quad + 2, 2 * quad + 3, 2 * quad + 1)
        for half, order in enumerate(((0, 1, 2), (0, 2, 3))):
            place = 2 * quad + (half if quad else 0)
            low = np.array([place % across, place // across]) * cell
            unit = np.array([(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)]) * cell
            triangles.append([corner[i] for i in order])
            loops.append([4 * quad + i for i in order])
            uvs.append([low + unit[i] for i in order])
    starts = np.arange(0, 4 * count + 1, 4, dtype=np.int32)
    return positions, np.array(triangles, np.int32), np.array(loops, np.int32), starts, np.array(uvs, np.float32)


def _painted(positions: np.ndarray, triangles: np.ndarray, uvs: np.ndarray) -> np.ndarray:
    """A texture whose colour at each surface point is a smooth function of the point's place, charts padded."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    points = np.stack([x, y], axis=-1).reshape(-1, 2) / SIZE
    best, texture = np.full(len(points), -np.inf), np.zeros((len(points), 4), np.float32)
    for triangle, uv in zip(triangles, uvs.astype(float), strict=True):
        to_weights = np.linalg.inv(np.vstack([uv.T, np.ones(3)]))
        weights = np.hstack([points, np.ones((len(points), 1))]) @ to_weights.T
        inside = weights.min(axis=1)
        nearer = inside > best
        best[nearer], texture[nearer] = inside[nearer], _color(weights[nearer] @ positions[triangle])
    return texture.reshape(SIZE, SIZE, 4)


def _color(places: np.ndarray) -> np.ndarray:
    x, y = places[:, 0], places[:, 1]
    return np.stack([0.5 + 0.4 * np.sin(x), 0.5 + 0.3 * np.cos(2 * y), 0.1 * x, np.ones_like(x)], axis=1)


def _bilinear(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    size = np.array(texture.shape[1::-1])
    at = np.clip(uv * size - 0.5, 0, size - 1)
    low = np.minimum(at.astype(int), size - 2)
    part = at - low
    corner = lambda dx, dy: texture[low[:, 1] + dy, low[:, 0] + dx]  # noqa: E731
    bottom = corner(0, 0) * (1 - part[:, :1]) + corner(1, 0) * part[:, :1]
    top = corner(0, 1) * (1 - part[:, :1]) + corner(1, 1) * part[:, :1]
    return bottom * (1 - part[:, 1:]) + top * part[:, 1:]


def test_every_point_keeps_its_colour(addon: Addon) -> None:
    positions, triangles, loops, starts, uvs = _split_quads(5)
    texture = _painted(positions, triangles, uvs)
    found, loop_uvs = addon("polygon_atlas").whole_polygons(positions, triangles, loops, starts, uvs, texture)
    assert found.shape[1] == SIZE
    assert found.shape[0] > SIZE
    np.testing.assert_array_equal(found[:SIZE], texture)
    assert loop_uvs.min() >= 0
    assert loop_uvs.max() <= 1
    weights = np.random.default_rng(1).dirichlet(np.ones(3), 200)
    for triangle, own in zip(triangles, loops, strict=True):
        expected = _color(weights @ positions[triangle])
        np.testing.assert_allclose(_bilinear(found, weights @ loop_uvs[own]), expected, atol=0.03)


def test_polygons_that_are_whole_already_are_left_alone(addon: Addon) -> None:
    positions, triangles, loops, starts, uvs = _split_quads(1)
    texture = _painted(positions, triangles, uvs)
    found, loop_uvs = addon("polygon_atlas").whole_polygons(positions, triangles, loops, starts, uvs, texture)
    assert found is texture
    np.testing.assert_array_equal(loop_uvs[loops], uvs)


def test_polygons_do_not_share_pixels(addon: Addon) -> None:
    positions, triangles, loops, starts, uvs = _split_quads(40)
    texture = np.zeros((SIZE, SIZE, 4), np.float32)
    found, loop_uvs = addon("polygon_atlas").whole_polygons(positions, triangles, loops, starts, uvs, texture)
    boxes = (loop_uvs.reshape(-1, 4, 2) * found.shape[1::-1])[1:]
    low, high = boxes.min(axis=1), boxes.max(axis=1)
    for index in range(len(boxes)):
        apart = (low > high[index] + 2).any(axis=1) | (high < low[index] - 2).any(axis=1)
        assert apart.sum() == len(boxes) - 1
