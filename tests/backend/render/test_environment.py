"""Prefiltered light against closed forms: constant light, light linear in direction, a hemisphere, one bright pixel."""

import math

import pytest
import torch
from maquette_backend.render.environment import Environment, environments_from_equirects, mixed
from maquette_backend.render.environments import equirect_directions
from maquette_backend.render.prefilter import ROUGHNESSES, level_of, lobe
from torch import Tensor
from torch.nn.functional import normalize

DIRECTIONS = normalize(torch.randn(300, 3, generator=torch.Generator().manual_seed(0)), dim=1)
TOWARDS = equirect_directions(64, 128)
TINTED = torch.tensor([1.0, 0.5, 0.25])
PICTURES = {
    "constant": torch.full((8, 16, 3), 0.7),
    "linear": (1 + TOWARDS @ torch.tensor([0.3, -0.5, 0.6]))[..., None] * TINTED,
    "upper": (TOWARDS[..., 2:] > 0).float().expand(-1, -1, 3).contiguous(),
}


@pytest.fixture(scope="module")
def lights() -> dict[str, Environment]:
    return dict(zip(PICTURES, environments_from_equirects(list(PICTURES.values())), strict=True))


def rough(value: float) -> Tensor:
    return torch.full((len(DIRECTIONS), 1), value)


def test_constant_light_stays_constant(lights: dict[str, Environment]) -> None:
    expected = torch.full((len(DIRECTIONS), 3), 0.7)
    torch.testing.assert_close(lights["constant"].diffuse(DIRECTIONS), expected)
    for value in (0.0, 0.08, 0.3, 0.45, 0.7, 1.0):
        torch.testing.assert_close(lights["constant"].specular(DIRECTIONS, rough(value)), expected)


def test_a_cosine_keeps_two_thirds_of_its_swing_in_diffuse_light(lights: dict[str, Environment]) -> None:
    expected = (1 + 2 / 3 * DIRECTIONS @ torch.tensor([0.3, -0.5, 0.6]))[:, None] * TINTED
    error = (lights["linear"].diffuse(DIRECTIONS) - expected).abs()
    assert error.max() < 1e-2
    assert error.mean() < 1.5e-3


def test_light_from_above_falls_off_as_a_half_plus_half_the_cosine(lights: dict[str, Environment]) -> None:
    expected = (0.5 + 0.5 * DIRECTIONS[:, 2:]).expand(-1, 3)
    error = (lights["upper"].diffuse(DIRECTIONS) - expected).abs()
    assert error.max() < 1.2e-2
    assert error.mean() < 3e-3


@pytest.mark.parametrize("roughness", [0.164, 0.332, 0.5, 0.75, 1.0])
def test_a_lobe_keeps_of_a_cosines_swing_its_own_mean_cosine(lights: dict[str, Environment], roughness: float) -> None:
    cosine = 1 - torch.linspace(0, 1, 20001, dtype=torch.float64) ** 3
    weight = lobe(cosine, roughness)
    kept = float(torch.trapezoid(weight * cosine, cosine) / torch.trapezoid(weight, cosine))
    expected = (1 + kept * DIRECTIONS @ torch.tensor([0.3, -0.5, 0.6]))[:, None] * TINTED
    error = (lights["linear"].specular(DIRECTIONS, rough(roughness)) - expected).abs()
    assert error.max() < 1.2e-2
    assert error.mean() < 2e-3


def test_blenders_layout_and_turning() -> None:
    """The pixel right of the centre by a quarter looks along −Y; turned by 90° about +Z its light comes along +X."""
    picture = torch.full((32, 64, 3), 0.01)
    picture[14:18, 46:50] = 50.0
    light = Environment.from_equirect(picture)
    axes = torch.tensor([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    for turned, brightest in ((light, 3), (light.rotated(math.pi / 2), 0), (light.rotated(math.pi), 1)):
        assert int(turned.diffuse(axes)[:, 0].argmax()) == brightest
        assert int(turned.specular(axes, torch.full((6, 1), 0.2))[:, 0].argmax()) == brightest
    low = torch.zeros(32, 64, 3)
    low[0] = 1.0
    assert int(Environment.from_equirect(low).diffuse(axes)[:, 0].argmax()) == 5


def test_turning_and_scaling_are_exact(lights: dict[str, Environment]) -> None:
    angle = 0.7
    matrix = torch.tensor([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    light = lights["linear"]
    changed = light.rotated(angle).scaled(3.0)
    torch.testing.assert_close(changed.diffuse(DIRECTIONS @ matrix.T), 3 * light.diffuse(DIRECTIONS))
    both = mixed([light, lights["upper"]], [2.0, 0.5])
    expected = 2 * light.specular(DIRECTIONS, rough(0.4)) + 0.5 * lights["upper"].specular(DIRECTIONS, rough(0.4))
    torch.testing.assert_close(both.specular(DIRECTIONS, rough(0.4)), expected)
    with pytest.raises(ValueError, match="turned"):
        mixed([changed], [1.0])


def test_levels_are_at_their_roughness() -> None:
    torch.testing.assert_close(level_of(torch.tensor(ROUGHNESSES)), torch.arange(len(ROUGHNESSES)).float())
    assert level_of(torch.tensor([0.0, 1.5])).tolist() == [0.0, len(ROUGHNESSES) - 1]


@pytest.mark.parametrize(
    "picture",
    [torch.zeros(4, 8), torch.zeros(1, 8, 3), torch.full((4, 8, 3), torch.nan), torch.full((4, 8, 3), -1.0)],
)
def test_impossible_pictures_are_refused(picture: Tensor) -> None:
    with pytest.raises(ValueError, match=r"light|picture"):
        Environment.from_equirect(picture)
