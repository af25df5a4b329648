"""UV checks on maps whose faults are known: counts per fault, mirrored halves kept, UDIM tiles and their gaps."""

from __future__ import annotations

import numpy as np
import pytest
from driving import Addon

pytestmark = pytest.mark.blender


def grid_faces(addon: Addon, side: int = 4, *, flip: bool = False):
    """A sheet of side² quads with an exact, sound UV map, and its triangles' UVs [F,3,2]."""
    step = 1 / side
    quads = np.array([[[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]] for j in range(side) for i in range(side)]) * step
    uvs = np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], axis=1).reshape(-1, 3, 2).astype(np.float32)
    areas = np.full(len(uvs), step * step / 2, np.float32)
    polygons = np.repeat(np.arange(side * side, dtype=np.int32), 2)
    return addon("uv_checks").Faces(uvs[:, ::-1] if flip else uvs, areas, polygons, side * side)


def changed(addon: Addon, faces, uvs: np.ndarray):
    return addon("uv_checks").Faces(uvs.astype(np.float32), faces.areas, faces.polygons, faces.count)


def check(addon: Addon, faces, size: int = 1024):
    return addon("uv_checks").check(faces, size)


def test_a_sound_map_has_nothing_to_say(addon: Addon) -> None:
    report = check(addon, grid_faces(addon))
    assert report.is_sound
    assert not (report.shared | report.flipped | report.blurred).any()
    assert report.tiles == (1001,)
    assert addon("uv_checks").sentences(report, "Crate", "UVMap", 1024) == ("The UV map “UVMap” of Crate is sound.",)
    assert report.texels_per_face == pytest.approx(256**2)


def test_each_fault_is_counted_by_face(addon: Addon) -> None:
    faces = grid_faces(addon)
    uvs = faces.corner_uvs.copy()
    uvs[0:2] += 0.1  # face 0 over its neighbours 1, 4 and 5
    uvs[20:22] = uvs[20:22] * 0 + 0.99  # face 10 on one point
    uvs[30:32, :, 0] += 0.1  # face 15 over the border
    report = check(addon, changed(addon, faces, uvs))
    assert np.flatnonzero(report.overlapping).tolist() == [0, 1, 4, 5]
    assert np.flatnonzero(report.without_area).tolist() == [10]
    assert np.flatnonzero(report.outside).tolist() == [15]
    assert np.flatnonzero(report.bad).tolist() == [0, 1, 4, 5, 10, 15]
    told = " ".join(addon("uv_checks").sentences(report, "Crate", "UVMap", 1024))
    assert "4 faces lie on other faces" in told
    assert "1 face leaves the square" in told
    assert "1 face has no area" in told
    assert "sound" not in told


@pytest.mark.parametrize("diagonal", [0, 1])
def test_mirrored_halves_that_share_exactly_are_sound_however_their_quads_are_cut(addon: Addon, diagonal: int) -> None:
    faces = grid_faces(addon)
    quads = faces.corner_uvs.reshape(-1, 2, 3, 2)
    left = quads[(np.arange(16) % 4) < 2]
    corners = np.stack([left[:, 0, 0], left[:, 0, 1], left[:, 0, 2], left[:, 1, 2]], axis=1)
    mirrored = corners[:, ::-1] + np.float32(1e-7)
    cut = [[0, 1, 2], [0, 2, 3]] if diagonal == 0 else [[0, 1, 3], [1, 2, 3]]
    both = np.concatenate([left.reshape(-1, 3, 2), mirrored[:, cut].reshape(-1, 3, 2)])
    report = check(addon, addon("uv_checks").Faces(both.astype(np.float32), faces.areas, faces.polygons, 16))
    assert report.is_sound
    assert report.shared.all()
    assert np.flatnonzero(report.flipped).tolist() == list(range(8, 16))
    assert "16 faces share their texels with their mirror images" in " ".join(addon("uv_checks").sentences(report, "Crate", "UVMap", 1024))


