"""Signed distance against closed forms, and on the soups that artists have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maquette_backend.shape import sdf
from numpy.typing import NDArray

Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]
RNG = np.random.default_rng(0)
POINTS = RNG.uniform(-0.9, 0.9, (4000, 3))

QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
"""Faces of a cube whose vertex index has x in bit 2, y in bit 1, z in bit 0: −x, x, −y, y, −z, z; outward."""


def box(
    half: tuple[float, float, float], center: tuple[float, float, float] = (0, 0, 0), skip: int | None = None
) -> Mesh:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * half + center
    quads = QUADS if skip is None else np.delete(QUADS, skip, axis=0)
    return corners, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def joined(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *[len(v) for v, _ in meshes[:-1]]])
    return np.concatenate([v for v, _ in meshes]), np.concatenate(
        [f + s for (_, f), s in zip(meshes, starts, strict=True)]
    )


def box_distance(p: NDArray[np.float64], half, center=(0, 0, 0)) -> NDArray[np.float64]:
    q = np.abs(p - center) - half
    return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)


def sphere(rings: int, radius: float) -> Mesh:
    theta, phi = np.meshgrid(np.linspace(0, np.pi, rings + 1), np.linspace(0, 2 * np.pi, 2 * rings + 1), indexing="ij")
    v = radius * np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(rings), np.arange(2 * rings), indexing="ij")
    a = (i * (2 * rings + 1) + j).reshape(-1)
    b, c, d = a + 2 * rings + 1, a + 2 * rings + 2, a + 1
    return v, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def test_box_is_exact() -> None:
    d = sdf.signed_distance(POINTS, *box((0.5, 0.3, 0.2)))
    np.testing.assert_allclose(d, box_distance(POINTS, (0.5, 0.3, 0.2)), atol=1e-6)
    assert d.dtype == np.float32


def test_sphere_with_a_split_seam_and_degenerate_poles() -> None:
    d = sdf.signed_distance(POINTS, *sphere(48, 0.5))
    np.testing.assert_allclose(d, np.linalg.norm(POINTS, axis=1) - 0.5, atol=1.5e-3)


def test_inverted_winding_changes_nothing() -> None:
    v, f = box((0.5, 0.3, 0.2))
    np.testing.assert_array_equal(sdf.signed_distance(POINTS, v, f[:, ::-1]), sdf.signed_distance(POINTS, v, f))


def test_one_inverted_part_among_others() -> None:
    a, b = box((0.3, 0.3, 0.3), (-0.2, 0, 0)), box((0.3, 0.2, 0.2), (0.2, 0, 0))
    turned = sdf.signed_distance(POINTS, *joined(a, (b[0], b[1][:, ::-1])))
    np.testing.assert_array_equal(turned, sdf.signed_distance(POINTS, *joined(a, b)))


def test_doubled_faces_change_nothing() -> None:
    v, f = box((0.5, 0.3, 0.2))
    d = sdf.signed_distance(POINTS, v, np.concatenate([f, f]))
    np.testing.assert_allclose(d, box_distance(POINTS, (0.5, 0.3, 0.2)), atol=1e-6)


def test_corner_split_triangles_change_nothing() -> None:
    v, f = box((0.5, 0.3, 0.2))
    d = sdf.signed_distance(POINTS, v[f].reshape(-1, 3), np.arange(f.size).reshape(-1, 3)[:, ::-1])
    np.testing.assert_allclose(d, box_distance(POINTS, (0.5, 0.3, 0.2)), atol=1e-6)


def test_two_intersecting_boxes_are_their_union() -> None:
    a, b = ((0.4, 0.2, 0.2), (-0.1, 0, 0)), ((0.15, 0.5, 0.1), (0.1, 0.1, 0.05))
    d = sdf.signed_distance(POINTS, *joined(box(*a), box(*b)))
    union = np.minimum(box_distance(POINTS, *a), box_distance(POINTS, *b))
    np.testing.assert_array_equal(d < 0, union < 0)
    np.testing.assert_allclose(d[union > 0], union[union > 0], atol=1e-6)
    # inside, the depth is at least that in the deeper box (hidden faces do not count) but for one piece's size
    inside = union < 0
    assert (d[inside] <= union[inside] + 0.02).all()
    assert (d[inside] - union[inside] < 1e-6).mean() > 0.97


def test_an_open_box_is_still_solid() -> None:
    d = sdf.signed_distance(POINTS, *box((0.5, 0.5, 0.5), skip=5))  # no lid
    deep = (np.abs(POINTS) < 0.45).all(axis=1) & (POINTS[:, 2] < 0.2)
    away = (np.abs(POINTS[:, :2]) > 0.55).any(axis=1) | (np.abs(POINTS[:, 2]) > 0.55)
    assert deep.sum() > 100
    assert (d[deep] < 0).all()
    assert (d[away] > 0).all()


def test_a_plane_becomes_a_shell() -> None:
    v = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0.0]])
    d = sdf.signed_distance(POINTS, v, np.array([[0, 1, 2], [0, 2, 3]]), sheet=0.05)
    np.testing.assert_allclose(d, box_distance(POINTS, (0.5, 0.5, 0.0)) - 0.05, atol=1e-6)
    assert (d < 0).any()


def test_the_lid_of_an_open_box_is_where_the_winding_number_is_one_half() -> None:
    z = np.linspace(0.3, 0.7, 81)
    d = sdf.signed_distance(np.stack([0 * z, 0 * z, z], axis=1), *box((0.5, 0.5, 0.5), skip=5))
    assert (np.diff(d) > 0).all()  # no jump from deep inside to far outside …
    assert np.abs(np.diff(d)).max() < 0.02
    lid = np.interp(0.0, d, z)
    winding = sdf.winding_number(np.array([[0, 0, lid]]), *box((0.5, 0.5, 0.5), skip=5))
    assert winding[0] == pytest.approx(0.5, abs=0.01)  # … and the change of sign is at the lid


def test_a_sheet_beside_a_solid_keeps_both() -> None:
    solid = box((0.2, 0.2, 0.2), (-0.4, 0, 0))
    plane = np.array([[0.2, -0.3, -0.3], [0.2, 0.3, -0.3], [0.2, 0.3, 0.3], [0.2, -0.3, 0.3]])
    d = sdf.signed_distance(POINTS, *joined(solid, (plane, np.array([[0, 1, 2], [0, 2, 3]]))), sheet=0.04)
    expected = np.minimum(
        box_distance(POINTS, (0.2, 0.2, 0.2), (-0.4, 0, 0)), box_distance(POINTS, (0, 0.3, 0.3), (0.2, 0, 0)) - 0.04
    )
    near = expected < 0.05  # far away the plane's fractional winding number bends the solid's distance a little
    np.testing.assert_allclose(d[near], expected[near], atol=2e-3)
    np.testing.assert_array_equal(d < 0, expected < 0)


def test_a_slightly_bent_sheet_has_a_thickness() -> None:
    axis = np.linspace(-0.5, 0.5, 9)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    v = np.stack([x, y, -0.05 * (x**2 + y**2)], -1).reshape(-1, 3)
    a = (np.arange(8)[:, None] * 9 + np.arange(8)).reshape(-1)
    f = np.concatenate([np.stack([a, a + 9, a + 10], 1), np.stack([a, a + 10, a + 1], 1)])
    d = sdf.signed_distance(v[f].mean(axis=1), v, f, sheet=0.02)
    assert (d < -0.015).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_outside_the_bounds_of_any_soup_the_distance_is_sane(seed: int) -> None:
    rng = np.random.default_rng(seed)
    v, f = rng.uniform(-0.4, 0.4, (12, 3)), np.stack([rng.permutation(12)[:3] for _ in range(9)])
    query = rng.uniform(-0.9, 0.9, (200, 3))
    d = sdf.signed_distance(query, v, f)
    assert np.isfinite(d).all()
    assert (d <= sdf.unsigned_distance(query, v, f) + 0.02).all()  # but for pieces half hidden in another part
    assert (d[(np.abs(query) > 0.45).any(axis=1)] > 0).all()


def test_refuses_what_has_no_distance() -> None:
    v, f = box((1, 1, 1))
    with pytest.raises(ValueError, match="at least one triangle"):
        sdf.signed_distance(POINTS, v, f[:0])
    with pytest.raises(ValueError, match="not finite"):
        sdf.signed_distance(POINTS, np.where(v > 0, np.nan, v), f)
