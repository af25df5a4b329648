"""The table against direct integration of the BRDF over the hemisphere, by another formula and another quadrature."""

import math

import pytest
import torch
from maquette_backend.render import brdf_table


def integrated(cosine: float, roughness: float) -> tuple[float, float]:
    """Scale and bias: ∫ D G2 / (4 n·l n·v) (1 − Fc, Fc) n·l dl, on a grid around the mirror direction's half vectors.

    Half vectors h are gridded in angle; dl = 4 v·h dh. G2 is written from its two one-sided terms.
    """
    alpha = roughness**2
    polar = torch.linspace(0, 1, 1600, dtype=torch.float64) ** 2 * (math.pi / 2)
    turn = (torch.arange(400, dtype=torch.float64) + 0.5) / 400 * 2 * math.pi
    theta, phi = torch.meshgrid(polar, turn, indexing="ij")
    half = torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()], -1)
    view = torch.tensor([math.sqrt(1 - cosine**2), 0, cosine], dtype=torch.float64)
    facing = half @ view
    light = 2 * facing[..., None] * half - view
    up = light[..., 2]
    density = alpha**2 / (math.pi * (theta.cos() ** 2 * (alpha**2 - 1) + 1) ** 2)

    def one_sided(c: torch.Tensor) -> torch.Tensor:
        return 2 / (1 + torch.sqrt(1 + alpha**2 * (1 / c**2 - 1)))

    seen, lit = one_sided(torch.tensor(cosine, dtype=torch.float64)), one_sided(up.clamp(min=1e-6))
    both = seen * lit / (seen + lit - seen * lit)
    value = torch.where((up > 0) & (facing > 0), density * both / (4 * cosine) * 4 * facing, 0.0) * theta.sin()
    fresnel = (1 - facing).clamp(0, 1) ** 5

    def total(values: torch.Tensor) -> float:
        return float(torch.trapezoid(values.mean(1) * 2 * math.pi, polar))

    return total(value * (1 - fresnel)), total(value * fresnel)


@pytest.mark.parametrize("cosine", [0.1, 0.35, 0.7, 0.999])
@pytest.mark.parametrize("roughness", [0.15, 0.4, 0.7, 1.0])
def test_scale_and_bias_are_the_integrals(cosine: float, roughness: float) -> None:
    found = brdf_table.look_up(torch.tensor([[cosine]]), torch.tensor([[roughness]]))
    scale, bias = integrated(cosine, roughness)
    assert abs(float(found.scale) - scale) < 4e-3
    assert abs(float(found.bias) - bias) < 4e-3


def test_seen_along_the_normal_the_lobe_is_the_prefiltered_one() -> None:
    roughness = torch.linspace(0.1, 1, 20)[:, None]
    found = brdf_table.look_up(torch.full_like(roughness, 1.0), roughness)
    torch.testing.assert_close(found.width, roughness, atol=0.01, rtol=0)


def test_the_mean_albedo_is_the_mean_over_all_views() -> None:
    for roughness in (0.2, 0.6, 1.0):
        cosine = torch.linspace(0, 1, 500)[:, None]
        found = brdf_table.look_up(cosine, torch.full_like(cosine, roughness))
        mean = 2 * torch.trapezoid((found.scale + found.bias) * cosine, cosine, dim=0)
        assert abs(float(mean) - float(found.mean_albedo[0])) < 2e-3


def test_entries_are_possible() -> None:
    table = brdf_table.brdf_table()
    assert bool(torch.isfinite(table).all())
    albedo = table[0] + table[1]
    assert float(albedo.min()) > 0
    assert float(albedo.max()) <= 1 + 1e-5
    assert float(table[5].min()) > 0.03
    assert float(table[5].max()) <= 1
