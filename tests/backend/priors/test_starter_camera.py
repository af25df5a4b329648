"""The camera vector: closed forms, symmetry, and the field of view folded into the distance."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from maquette_backend.priors.prior import Views
from maquette_backend.priors.starter.camera import camera_vector

FOV = math.radians(40)


def vector(azimuth_deg: float, elevation_deg: float = 22.5, distance: float = 1.95, fov_y: float = FOV) -> torch.Tensor:
    angles = (torch.tensor([math.radians(azimuth_deg)]), torch.tensor([math.radians(elevation_deg)]))
    return camera_vector(Views(*angles, torch.tensor([distance]), torch.tensor([fov_y])))[0]


@pytest.mark.parametrize(
    ("azimuth_deg", "expected"),
    [(0, [0, 1, 0, 1]), (90, [1, 0, 0, -1]), (180, [0, -1, 0, 1]), (270, [-1, 0, 0, -1])],
)
def test_quarter_turns_have_their_closed_form(azimuth_deg: float, expected: list[float]) -> None:
    torch.testing.assert_close(vector(azimuth_deg)[:4], torch.tensor(expected, dtype=torch.float32), atol=1e-6, rtol=0)


def test_middle_of_the_trained_range_is_the_origin() -> None:
    torch.testing.assert_close(vector(0)[4:], torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(vector(0, 45, 2.1)[4:], torch.tensor([0.5, 0.75]), atol=1e-5, rtol=0)


@given(st.floats(-720, 720))
def test_azimuth_is_periodic_and_its_mirror_flips_the_sines(azimuth_deg: float) -> None:
    torch.testing.assert_close(vector(azimuth_deg), vector(azimuth_deg + 360), atol=1e-5, rtol=0)
    mirror = torch.tensor([-1.0, 1, -1, 1, 1, 1])
    torch.testing.assert_close(vector(-azimuth_deg), vector(azimuth_deg) * mirror, atol=1e-5, rtol=0)


@given(st.floats(math.radians(10), math.radians(80)), st.floats(1.81, 2.09))
def test_equal_size_in_the_picture_gives_equal_vectors(fov_y: float, distance: float) -> None:
    moved = distance * math.tan(FOV / 2) / math.tan(fov_y / 2)
    torch.testing.assert_close(vector(30, 10, moved, fov_y), vector(30, 10, distance), atol=1e-4, rtol=0)


def test_out_of_range_views_become_the_nearest_known_ones() -> None:
    torch.testing.assert_close(vector(10, 80, 9.0), vector(10, 45, 2.1))
    torch.testing.assert_close(vector(10, -30, 0.5), vector(10, 0, 1.8))
