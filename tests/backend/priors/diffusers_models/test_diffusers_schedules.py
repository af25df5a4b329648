"""Noise schedules: against diffusers' own noising, and all parameterisations of one exact denoiser against each other."""

from __future__ import annotations

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
)
from gaussian_prior import GaussianPrior, plain_settings
from maquette_backend.guidance.sds import Distillation, distillation_loss, guide
from maquette_backend.priors.diffusers.diffusers_prior import DiffusersPrior, Parts
from maquette_backend.priors.diffusers.schedules import (
    DiscreteSchedule,
    FlowSchedule,
    discrete_schedule,
    flow_schedule,
)
from maquette_backend.priors.prior import Views

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
MEAN, SPREAD = 0.3, 0.5


@pytest.mark.parametrize(
    "scheduler",
    [
        DDPMScheduler(**BETAS),
        PNDMScheduler(**BETAS),
        DDIMScheduler(**BETAS, rescale_betas_zero_snr=True, prediction_type="v_prediction"),
        DDPMScheduler(num_train_timesteps=200, beta_schedule="linear"),
        DDPMScheduler(trained_betas=torch.linspace(1e-4, 0.03, 50).tolist(), num_train_timesteps=50),
    ],
)
def test_noising_is_the_schedulers_own(scheduler):
    config = {**scheduler.config, "_class_name": type(scheduler).__name__}
    schedule = discrete_schedule(config)
    last = scheduler.config.num_train_timesteps - 1
    steps = torch.tensor([0, 1, last // 3, last - 1, last])
    clean, noise = torch.randn(2, 5, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    time = steps / last
    assert torch.equal(schedule.network_time(time), steps)
    alpha, sigma = (scale.view(-1, 1, 1, 1) for scale in schedule.alpha_sigma(time))
    torch.testing.assert_close(alpha * clean + sigma * noise, scheduler.add_noise(clean, noise, steps))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(5, 1, 1, 1))


def test_eulers_noising_is_ours_but_for_its_scale():
    """Its pictures are x0 + s eps with s = sigma / alpha, scaled down by sqrt(s² + 1) for the network: the same z."""
    scheduler = EulerDiscreteScheduler(**BETAS)
    scheduler.set_timesteps(1000)
    schedule = discrete_schedule({**scheduler.config, "_class_name": "EulerDiscreteScheduler"})
    clean, noise = torch.randn(2, 1, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    step = scheduler.timesteps[400:401]
    theirs = scheduler.scale_model_input(scheduler.add_noise(clean, noise, step), step[0])
    time = step / 999
    alpha, sigma = (scale.view(-1, 1, 1, 1) for scale in schedule.alpha_sigma(time))
    torch.testing.assert_close((alpha * clean + sigma * noise).float(), theirs.float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_what_a_flow_network_is_shown_is_the_schedulers_own_picture(shift):
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    schedule = flow_schedule(dict(scheduler.config))
    steps = torch.tensor([1, 300, 700, 1000])
    clean, noise = torch.randn(2, 4, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    time = steps / 1000
    told = scheduler.timesteps[1000 - steps]
    torch.testing.assert_close(schedule.network_time(time), told)
    alpha, sigma = (scale.view(-1, 1, 1, 1) for scale in schedule.alpha_sigma(time))
    shown = schedule.network_input(alpha * clean + sigma * noise, time)
    torch.testing.assert_close(shown, scheduler.scale_noise(clean, told, noise))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(4, 1, 1, 1))


def test_a_flow_s_ends_are_clean_and_pure_noise():
    alpha, sigma = FlowSchedule(1000, 3.0).alpha_sigma(torch.tensor([0.0, 1.0]))
    assert torch.equal(alpha, torch.tensor([1.0, 0.0]))
    assert torch.equal(sigma, torch.tensor([0.0, 1.0]))


def test_what_is_not_known_is_refused():
    with pytest.raises(ValueError, match="predicts “flow_prediction”"):
        discrete_schedule({**BETAS, "prediction_type": "flow_prediction"})
    with pytest.raises(ValueError, match="picture's size"):
        flow_schedule({"use_dynamic_shifting": True})


class Ideal:
    """The exact denoiser of N(mean, spread²) in one parameterisation, from nothing but what a network is given.

    With x = a x0 + b eps the posterior mean is m + a s² / (a² s² + b²) (x − a m), for every a and b.
    """

    def __init__(self, schedule, kind):
        self.schedule, self.kind = schedule, kind

    def __call__(self, shown, network_time, text, cameras, hints=()):
        if self.kind == "flow":
            b = (network_time / self.schedule.steps).view(-1, 1, 1, 1).to(shown)
            a = 1 - b
        else:
            kept = self.schedule.alphas_cumprod[network_time].view(-1, 1, 1, 1).to(shown)
            a, b = kept.sqrt(), (1 - kept).sqrt()
        mean = MEAN + text.view(-1, 1, 1, 1)
        clean = mean + a * SPREAD**2 / (a**2 * SPREAD**2 + b**2) * (shown - a * mean)
        noise = (shown - a * clean) / b
        kinds = {"epsilon": noise, "sample": clean, "v_prediction": a * noise - b * clean, "flow": noise - clean}
        return kinds[self.kind]


class Plain:
    """Pictures are their own encodings, and a text's row is its length."""

    def encode(self, given):
        if isinstance(given, torch.Tensor):
            return given
        return torch.tensor([[float(len(text))] for text in given], dtype=torch.float64)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample", "flow"])
@pytest.mark.parametrize("step", [40, 500, 930])
def test_every_parameterisation_of_one_exact_denoiser_gives_the_same_gradient(kind, step):
    """The reference is an exact prior that knows neither networks nor schedules, at the same alpha and sigma."""
    alphas = DDPMScheduler(**BETAS).alphas_cumprod.double()
    alpha, sigma = alphas[step].sqrt(), (1 - alphas[step]).sqrt()
    if kind == "flow":
        shift = 3.0
        t = sigma / (alpha + sigma)
        schedule, time = FlowSchedule(1000, shift), t / (shift - (shift - 1) * t)
    else:
        schedule, time = DiscreteSchedule(alphas, kind), torch.tensor(step / 999, dtype=torch.float64)
    ours = DiffusersPrior(Parts(schedule, Plain(), Plain(), Ideal(schedule, kind)), plain_settings(), "ideal")
    exact = GaussianPrior(lambda text, views, modality: MEAN + text.double().view(-1, 1, 1, 1), SPREAD, plain_settings())
    found = gradient(ours, time.repeat(2))
    expected = gradient(exact, (torch.acos(alpha) * 2 / torch.pi).repeat(2))
    assert found.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-4)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample", "flow"])
def test_noise_and_picture_of_every_parameterisation_belong_together(kind):
    alphas = DDPMScheduler(**BETAS).alphas_cumprod.double()
    schedule = FlowSchedule(1000, 3.0) if kind == "flow" else DiscreteSchedule(alphas, kind)
    prior = DiffusersPrior(Parts(schedule, Plain(), Plain(), Ideal(schedule, kind)), plain_settings(), "ideal")
    noisy = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    time, text = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64), torch.zeros(3, 1, dtype=torch.float64)
    clean = prior.predict_denoised(noisy, time, text, None, "color")
    noise = prior.predict_noise(noisy, time, text, None, "color")
    torch.testing.assert_close(prior.add_noise(clean, noise, time, "color"), noisy, atol=1e-6, rtol=1e-6)


def gradient(prior, time):
    """Of one guided step with respect to the encoding, in float64."""
    generator = torch.Generator().manual_seed(3)
    encoded = torch.randn(2, 4, 5, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(2, 4, 5, 5, generator=generator, dtype=torch.float64)
    text, negative = prior.encode_text(["ab", "ab"]).data.double(), prior.encode_text(["", ""]).data.double()
    views = Views(*(torch.zeros(2),) * 4)
    settings = Distillation(scale=1.5, rescale=0.5)
    guided = guide(prior, encoded.detach(), text, negative, views, time, noise, "color", settings)
    distillation_loss(encoded, guided).backward()
    return encoded.grad
