"""Regularisers in closed form."""

import math

import pytest
import torch
from maquette_backend.appearance.color_space import linear_from_srgb
from maquette_backend.appearance.material import Material
from maquette_backend.appearance.material_penalty import PenaltySettings, colored_light_penalty, material_penalty
from torch import Tensor

POINTS = torch.rand(40_000, 3, generator=torch.Generator().manual_seed(0)) - 0.5


def sloped(points: Tensor) -> Material:
    """sRGB albedo 0.5 + 0.3 x, roughness 0.5 + 0.2 y, metal 0.5 + 0.1 z."""
    albedo = linear_from_srgb((0.5 + 0.3 * points[:, :1]).expand(-1, 3))
    up = torch.tensor([0.0, 0.0, 1.0]).expand(len(points), 3)
    return Material(albedo, 0.5 + 0.2 * points[:, 1:2], 0.5 + 0.1 * points[:, 2:], up)


def penalty(step: int, **settings: float) -> float:
    chosen = PenaltySettings(jitter=0.02, **settings)  # type: ignore[arg-type]
    return float(material_penalty(sloped, POINTS, step, torch.Generator().manual_seed(1), chosen))


def test_a_slope_costs_its_mean_change_over_the_step() -> None:
    """E|N(0, σ²)| = σ √(2/π), along each quantity's own axis."""
    mean = 0.02 * math.sqrt(2 / math.pi)
    assert penalty(10_000, albedo=2, roughness=0, metallic=0, normal=0) == pytest.approx(2 * 0.3 * mean, rel=0.02)
    assert penalty(10_000, albedo=0, roughness=1, metallic=0, normal=0) == pytest.approx(0.2 * mean, rel=0.02)
    assert penalty(10_000, albedo=0, roughness=0, metallic=1, normal=0) == pytest.approx(0.1 * mean, rel=0.02)
    assert penalty(10_000, albedo=0, roughness=0, metallic=0, normal=1) == 0


def test_it_grows_to_its_full_size_and_stays_there() -> None:
    whole = penalty(10_000)
    assert penalty(0) == 0
    assert penalty(125) == pytest.approx(whole / 4)
    assert penalty(500) == pytest.approx(whole)


def test_no_points_cost_nothing() -> None:
    assert float(material_penalty(sloped, POINTS[:0], 9, torch.Generator())) == 0


def test_light_costs_its_distance_from_grey() -> None:
    light = torch.tensor([[3.0, 3.0, 3.0], [2.0, 1.0, 0.0]])
    assert float(colored_light_penalty(light, PenaltySettings(neutral=0.5))) == pytest.approx(0.5 * 2 / 6)
    assert float(colored_light_penalty(torch.full((5, 5, 3), 7.0))) == 0
