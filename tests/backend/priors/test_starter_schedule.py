"""The noise schedule agrees with diffusers' scheduler, and the algebra of v, ε and x₀ with itself."""

from __future__ import annotations

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st
from maquette_backend.priors.starter import schedule


def test_alpha_is_that_of_the_scheduler_whose_config_is_shipped() -> None:
    scheduler = DDIMScheduler.from_config(schedule.scheduler_config())
    alpha, sigma = schedule.alpha_sigma(torch.arange(1000) / 999)
    torch.testing.assert_close(alpha, scheduler.alphas_cumprod.sqrt(), atol=2e-5, rtol=0)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(1000))


def test_the_noise_is_three_times_that_of_diffusers_cosine_schedule() -> None:
    plain = DDIMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod.double()
    alpha, sigma = (scale.double() for scale in schedule.alpha_sigma(torch.arange(1000) / 999))
    torch.testing.assert_close((sigma / alpha)[:990], 3 * ((1 - plain) / plain).sqrt()[:990], rtol=2e-3, atol=1e-4)


def test_between_two_steps_the_scale_lies_between_theirs() -> None:
    alpha, _ = schedule.alpha_sigma(torch.tensor([400.0, 400.25, 401.0]) / 999)
    assert alpha[0] > alpha[1] > alpha[2]


@given(time=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_velocity_gives_back_picture_and_noise(time: float, seed: int) -> None:
    clean, noise = torch.randn(2, 1, 7, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    at = torch.full((1, 1, 1, 1), time)
    noisy = schedule.add_noise(clean, noise, at)
    v = schedule.velocity(clean, noise, at)
    torch.testing.assert_close(schedule.clean_from_velocity(v, noisy, at), clean, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(schedule.noise_from_velocity(v, noisy, at), noise, atol=1e-6, rtol=1e-6)


def test_parts_may_have_times_of_their_own() -> None:
    clean, noise = torch.ones(1, 7, 2, 2), torch.zeros(1, 7, 2, 2)
    times = torch.tensor([1.0] * 3 + [0.0] * 4).view(1, 7, 1, 1)
    noisy = schedule.add_noise(clean, noise, times)
    assert noisy[:, :3].abs().max() < 1e-3
    torch.testing.assert_close(noisy[:, 3:], torch.ones(1, 4, 2, 2), atol=1e-3, rtol=0)
