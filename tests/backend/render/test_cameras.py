"""Camera conventions at their borders."""

from __future__ import annotations

import math

import pytest
import torch
from maquette_backend.render.cameras import clip_from_world, look_at, orbit_camera, perspective, to_clip

AROUND = [(0.0, (0, -1, 0)), (90.0, (1, 0, 0)), (180.0, (0, 1, 0)), (270.0, (-1, 0, 0))]


def project(azimuth_deg: float, elevation_deg: float, point: tuple[float, float, float]) -> torch.Tensor:
    """NDC [3]"""
    angles = torch.tensor([[azimuth_deg], [elevation_deg]]).deg2rad()
    camera = orbit_camera(angles[0], angles[1], torch.tensor([3.0]))
    matrix = clip_from_world(camera, perspective(torch.tensor([0.7]), 1.0, 0.5, 9.0))
    clip = to_clip(torch.tensor([point], dtype=torch.float32), matrix)[0, 0]
    return clip[:3] / clip[3]


@pytest.mark.parametrize(("azimuth", "towards"), AROUND)
def test_the_point_on_the_cameras_side_is_central_and_nearest(azimuth: float, towards: tuple[int, int, int]) -> None:
    facing = project(azimuth, 0, towards)
    assert facing[:2].abs().max() < 1e-6
    for other, point in AROUND:
        if other != azimuth:
            assert project(azimuth, 0, point)[2] > facing[2]


@pytest.mark.parametrize(("azimuth", "right"), [(0, (1, 0, 0)), (90, (0, 1, 0)), (180, (-1, 0, 0)), (270, (0, -1, 0))])
def test_right_and_up_on_screen(azimuth: float, right: tuple[int, int, int]) -> None:
    assert project(azimuth, 0, right)[0] > 0.5
    assert abs(project(azimuth, 0, right)[1]) < 1e-6
    assert project(azimuth, 0, (0, 0, 1))[1] > 0.5
    assert project(azimuth, 20, (0, 0, 1))[2] < project(azimuth, -20, (0, 0, 1))[2]  # from above the top is nearer


def test_straight_from_above_the_top_is_nearest_and_right_stays_right() -> None:
    assert project(0, 90, (0, 0, 1))[:2].abs().max() < 1e-6
    assert project(0, 90, (0, 0, 1))[2] < project(0, 90, (0, 0, -1))[2]
    assert project(0, 90, (1, 0, 0))[0] > 0.5
    assert project(0, 90, (0, 1, 0))[1] > 0.5


def test_orbit_is_look_at() -> None:
    azimuth, elevation, distance = (
        torch.tensor([0.3, 2.0, 5.0]),
        torch.tensor([0.2, -0.7, 1.2]),
        torch.tensor([1.0, 2, 3]),
    )
    target = torch.tensor([0.1, -0.2, 0.3])
    camera = orbit_camera(azimuth, elevation, distance, target)
    eye = torch.linalg.inv(camera)[:, :3, 3]
    assert torch.allclose((eye - target).norm(dim=1), distance, atol=1e-5)
    assert torch.allclose(camera, look_at(eye, target, torch.tensor([0.0, 0.0, 1.0])), atol=1e-5)
    assert torch.allclose(torch.linalg.det(camera), torch.ones(3), atol=1e-5)


def test_perspective_maps_the_frustum_to_the_cube() -> None:
    matrix = perspective(torch.tensor(math.radians(60)), 2.0, 0.5, 9.0)
    tangent = math.tan(math.radians(30))
    for depth, ndc_z in ((0.5, -1.0), (9.0, 1.0)):
        clip = matrix @ torch.tensor([2 * tangent * depth, tangent * depth, -depth, 1.0])
        assert torch.allclose(clip[:3] / clip[3], torch.tensor([1.0, 1.0, ndc_z]), atol=1e-5)


def test_impossible_cameras_are_refused() -> None:
    with pytest.raises(ValueError, match="up"):
        look_at(torch.tensor([0.0, 0, 1]), torch.zeros(3), torch.tensor([0.0, 0, 1]))
    with pytest.raises(ValueError, match="near"):
        perspective(torch.tensor(1.0), 1.0, 0.0, 1.0)
