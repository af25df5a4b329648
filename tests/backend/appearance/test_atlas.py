"""UV atlases: xatlas's result is sound and isometric, and unsound UVs are recognised."""

import itertools

import numpy as np
import pytest
from maquette_backend.appearance.atlas import check_uvs, unwrap
from maquette_backend.appearance.uv_raster import coverage

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
CUBE = np.concatenate([QUADS[:, [0, 1, 2]], QUADS[:, [0, 2, 3]]])
SQUARE = np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]]) * 0.5 + 0.1


def uv_areas(uvs: np.ndarray) -> np.ndarray:
    a, b = uvs[:, 1] - uvs[:, 0], uvs[:, 2] - uvs[:, 0]
    return (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2


def test_a_box_is_unwrapped_soundly_and_in_one_scale() -> None:
    vertices = CORNERS * [3, 1, 0.5]
    atlas = unwrap(vertices, CUBE, size=512, padding=4)
    report = check_uvs(atlas.corner_uvs)
    assert report.sound
    assert report.flipped == 0
    assert report.overlap == 0
    edges = vertices[CUBE]
    area = np.linalg.norm(np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0]), axis=1) / 2
    ratio = uv_areas(atlas.corner_uvs) / area
    assert ratio.max() / ratio.min() < 1.02  # the box has flat faces: no stretch at all
    lengths = np.linalg.norm(np.roll(atlas.corner_uvs, -1, 1) - atlas.corner_uvs, axis=2)
    true = np.linalg.norm(np.roll(edges, -1, 1) - edges, axis=2)
    assert (lengths / true).max() / (lengths / true).min() < 1.02  # square texels


def test_islands_keep_their_distance() -> None:
    size, padding = 256, 6
    uvs = unwrap(CORNERS, CUBE, size, padding).corner_uvs
    _, owner = coverage(uvs, size)
    # empty runs between two texels of a row lie between islands (the cube's islands have no notches)
    gaps = []
    for row in owner:
        filled = np.flatnonzero(row >= 0)
        gaps += [b - a - 1 for a, b in itertools.pairwise(filled) if b - a > 1]
    assert gaps
    assert min(gaps) >= padding - 2


def test_good_uvs_pass() -> None:
    report = check_uvs(SQUARE)
    assert report.sound
    assert report.covered == pytest.approx(0.25, abs=0.01)


def test_stacked_islands_are_overlap() -> None:
    assert check_uvs(np.concatenate([SQUARE, SQUARE])).overlap == 1
    assert not check_uvs(np.concatenate([SQUARE, SQUARE])).sound
    half = check_uvs(np.concatenate([SQUARE, SQUARE + np.array([0.25, 0])]))
    assert half.overlap == pytest.approx(1 / 3, abs=0.01)


def test_mirrored_halves_share_their_texels_and_copies_do_not() -> None:
    mirrored = SQUARE[:, ::-1]
    shared = check_uvs(np.concatenate([SQUARE, np.roll(mirrored, 1, axis=1) + 1e-7]))
    assert shared.sound
    assert shared.overlap == 0
    assert shared.flipped == pytest.approx(0.5)
    # another part that was stacked on it, or one half shifted by a texel, is no mirror image
    assert check_uvs(np.concatenate([SQUARE, SQUARE])).overlap == 1
    assert check_uvs(np.concatenate([SQUARE, mirrored, SQUARE])).overlap == 1
    assert check_uvs(np.concatenate([SQUARE, mirrored + 2 / 512])).overlap > 0.9


def test_tiled_degenerate_flipped_and_broken_uvs() -> None:
    assert check_uvs(SQUARE + 0.6).outside == pytest.approx(4 / 6)
    assert not check_uvs(SQUARE + 0.6).sound
    collapsed = check_uvs(np.concatenate([SQUARE, np.zeros((2, 3, 2))]))
    assert collapsed.zero_area == 0.5
    assert not collapsed.sound
    mirrored = check_uvs(SQUARE * [-1, 1] + [0.9, 0])
    assert mirrored.flipped == 1
    assert mirrored.sound
    assert not check_uvs(np.full((2, 3, 2), np.nan)).sound
    assert not check_uvs(np.zeros((0, 3, 2))).sound
    assert not check_uvs(np.zeros((5, 3, 2))).sound


def test_refuses_a_mesh_without_triangles() -> None:
    with pytest.raises(ValueError, match="at least one triangle"):
        unwrap(CORNERS, CUBE[:0])
