"""Camera features tell views apart, and only views that differ."""

from __future__ import annotations

import math

import pytest
import torch
from maquette_backend.priors.prior import Views
from maquette_backend.priors.starter import conditioning


def views(azimuth: float = 30, elevation: float = 20, frame: float = 1.4, fov: float = 40) -> Views:
    """One view, degrees."""
    half = math.radians(fov) / 2
    distance = frame / (2 * math.tan(half))
    return Views(*(torch.tensor([x]) for x in (math.radians(azimuth), math.radians(elevation), distance, 2 * half)))


def features(**of: float) -> torch.Tensor:
    return conditioning.camera_features(views(**of))[0]


def test_a_full_turn_changes_nothing() -> None:
    torch.testing.assert_close(features(azimuth=30), features(azimuth=390), atol=1e-5, rtol=0)


@pytest.mark.parametrize("change", [{"azimuth": 120.0}, {"elevation": 50.0}, {"frame": 1.7}, {"fov": 20.0}])
def test_every_part_of_the_camera_matters(change: dict[str, float]) -> None:
    assert (features(**change) - features()).norm() > 0.5


def test_a_nearer_camera_with_a_wider_lens_shows_the_same_frame() -> None:
    near, far = features(fov=60), features(fov=30)
    of_fov = (near - far).abs() > 1e-5
    assert of_fov.sum() == 5  # four waves and the plain value; the frame's own are equal


@pytest.mark.parametrize(
    ("outside", "border"),
    [({"elevation": 89.0}, {"elevation": 65.0}), ({"fov": 90.0}, {"fov": 65.0}), ({"frame": 3.0}, {"frame": 1.75})],
)
def test_what_was_never_trained_is_taken_as_the_nearest_that_was(
    outside: dict[str, float], border: dict[str, float]
) -> None:
    torch.testing.assert_close(features(**outside), features(**border), atol=1e-4, rtol=0)


def test_all_features_are_about_one_and_a_missing_camera_is_told_apart() -> None:
    random = torch.Generator().manual_seed(0)
    many = Views(*(torch.rand(500, generator=random) * high for high in (7.0, 1.5, 4.0, 1.2)))
    table = conditioning.camera_features(many)
    assert table.shape == (500, conditioning.CAMERA_FEATURES)
    assert table.abs().max() <= 1
    assert (table.norm(dim=1) >= 1).all()
    assert not conditioning.no_camera(2, torch.device("cpu")).any()


def test_times_become_different_bounded_features() -> None:
    table = conditioning.time_features(torch.linspace(0, 1, 101))
    assert table.shape == (101, conditioning.TIME_FEATURES)
    assert table.abs().max() <= 1
    assert torch.cdist(table, table).add(torch.eye(101) * 9).min() > 0.05
