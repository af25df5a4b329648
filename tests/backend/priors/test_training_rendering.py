"""The renderer of training pictures: conventions, hidden surfaces, holes, coverage, untrusted winding, stretching."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from maquette_backend.priors.starter.training.data import render_views
from maquette_backend.priors.starter.training.furniture_mesh import FurnitureMesh, stretched
from maquette_backend.priors.starter.training.measuring import measure
from maquette_backend.priors.starter.training.rendering import Picture, render
from maquette_backend.priors.starter.training.viewpoints import (
    FOV_Y_DEG,
    FRAME_HEIGHTS,
    Viewpoint,
    camera_from_world,
    distance_for,
    draw_viewpoint,
)

SIDES = {"front": (2, 1), "back": (2, -1), "right": (0, 1), "left": (0, -1), "top": (1, 1), "bottom": (1, -1)}
COLORS = {
    "front": (255, 0, 0),
    "back": (0, 255, 0),
    "right": (0, 0, 255),
    "left": (255, 255, 0),
    "top": (0, 255, 255),
    "bottom": (255, 0, 255),
}


def box(flipped: bool = False, holes: tuple[str, ...] = ()) -> FurnitureMesh:
    """A unit cube with a colour on each side; y up, front at +Z."""
    positions, triangles, textures, texels = [], [], [], []
    for number, (name, (axis, sign)) in enumerate(SIDES.items()):
        corners = np.zeros((4, 3))
        corners[:, axis] = 0.5 * sign
        corners[:, (axis + 1) % 3] = [-0.5, 0.5, 0.5, -0.5]
        corners[:, (axis + 2) % 3] = [-0.5, -0.5, 0.5, 0.5]
        positions.append(corners)
        faces = np.array([[0, 1, 2], [0, 2, 3]]) + 4 * number
        triangles.append(faces[:, ::-1] if flipped else faces)
        textures += [(number, 1, 1, int(name in holes))]
        texels += [(*COLORS[name], 0 if name in holes else 255)]
    return FurnitureMesh(
        positions=np.concatenate(positions),
        triangles=np.concatenate(triangles).astype(np.int32),
        normals=np.zeros((1, 3)),
        corner_normals=np.full((12, 3), -1, np.int32),
        uvs=np.array([[0.5, 0.5]]),
        corner_uvs=np.zeros((12, 3), np.int32),
        face_texture=np.repeat(np.arange(6), 2).astype(np.int32),
        textures=np.array(textures, np.int64),
        texels=np.array(texels, np.float64),
        materials=tuple(SIDES),
        parts=("box",),
        see_through=False,
    )


def ball(rings: int = 24) -> FurnitureMesh:
    """A white ball of radius 0.5 with exact normals at its vertices."""
    polar, azimuth = np.meshgrid(np.linspace(0, np.pi, rings + 1), np.linspace(0, 2 * np.pi, 2 * rings + 1))
    normals = np.stack([np.sin(polar) * np.cos(azimuth), np.cos(polar), np.sin(polar) * np.sin(azimuth)], -1)
    corner = np.arange(normals[..., 0].size).reshape(normals.shape[:2])
    a, b, c, d = corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:]
    triangles = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3).astype(np.int32)
    return replace(
        box(),
        positions=normals.reshape(-1, 3) / 2,
        triangles=triangles,
        normals=normals.reshape(-1, 3),
        corner_normals=triangles,
        corner_uvs=np.zeros_like(triangles),
        face_texture=np.zeros(len(triangles), np.int32),
        textures=np.array([(0, 1, 1, 0)], np.int64),
        texels=np.array([(255.0, 255, 255, 255)]),
        materials=("white",),
    )


def seen(
    mesh: FurnitureMesh, azimuth_deg: float, elevation_deg: float = 0, distance: float = 2.0, size: int = 32
) -> Picture:
    return render(mesh, Viewpoint(azimuth_deg, elevation_deg, distance, 40.0), size)


def middle_side(mesh: FurnitureMesh, azimuth_deg: float, elevation_deg: float = 0) -> str:
    pixel = seen(mesh, azimuth_deg, elevation_deg).color[16, 16].astype(int)
    return next(name for name, color in COLORS.items() if ((pixel > 20) == (np.array(color) > 0)).all())


@pytest.mark.parametrize(("azimuth_deg", "side"), [(0, "front"), (90, "right"), (180, "back"), (270, "left")])
@pytest.mark.parametrize("flipped", [False, True])
def test_azimuth_goes_counter_clockwise_from_the_front(azimuth_deg: float, side: str, flipped: bool) -> None:
    assert middle_side(box(flipped), azimuth_deg) == side


def test_elevation_looks_down_from_above() -> None:
    assert middle_side(box(), 0, 89) == "top"


@pytest.mark.parametrize("flipped", [False, True])
def test_normals_are_in_camera_space_and_face_the_camera(flipped: bool) -> None:
    normal = seen(box(flipped), 90).normal[16, 16].astype(float) / 127.5 - 1
    assert normal == pytest.approx([0, 0, 1], abs=0.01)
    turned = seen(box(flipped), 45).normal[16, 22].astype(float) / 127.5 - 1
    assert turned == pytest.approx([np.sqrt(0.5), 0, np.sqrt(0.5)], abs=0.01)


def test_the_top_of_the_picture_is_up_and_the_background_is_mid_grey() -> None:
    picture = seen(box(), 0, 30)
    column = picture.color[:, 16].astype(int)
    reds, cyans = np.nonzero((column[:, 0] > 100) & (column[:, 1] < 50))[0], np.nonzero(column[:, 0] < 50)[0]
    assert cyans.max() < reds.min()
    assert picture.channels()[:, 0, 0].tolist() == [128] * 6 + [0]


def test_what_is_cut_out_shows_what_is_behind() -> None:
    assert middle_side(box(holes=("front",)), 0) == "back"


@pytest.mark.parametrize("fov_y_deg", [25.0, 40.0, 60.0])
def test_size_in_the_picture_is_that_of_a_pinhole(fov_y_deg: float) -> None:
    """The front of the cube, at distance d − ½ from the camera, spans 64 / (2 (d − ½) tan ½f) pixels."""
    coverage = render(box(), Viewpoint(0, 0, 3.0, fov_y_deg), 64).coverage.astype(float) / 255
    assert coverage.sum(1).max() == pytest.approx(64 / (5 * np.tan(np.radians(fov_y_deg / 2))), abs=1)


@pytest.mark.parametrize("fov_y_deg", [18.0, 40.0, 65.0])
@pytest.mark.parametrize("height", FRAME_HEIGHTS)
def test_the_frame_is_as_high_at_the_centre_as_asked_for(height: float, fov_y_deg: float) -> None:
    """An upright square of side 1 through the centre covers 64 / height pixels, whatever the field of view."""
    card = replace(box(), positions=box().positions * [1, 1, 0])
    coverage = render(card, Viewpoint(0, 0, distance_for(height, fov_y_deg), fov_y_deg), 64).coverage
    assert coverage.sum(0).max() / 255 == pytest.approx(64 / height, abs=0.6)


def test_albedo_is_unshaded_and_knows_its_material() -> None:
    picture = seen(box(), 0)
    assert np.unique(picture.albedo, axis=0).tolist() == [[1, 0, 0]]
    assert set(picture.material.tolist()) == {list(SIDES).index("front")}


def test_coverage_is_the_mask_of_the_normals() -> None:
    """Bare pixels have no normal, whole ones a unit normal, and on a flat side, in between, normals fade alike."""
    picture = seen(box(), 30, 25, size=64)
    normal = picture.normal.astype(float) / 127.5 - 1
    length = np.linalg.norm(normal, axis=-1)
    assert (picture.normal[picture.coverage == 0] == 128).all()
    assert np.median(length[picture.coverage == 255]) == pytest.approx(1, abs=0.01)
    card = render(replace(box(), positions=box().positions * [1, 1, 0]), Viewpoint(0, 0, 2.03, 40), 64)
    facing = card.normal[..., 2].astype(float) / 127.5 - 1
    assert facing == pytest.approx(card.coverage / 255, abs=0.01)
    assert set(np.unique(card.coverage)) - {0, 255}


def test_coverage_counts_a_quarter_for_each_sample() -> None:
    values = set(np.unique(seen(ball(), 0).coverage).tolist())
    assert values == {0, 64, 128, 191, 255}


def test_cameras_are_spread_over_the_turn_and_keep_their_bounds() -> None:
    random, views = np.random.default_rng(0), 56
    for extent in (np.array([1.0, 1, 1]), np.array([0.3, 1, 0.2])):
        drawn = [draw_viewpoint(random, view, views, extent) for view in range(views)]
        rows = np.array([viewpoint.row() for viewpoint in drawn])
        assert (np.floor(rows[:, 0] / (360 / views)) == np.arange(views)).all()
        assert (rows[:, 1] >= -10).all()
        assert (rows[:, 1] <= 65).all()
        assert ((rows[:, 1] >= 0) & (rows[:, 1] <= 45)).mean() > 0.5
        heights = 2 * rows[:, 2] * np.tan(np.radians(rows[:, 3]) / 2)
        assert (heights > FRAME_HEIGHTS[0] - 1e-9).all()
        assert (heights < FRAME_HEIGHTS[1] + 1e-9).all()
        assert ((rows[:, 3] >= FOV_Y_DEG[0]) & (rows[:, 3] <= FOV_Y_DEG[1])).all()


def test_stretched_normals_agree_with_finite_differences_of_the_surface() -> None:
    """The ellipsoid p(u,v) = factors · ball: ∂p/∂u × ∂p/∂v, by central differences, is its normal."""
    factors = np.array([1.25, 0.8, 0.95])
    mesh = stretched(ball(), factors)
    assert np.ptp(mesh.positions, axis=0).max() == pytest.approx(1)
    u, v = np.meshgrid(np.linspace(0.3, 2.8, 9), np.linspace(0.1, 6, 9))

    def surface(polar: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
        unit = [np.sin(polar) * np.cos(azimuth), np.cos(polar), np.sin(polar) * np.sin(azimuth)]
        return np.stack(unit, -1) * factors / 2

    step = 1e-5
    by_u, by_v = surface(u + step, v) - surface(u - step, v), surface(u, v + step) - surface(u, v - step)
    expected = np.cross(by_v, by_u)
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    own = replace(ball(), normals=(surface(u, v) / factors * 2).reshape(-1, 3))
    assert stretched(own, factors).normals == pytest.approx(expected.reshape(-1, 3), abs=1e-6)


def test_a_stretched_ball_is_shaded_by_its_own_normals() -> None:
    """Interpolated normals of the renderer against the flat ones of the triangles it shows."""
    mesh = stretched(ball(48), np.array([1.2, 0.85, 1.0]))
    smooth = seen(mesh, 20, 15, size=48)
    flat = seen(replace(mesh, corner_normals=np.full_like(mesh.corner_normals, -1)), 20, 15, size=48)
    inside = smooth.coverage == 255
    assert np.abs(smooth.normal.astype(int) - flat.normal)[inside].max() < 12


def test_one_model_renders_the_same_again_and_every_second_view_is_stretched() -> None:
    first, again, other = (render_views(box(), seed, 6, 16) for seed in (3, 3, 4))
    assert not isinstance(first, str)
    assert not isinstance(again, str)
    assert not isinstance(other, str)
    for name in ("images", "cameras", "stretches", "palette"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert first.measures == again.measures
    assert not np.array_equal(first.images, other.images)
    assert (first.stretches[::2] == 1).all()
    assert (np.abs(np.log(first.stretches[1::2])) <= 0.2201).all()
    assert (first.stretches[1::2] != 1).all()


def test_what_hardly_shows_is_refused() -> None:
    hair = replace(box(), positions=box().positions * [0.001, 1, 0.001])
    assert render_views(hair, 0, 4, 16) == "covers only 0.00% of the picture"


def test_a_ball_looks_alike_from_all_sides_and_a_half_box_does_not() -> None:
    """A ramp turned by half: the slope is seen no more and the upright side comes into view."""
    samples, materials = np.ones((4, 3)), np.zeros(4, np.int32)
    alike = measure(ball(48), samples, materials, 0.5)
    assert max(alike.quarter_turn, alike.half_turn) < 0.03
    ramp = box()
    slope = ramp.positions.copy()
    slope[(slope[:, 1] > 0) & (slope[:, 2] > 0), 1] = -0.45
    turned = measure(replace(ramp, positions=slope), samples, materials, 0.5)
    assert turned.half_turn > 0.3
    assert turned.extent == (1, 1, 1)


def test_the_camera_axes_are_a_rotation() -> None:
    for azimuth_deg, elevation_deg in ((0, 0), (37, 20), (200, -10), (355, 65)):
        axes = camera_from_world(azimuth_deg, elevation_deg)
        assert axes @ axes.T == pytest.approx(np.eye(3))
        assert np.linalg.det(axes) == pytest.approx(1)
