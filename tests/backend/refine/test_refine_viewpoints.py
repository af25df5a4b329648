"""Where a step looks from."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from maquette_backend.priors.prior import Settings
from maquette_backend.refine.placement import place
from maquette_backend.refine.viewpoints import (
    DISTANCES,
    ELEVATIONS,
    FOV_Y,
    SPREAD,
    cameras_for,
    check_views,
    view_sampler,
)
from maquette_backend.render.cameras import to_clip
from maquette_protocol.errors import MaquetteError
from maquette_protocol.recipe import IDENTITY, Camera, CameraRig, Matrix4, Recipe, Stages
from numpy.typing import NDArray
from refine_shapes import box_chair, boxes

PLACED = place("Chair", box_chair()[0], IDENTITY)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def camera_at(eye: tuple[float, float, float]) -> Camera:
    """Only the place of a camera counts: the subject is framed anew."""
    matrix = np.eye(4)
    matrix[:3, 3] = eye
    return Camera("Camera", tuple(float(value) for value in matrix.reshape(-1)), math.radians(30))  # type: ignore[arg-type]


def turned(degrees: float, shift: tuple[float, float, float] = (0, 0, 0), scale: float = 1.0) -> Matrix4:
    angle = math.radians(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    matrix[:3, :3] *= scale
    matrix[:3, 3] = shift
    return tuple(float(value) for value in matrix.reshape(-1))  # type: ignore[return-value]


@pytest.mark.parametrize("count", [1, 4, 8])
def test_the_orbit_is_even_and_within_its_bounds(count: int) -> None:
    rig = CameraRig(orbit_elevation_min=0.1, orbit_elevation_max=0.7)
    sampler = view_sampler(rig, PLACED)
    for seed in range(50):
        views = sampler.sample(count, seeded(seed))
        offset = views.azimuth - torch.arange(count) * (math.tau / count)
        assert float(offset.max() - offset.min()) <= 2 * SPREAD + 1e-5
        assert bool(((views.elevation >= 0.1) & (views.elevation <= 0.7)).all())
        assert bool(((views.distance >= DISTANCES[0]) & (views.distance <= DISTANCES[1])).all())
        assert bool((views.fov_y == torch.tensor(FOV_Y)).all())


def test_the_orbit_comes_round_to_every_side_and_height() -> None:
    sampler = view_sampler(CameraRig(orbit_elevation_min=0.1, orbit_elevation_max=0.7), PLACED)
    drawn = [sampler.sample(4, seeded(seed)) for seed in range(400)]
    azimuth = torch.cat([views.azimuth for views in drawn]) % math.tau
    elevation = torch.cat([views.elevation for views in drawn])
    assert torch.histc(azimuth, 12, 0, math.tau).min() > 0.75 * len(azimuth) / 12
    assert torch.histc(elevation, 6, 0.1, 0.7).min() > 0.75 * len(elevation) / 6


@pytest.mark.parametrize(
    ("eye", "azimuth_deg", "elevation_deg"),
    [
        ((0, -3, 0.5), 0, 0),
        ((3, 0, 0.5), 90, 0),
        ((0, 3, 0.5), 180, 0),
        ((-3, 0, 0.5), -90, 0),
        ((2, 0, 2.5), 90, 45),
        ((0, -2, 0.5 + 2 / math.sqrt(3)), 0, 30),
    ],
)
def test_the_artists_cameras_see_the_subject_from_where_they_stand(
    eye: tuple[float, float, float], azimuth_deg: float, elevation_deg: float
) -> None:
    """The chair's middle is half a metre up; the object is turned and moved, and its camera with it."""
    rig = CameraRig((camera_at(eye),), orbit=False, jitter=0.0)
    views = view_sampler(rig, PLACED).sample(3, seeded())
    expected = torch.full((3,), math.radians(azimuth_deg))
    torch.testing.assert_close(torch.cos(views.azimuth - expected), torch.ones(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(views.elevation, torch.full((3,), math.radians(elevation_deg)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("degrees", [90, -140])
@pytest.mark.parametrize("scale", [0.01, 20.0])
def test_azimuth_is_relative_to_the_objects_own_front(degrees: float, scale: float) -> None:
    """An object turned by d shows its front to the azimuth d; size and place do not matter."""
    shift = (7.0, -3.0, 2.0)
    placed = place("Chair", box_chair()[0], turned(degrees, shift, scale))
    centre = np.add(shift, (0, 0, 0.5 * scale))
    angle = math.radians(degrees)
    eye = centre + 3 * scale * np.array([math.sin(angle), -math.cos(angle), 0])
    rig = CameraRig((camera_at(tuple(eye)),), orbit=False, jitter=0.0)
    views = view_sampler(rig, placed).sample(1, seeded())
    # the middle of a turned box is that of its bounds along the object's front, so the angle is exact
    assert math.remainder(float(views.azimuth), math.tau) == pytest.approx(0, abs=1e-4)
    assert float(views.elevation) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(("up", "bound"), [(9.0, ELEVATIONS[1]), (-9.0, ELEVATIONS[0])])
def test_steep_cameras_are_brought_to_what_priors_know(up: float, bound: float) -> None:
    rig = CameraRig((camera_at((0, -0.1, up)),), orbit=False, jitter=0.0)
    views = view_sampler(rig, PLACED).sample(2, seeded())
    torch.testing.assert_close(views.elevation, torch.full((2,), bound))


def test_jitter_stays_around_the_camera() -> None:
    rig = CameraRig((camera_at((3, 0, 1.5)),), orbit=False, jitter=0.2)
    views = view_sampler(rig, PLACED).sample(300, seeded())
    off = torch.stack([views.azimuth - math.pi / 2, views.elevation - math.atan2(1, 3)])
    assert 0.19 < float(off.abs().max()) <= 0.2 + 1e-6
    assert float(off.mean(1).abs().max()) < 0.03


def from_camera(azimuth: NDArray[np.float32]) -> int:
    """How many views stand at +X exactly, as the one camera does."""
    return int((np.abs(azimuth - math.pi / 2) < 1e-6).sum())


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_cameras_and_orbit_share_the_views(count: int) -> None:
    """Half each, over steps also where the number is odd: a step of one view must not forget the artist's cameras."""
    sampler = view_sampler(CameraRig((camera_at((3, 0, 1)),), jitter=0.0), PLACED)
    share = [from_camera(sampler.sample(count, seeded(seed)).azimuth.numpy()) for seed in range(200)]
    assert {count // 2, (count + 1) // 2} == set(share)
    assert np.mean(share) == pytest.approx(count / 2, abs=0.12)


def test_all_cameras_take_part() -> None:
    rig = CameraRig(tuple(camera_at(eye) for eye in ((3, 0, 1), (0, 3, 1), (-3, 0, 1))), orbit=False, jitter=0.0)
    views = view_sampler(rig, PLACED).sample(6, seeded())
    sides = torch.round(torch.rad2deg(views.azimuth) % 360).tolist()
    assert sorted(sides) == [90, 90, 180, 180, 270, 270]


def test_a_camera_in_the_very_middle_is_left_out() -> None:
    sampler = view_sampler(CameraRig((camera_at((0, 0, 0.5)), camera_at((0, -2, 0.5))), jitter=0.0), PLACED)
    assert len(sampler.directions) == 1
    alone = view_sampler(CameraRig((camera_at((0, 0, 0.5)),), orbit=False), PLACED).sample(4, seeded())
    assert bool(torch.isfinite(alone.azimuth).all())


def test_the_seed_decides() -> None:
    sampler = view_sampler(CameraRig((camera_at((3, 0, 1)),)), PLACED)
    one, same, other = (sampler.sample(4, seeded(seed)) for seed in (1, 1, 2))
    for name in ("azimuth", "elevation", "distance"):
        assert torch.equal(getattr(one, name), getattr(same, name))
        assert not torch.equal(getattr(one, name), getattr(other, name))


def test_the_subject_is_framed_tightly_whatever_the_cameras_own_picture() -> None:
    """A long subject from any drawn view: inside the picture, and filling a third of it or more."""
    positions, _ = boxes((-0.5, -0.25, -0.2, 0.5, 0.25, 0.2))
    rig = CameraRig((camera_at((0, -300, 3)), camera_at((0.6, 0, 0))))
    sampler = view_sampler(rig, place("Box", positions, IDENTITY))
    for seed in range(50):
        cameras = cameras_for(sampler.sample(4, seeded(seed)))
        clip = to_clip(torch.from_numpy(positions), cameras.clip_from_world)
        seen = clip[..., :2] / clip[..., 3:]
        assert float(seen.abs().max()) < 1
        assert float((seen.amax(1) - seen.amin(1)).amax(1).min()) > 2 / 3
        depth = clip[..., 2] / clip[..., 3]
        assert float(depth.abs().max()) < 1


def test_up_is_up_and_right_is_right_in_the_picture() -> None:
    """From the front +X is right; from azimuth 90° (+X), +Y is right."""
    points = torch.tensor([[0.3, 0.0, 0.0], [0.0, 0.3, 0.0], [0.0, 0.0, 0.3]])
    one = torch.ones(2)
    views = view_sampler(CameraRig(), PLACED).sample(2, seeded())
    views = type(views)(torch.tensor([0.0, math.pi / 2]), 0 * one, views.distance, views.fov_y)
    clip = to_clip(points, cameras_for(views).clip_from_world)
    seen = clip[..., :2] / clip[..., 3:]
    assert seen[0, 0, 0] > 0.1
    assert seen[1, 1, 0] > 0.1
    assert bool((seen[:, 2, 1] > 0.1).all())


@pytest.mark.parametrize(("count", "advised"), [(3, 4), (2, 4), (6, 8), (13, 12)])
def test_a_prior_of_four_views_says_which_number_would_do(count: int, advised: int) -> None:
    recipe = Recipe((), prior="starter-4-views", stages=Stages(views_per_step=count))
    settings = Settings(
        geometry_scale=1, appearance_scale=1, geometry_time_start=(0, 1), geometry_time_end=(0, 1),
        appearance_time_start=(0, 1), appearance_time_end=(0, 1), sizes=(64,), modalities=("joint",),
        camera_conditioned=True, views_together=4,
    )  # fmt: skip
    with pytest.raises(MaquetteError, match=f"4 views at a time; a step has {count}") as caught:
        check_views(recipe, recipe.prior, settings)
    assert caught.value.remedy.startswith(f"Set Views per Step to {advised},")
    check_views(replace(recipe, stages=Stages(views_per_step=advised)), recipe.prior, settings)
    check_views(recipe, recipe.prior, replace(settings, views_together=1))
