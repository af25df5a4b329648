"""The diffusion process: the schedule's identity and the algebra between v, ε and x₀."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from maquette_backend.priors.starter import diffusion

TIMES = st.lists(st.floats(0.001, 0.999), min_size=1, max_size=6).map(torch.tensor)


@given(TIMES)
def test_signal_and_noise_scales_lie_on_the_unit_circle(time: torch.Tensor) -> None:
    alpha, sigma = diffusion.alpha_sigma(time)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(time))
    assert (alpha > 0).all()
    assert (sigma > 0).all()


def test_schedule_runs_from_signal_to_noise() -> None:
    alpha, _ = diffusion.alpha_sigma(torch.linspace(0, 1, 101))
    assert alpha[0] == 1
    assert 0 < alpha[-1] < 0.002
    assert (alpha.diff() < 0).all()


@given(TIMES, st.integers(0, 10_000))
def test_true_velocity_gives_back_signal_and_noise(time: torch.Tensor, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    clean, noise = (torch.randn(len(time), 3, 4, 4, generator=generator) for _ in range(2))
    noisy = diffusion.add_noise(clean, noise, time)
    v = diffusion.velocity(clean, noise, time)
    torch.testing.assert_close(diffusion.noise_from_velocity(v, noisy, time), noise, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(diffusion.clean_from_velocity(v, noisy, time), clean, atol=1e-5, rtol=1e-5)


def test_velocity_is_the_rate_of_change_of_the_noisy_signal() -> None:
    """v = dz/dφ along the circle α = cos φ, σ = sin φ, here by central differences."""
    clean, noise = torch.randn(2, 1, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    time, step = torch.tensor([0.4], dtype=torch.float64), 1e-5
    ahead = diffusion.add_noise(clean, noise, time + step)
    behind = diffusion.add_noise(clean, noise, time - step)
    turn = torch.atan2(*reversed(diffusion.alpha_sigma(time + step))) - torch.atan2(
        *reversed(diffusion.alpha_sigma(time - step))
    )
    torch.testing.assert_close((ahead - behind) / turn, diffusion.velocity(clean, noise, time), atol=1e-8, rtol=1e-7)
