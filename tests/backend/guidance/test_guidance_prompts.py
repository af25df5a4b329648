"""View words at the borders of their sides."""

from __future__ import annotations

import math

import pytest
from maquette_backend.guidance.prompts import Side, side_of, view_prompt

CASES: list[tuple[float, float, Side]] = [
    (0, 0, "front"),
    (45, 0, "front"),
    (-45, 0, "front"),
    (45.1, 0, "side"),
    (90, 30, "side"),
    (-90, 30, "side"),
    (134.5, 0, "side"),
    (135, 0, "back"),
    (-135, 0, "back"),
    (180, 0, "back"),
    (0, 59.9, "front"),
    (0, 60.1, "overhead"),
    (180, 89, "overhead"),
    (90, -10, "side"),
]


@pytest.mark.parametrize(("azimuth_deg", "elevation_deg", "side"), CASES)
def test_side(azimuth_deg: float, elevation_deg: float, side: Side) -> None:
    assert side_of(math.radians(azimuth_deg), math.radians(elevation_deg)) == side


@pytest.mark.parametrize("turns", [1, -2])
@pytest.mark.parametrize(("azimuth_deg", "elevation_deg", "side"), CASES)
def test_whole_turns_change_nothing(azimuth_deg: float, elevation_deg: float, side: Side, turns: int) -> None:
    """A tenth of a degree off the borders, where rounding would decide."""
    off_border = azimuth_deg * 0.999 if side == "front" else azimuth_deg * 1.0005
    assert side_of(math.radians(off_border + 360 * turns), math.radians(elevation_deg)) == side


def test_prompt_names_the_side_last() -> None:
    assert view_prompt("a red sofa", math.pi, 0.1) == "a red sofa, back view"
