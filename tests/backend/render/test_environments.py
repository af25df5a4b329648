"""Computed surroundings: as strong as they say, where they say, and varied by seed alone."""

import math

import pytest
import torch
from maquette_backend.render.environments import (
    clear_sky,
    equirect_directions,
    overcast,
    overcast_sky,
    random_environment,
    room,
    sky,
    soft_box,
    studio,
)
from torch import Tensor

AXES = torch.tensor([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])


@pytest.mark.parametrize("picture", [soft_box(30, 20, 20), room(), sky(), overcast()])
def test_the_mean_radiance_over_all_directions_is_1(picture: Tensor) -> None:
    towards = equirect_directions()
    weight = towards[..., :2].norm(dim=-1, keepdim=True)
    assert float((picture * weight).sum() / (3 * weight.sum())) == pytest.approx(1, abs=1e-4)
    assert float(picture.min()) >= 0


def test_a_soft_box_is_where_it_is_said_to_be() -> None:
    for azimuth, elevation in ((0, 0), (90, 10), (-135, 60)):
        picture = soft_box(azimuth, elevation, 15)
        center = (picture[..., :1] * equirect_directions()).mean((0, 1))
        center = center / center.norm()
        a, e = math.radians(azimuth), math.radians(elevation)
        expected = torch.tensor([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)])
        assert float(center @ expected) > 0.99


def test_the_overcast_sky_is_the_cies() -> None:
    picture, up = overcast()[..., 0], equirect_directions()[..., 2]
    top, horizon = picture[up > 0.999].mean(), picture[(up > 0) & (up < 0.03)].mean()
    assert float(top / horizon) == pytest.approx(3, rel=0.05)


def test_studio_light_is_the_sum_of_its_boxes_and_the_skies_come_from_above() -> None:
    only = [studio(tuple(float(i == k) + 1e-9 for i in range(5))).diffuse(AXES) for k in range(5)]
    torch.testing.assert_close(studio((0.2,) * 5).diffuse(AXES), sum(only) / 5, atol=1e-5, rtol=0)
    for light in (clear_sky(), overcast_sky()):
        found = light.diffuse(AXES).mean(1)
        assert float(found[4]) > 1.5 * float(found[5])
    assert int(clear_sky().diffuse(AXES)[:4, 0].argmax()) == 0


def test_one_seed_one_light_and_many_seeds_many() -> None:
    def light(seed: int) -> Tensor:
        return random_environment(torch.Generator().manual_seed(seed)).diffuse(AXES)

    torch.testing.assert_close(light(3), light(3), atol=0, rtol=0)
    lights = torch.stack([light(seed) for seed in range(40)])
    assert bool(torch.isfinite(lights).all())
    assert 0.4 < float(lights.mean()) < 1.6
    assert float((lights.mean((1, 2))).std()) > 0.1
    assert len({int(one[:4].mean(1).argmax()) for one in lights}) == 4