def test_faces_that_all_fill_the_square_lie_on_each_other(addon: Addon) -> None:
    faces = grid_faces(addon)
    whole = np.tile(np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]], np.float32), (16, 1, 1))
    report = check(addon, changed(addon, faces, whole))  # as after UV > Reset
    assert report.overlapping.all()
    assert not report.shared.any()


def test_halves_shifted_by_a_texel_are_not_meant_so(addon: Addon) -> None:
    faces = grid_faces(addon)
    uvs = faces.corner_uvs.copy()
    uvs[16:] = uvs[:16] + 2 / 1024
    report = check(addon, changed(addon, faces, uvs * 0.9))
    assert not report.shared.any()
    assert report.overlapping.all()


def test_a_face_of_a_tenth_of_the_side_is_blurred_and_no_other(addon: Addon) -> None:
    faces = grid_faces(addon)
    uvs = faces.corner_uvs.copy()
    middle = uvs[6:8].mean(axis=(0, 1))
    uvs[6:8] = middle + (uvs[6:8] - middle) * 0.1
    report = check(addon, changed(addon, faces, uvs))
    assert np.flatnonzero(report.blurred).tolist() == [3]
    assert report.is_sound


def test_what_is_not_a_number_is_outside(addon: Addon) -> None:
    faces = grid_faces(addon)
    uvs = faces.corner_uvs.copy()
    uvs[4, 1, 0] = np.nan
    report = check(addon, changed(addon, faces, uvs))
    assert np.flatnonzero(report.outside).tolist() == [2]


def test_udim_tiles_and_their_gaps_are_told(addon: Addon) -> None:
    faces = grid_faces(addon, 2)
    uvs = faces.corner_uvs.copy()
    uvs[2:4, :, 0] += 2.0  # the second face two tiles to the right: 1003
    uvs[4:6, :, 1] += 1.0  # the third one a row up: 1011
    report = check(addon, changed(addon, faces, uvs))
    assert report.is_sound
    assert report.tiles == (1001, 1003, 1011)
    assert report.gaps == (1002,)
    told = " ".join(addon("uv_checks").sentences(report, "Crate", "UVMap", 1024))
    assert "3 UDIM tiles, from 1001 to 1011" in told
    assert "No UVs in 1002" in told


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 10])
def test_tiles_packed_into_a_square_come_back_where_they_were(addon: Addon, count: int) -> None:
    udim = addon("udim")
    rng = np.random.default_rng(count)
    tiles = tuple(sorted(int(tile) for tile in rng.choice(np.arange(1001, 1041), count, replace=False)))
    if count == 1:
        tiles = (1002,)
    inside = rng.random((count * 5, 3, 2))
    uvs = (inside + np.repeat([udim.corner(tile) for tile in tiles], 5, axis=0)[:, None]).astype(np.float32)
    packed = udim.packed(uvs, tiles)
    assert packed.min() >= 0
    assert packed.max() <= 1
    assert np.abs(udim.unpacked(packed, tiles) - uvs).max() < 2e-6
    images = {tile: rng.integers(0, 255, (8, 8, 3), dtype=np.uint8) for tile in tiles}
    whole = udim.packed_image(images, tiles)
    side = udim.side(tiles)
    assert side * side >= count > (side - 1) ** 2
    for tile, image in udim.split_image(whole, tiles).items():
        assert np.array_equal(image, images[tile])
    # a UV points to the same pixel before and after
    place, flat = (packed.reshape(-1, 2) * 8 * side).astype(int), uvs.reshape(-1, 2)
    for (x, y), uv in zip(place, flat, strict=True):
        tile = 1001 + int(uv[0]) + 10 * int(uv[1])
        x0, y0 = ((uv - np.floor(uv)) * 8).astype(int)
        assert np.abs(whole[min(y, 8 * side - 1), min(x, 8 * side - 1)].astype(int) - images[tile][y0, x0]).max() == 0


def test_half_a_million_triangles_are_checked_in_seconds(addon: Addon) -> None:
    import time

    faces = grid_faces(addon, 300)
    began = time.process_time()
    assert check(addon, faces, 4096).is_sound
    assert time.process_time() - began < 4
