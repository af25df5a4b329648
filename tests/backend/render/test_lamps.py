"""Lamps in closed form, and against image-based light: suns from everywhere are a white sky."""

import math

import pytest
import torch
from maquette_backend.appearance.material import Material
from maquette_backend.render.lamps import Lamp, shade_lamps
from maquette_backend.render.octahedral import direction_from_square, solid_angles, texel_places
from maquette_backend.render.split_sum import F0, Reflectances
from torch import Tensor


def material(count: int, albedo: float, roughness: float, metallic: float) -> Material:
    one = torch.ones(count, 1)
    up = torch.tensor([0.0, 0.0, 1.0]).expand(count, 3)
    return Material(albedo * torch.ones(count, 3), roughness * one, metallic * one, up)


def sun_from(direction: Tensor, strength: float = 1.0) -> Lamp:
    matrix = torch.eye(4)
    matrix[:3, 2] = direction
    return Lamp("sun", matrix, (1.0, 1.0, 1.0), strength)


UP = torch.tensor([[0.0, 0.0, 1.0]])


def test_a_rough_black_surface_sends_back_next_to_nothing_and_a_white_one_its_share_over_pi() -> None:
    slant = torch.tensor([math.sin(1.0), 0.0, math.cos(1.0)])
    found = [
        shade_lamps(material(1, albedo, 1.0, 0.0), UP, UP, torch.zeros(1, 3), [sun_from(slant, 3.0)])
        for albedo in (0.0, 0.8)
    ]
    coat = Reflectances.of(material(1, 0.0, 1.0, 0.0), torch.ones(1, 1)).glossy
    torch.testing.assert_close(found[1] - found[0], 0.8 * (1 - coat) * 3.0 * math.cos(1.0) / math.pi, atol=1e-6, rtol=0)
    assert 0 < float(found[0].max()) < 0.05


def test_the_mirror_direction_of_a_metal_has_the_peak_of_ggx() -> None:
    """n = v = l: D G / 4 = 1 / (4 π α²), times F0, times what later bounces add."""
    roughness, alpha = 0.5, 0.25
    found = shade_lamps(material(1, 0.7, roughness, 1.0), UP, UP, torch.zeros(1, 3), [sun_from(UP[0])])
    gain = Reflectances.of(material(1, 0.7, roughness, 1.0), torch.ones(1, 1)).metal_gain
    torch.testing.assert_close(found, 0.7 * gain / (4 * math.pi * alpha**2), rtol=1e-4, atol=0)
    insulator = shade_lamps(material(1, 0.0, roughness, 0.0), UP, UP, torch.zeros(1, 3), [sun_from(UP[0])])
    assert float(insulator[0, 0]) == pytest.approx(F0 / (4 * math.pi * alpha**2), rel=0.01)


@pytest.mark.parametrize("metallic", [0.0, 1.0])
@pytest.mark.parametrize("cosine", [0.4, 0.9])
def test_suns_from_everywhere_are_a_white_furnace(metallic: float, cosine: float) -> None:
    size = 64
    directions = direction_from_square(texel_places(size)).reshape(-1, 3)
    weights = solid_angles(size).reshape(-1)
    view = torch.tensor([[math.sqrt(1 - cosine**2), 0.0, cosine]])
    total = torch.zeros(1, 3)
    # one call with a batch of points, each under its own sun, would need a lamp per point: turn the surface instead
    for direction, weight in zip(directions[:: 7], weights[:: 7], strict=True):
        if float(direction[2]) > 0:
            total += 7 * weight * shade_lamps(
                material(1, 1.0, 0.7, metallic), UP, view, torch.zeros(1, 3), [sun_from(direction)]
            )
    torch.testing.assert_close(total, torch.ones(1, 3), atol=0.03, rtol=0)


def test_a_point_lamp_fades_with_the_square_of_its_distance_and_is_blenders() -> None:
    def lit(distance: float) -> Tensor:
        matrix = torch.eye(4)
        matrix[2, 3] = distance
        return shade_lamps(
            material(1, 0.5, 1.0, 0.0), UP, UP, torch.zeros(1, 3), [Lamp("point", matrix, (1.0, 0.5, 0.0), 100.0)]
        )

    torch.testing.assert_close(lit(2.0), 4 * lit(4.0))
    same = shade_lamps(
        material(1, 0.5, 1.0, 0.0), UP, UP, torch.zeros(1, 3), [sun_from(UP[0], 100 / (4 * math.pi * 9))]
    )
    torch.testing.assert_close(lit(3.0), same * torch.tensor([1.0, 0.5, 0.0]))


def test_light_adds_up_comes_from_the_front_and_none_is_none() -> None:
    dull = material(1, 0.5, 0.5, 0.5)
    one, two = sun_from(UP[0]), sun_from(torch.tensor([0.6, 0.0, 0.8]), 2.0)
    origin = torch.zeros(1, 3)
    both = shade_lamps(dull, UP, UP, origin, [one, two])
    torch.testing.assert_close(
        both, shade_lamps(dull, UP, UP, origin, [one]) + shade_lamps(dull, UP, UP, origin, [two])
    )
    assert float(shade_lamps(dull, UP, UP, origin, [sun_from(-UP[0])]).abs().max()) == 0
    assert float(shade_lamps(dull, UP, UP, origin, []).abs().max()) == 0
