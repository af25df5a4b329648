"""Shading: white furnaces, energy, gradients, and a path-free reference that samples the BRDF itself."""

import pytest
import torch
from maquette_backend.appearance.material import Material
from maquette_backend.render.environment import Environment
from maquette_backend.render.environments import equirect_directions
from maquette_backend.render.split_sum import shade
from torch import Tensor
from torch.nn.functional import normalize

COUNT = 400


def material(albedo: Tensor, roughness: Tensor, metallic: Tensor) -> Material:
    return Material(albedo, roughness, metallic, torch.tensor([0.0, 0.0, 1.0]).expand(len(albedo), 3))


def seen() -> tuple[Tensor, Tensor]:
    """Unit normals and view directions on their side, at all angles down to 3°."""
    generator = torch.Generator().manual_seed(0)
    normals = normalize(torch.randn(COUNT, 3, generator=generator), dim=1)
    across = normalize(torch.linalg.cross(normals, torch.randn(COUNT, 3, generator=generator)), dim=1)
    cosine = torch.linspace(0.05, 1, COUNT)[:, None]
    return normals, cosine * normals + (1 - cosine.square()).sqrt() * across


def randoms(columns: int, seed: int) -> Tensor:
    return torch.rand(COUNT, columns, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def white() -> Environment:
    return Environment.from_equirect(torch.ones(8, 16, 3))


@pytest.mark.parametrize("metallic", [0.0, 0.4, 1.0])
def test_white_furnace_a_white_surface_in_white_light_vanishes(white: Environment, metallic: float) -> None:
    normals, view = seen()
    lost = shade(material(torch.ones(COUNT, 3), randoms(1, 1), torch.full((COUNT, 1), metallic)), normals, view, white)
    torch.testing.assert_close(lost, torch.ones(COUNT, 3), atol=2e-3, rtol=0)


def test_no_surface_sends_out_more_than_it_gets(white: Environment) -> None:
    normals, view = seen()
    sent = shade(material(randoms(3, 2), randoms(1, 3), randoms(1, 4)), normals, view, white)
    assert float(sent.max()) <= 1.002
    assert float(sent.min()) > 0


def test_gradients_in_the_material_and_the_normal_are_the_numerical_ones() -> None:
    light = Environment.from_equirect((1 + equirect_directions(32, 64)) ** 2)
    normals, view = (part[200:206].double() for part in seen())
    light = Environment(light.prefiltered.double(), light.irradiance.double())
    values = torch.rand(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(5)) * 0.5 + 0.25

    def radiance(values: Tensor, normals: Tensor) -> Tensor:
        albedo, roughness, metallic = values.split([3, 1, 1], dim=1)
        return shade(Material(albedo, roughness, metallic, normals), normalize(normals, dim=1), view, light)

    inputs = (values.requires_grad_(), normals.clone().requires_grad_())
    # the table and the light are single numbers a texel: their slopes jump at texel borders, which 1e-7 steps over
    assert torch.autograd.gradcheck(radiance, inputs, eps=1e-7, atol=1e-4, rtol=1e-3)


def test_matt_light_alone_is_albedo_times_irradiance(white: Environment) -> None:
    view = normals = normalize(torch.randn(COUNT, 3, generator=torch.Generator().manual_seed(9)), dim=1)
    albedo = randoms(3, 6)
    sent = shade(material(albedo, torch.ones(COUNT, 1), torch.zeros(COUNT, 1)), normals, view, white)
    black = shade(material(torch.zeros(COUNT, 3), torch.ones(COUNT, 1), torch.zeros(COUNT, 1)), normals, view, white)
    torch.testing.assert_close(sent, albedo * (1 - black) + black, atol=1e-5, rtol=0)
    assert 0.01 < float(black.mean()) < 0.05


@pytest.mark.parametrize(("roughness", "bound"), [(0.3, 0.05), (0.6, 0.05), (1.0, 0.05)])
def test_rough_metal_under_smooth_light_is_what_sampling_its_facets_gives(roughness: float, bound: float) -> None:
    """Reference: visible facets drawn one by one (Heitz 2018's older method), the light read in the mirrored directions."""
    towards = equirect_directions(64, 128)
    axis = normalize(torch.tensor([0.5, -0.6, 0.6]), dim=0)

    def light_from(directions: Tensor) -> Tensor:
        return (torch.exp(4 * (directions @ axis - 1)) + 0.2)[..., None].expand(*directions.shape[:-1], 3)

    light = Environment.from_equirect(light_from(towards).contiguous())
    normals, view = seen()
    normals, view = normals[60:], view[60:]
    f0 = torch.ones(len(normals), 3)
    found = shade(
        material(f0, torch.full((len(f0), 1), roughness), torch.ones(len(f0), 1)), normals, view, light
    )
    expected = torch.stack([_sampled(n, v, roughness**2, light_from) for n, v in zip(normals, view, strict=True)])
    assert float((found - expected).abs().mean() / expected.mean()) < bound


def _sampled(normal: Tensor, view: Tensor, alpha: float, light_from) -> Tensor:  # type: ignore[no-untyped-def]
    """Mean reflected light of a perfect mirror, per light sent on at all: with every bounce kept, that is what leaves."""
    k = torch.arange(4096)
    u, v = (k + 0.5) / len(k), (k * 0.7548776662466927) % 1
    side = normalize(torch.linalg.cross(normal, torch.tensor([0.3, 0.2, 0.9])), dim=0)
    up = torch.linalg.cross(normal, side)
    # facets by the density of their normals alone, each weighed by how large it looks and how little is hidden
    polar = torch.atan(alpha * torch.sqrt(u / (1 - u)))
    turn = 2 * torch.pi * v
    half = (
        (polar.sin() * turn.cos())[:, None] * side + (polar.sin() * turn.sin())[:, None] * up + polar.cos()[:, None] * normal
    )
    facing = half @ view
    light = 2 * facing[:, None] * half - view
    lit, seen_from = (light @ normal).clamp(min=1e-6), normal @ view

    def smith(c: Tensor) -> Tensor:
        return (torch.sqrt(1 + alpha**2 * (1 / c**2 - 1)) - 1) / 2

    shadow = 1 / (1 + smith(seen_from) + smith(lit))
    weight = torch.where((facing > 0) & (light @ normal > 0), shadow * facing / polar.cos(), 0.0)
    return (weight[:, None] * light_from(light)).sum(0) / weight.sum()
