"""Each way of distilling against its paper's formula, where the prior is a Gaussian and everything is known exactly."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from diffusers.schedulers.scheduling_ddim_inverse import DDIMInverseScheduler
from exact_priors import MomentScore, OnSchedule, TwoPeaks, Undifferentiable
from gaussian_prior import GaussianPrior
from maquette_backend.guidance.csd import Csd
from maquette_backend.guidance.ddim import inverted
from maquette_backend.guidance.distiller import Distiller
from maquette_backend.guidance.guided import Distillation, Question, distillation_loss
from maquette_backend.guidance.ism import Ism
from maquette_backend.guidance.sds import Sds, guide
from maquette_backend.guidance.sjc import Sjc
from maquette_backend.guidance.vsd import Vsd
from maquette_backend.priors.prior import Views
from torch import Tensor

VIEWS, SIDE = 3, 8
TIME = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
SEEN = Views(torch.linspace(0, 3, VIEWS), *(value * torch.ones(VIEWS) for value in (0.3, 2, math.radians(40))))


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


MEAN = 0.3 * randn(1, 3, SIDE, SIDE, seed=5)
GAUSSIAN = GaussianPrior(lambda text, views, modality: text.view(-1, 1, 1, 1) * MEAN, spread=0.4)
PICTURE, NOISE = randn(VIEWS, 3, SIDE, SIDE, seed=1), randn(VIEWS, 3, SIDE, SIDE, seed=2)
TEXT, NEGATIVE, EMPTY = (value * torch.ones(VIEWS, 1) for value in (1.0, 2.0, 0.0))


def question(prior: GaussianPrior = GAUSSIAN, scale: float = 7.5, negative: Tensor = EMPTY) -> Question:
    settings = Distillation(scale, rescale=0.0)
    return Question(prior, PICTURE, TEXT, negative, SEEN, TIME, NOISE, "color", settings)


def gradient(distiller: Distiller, asked: Question) -> Tensor:
    """[B,3,H,W] by the tape, the picture being on it while it is guided, times what the loss is divided by."""
    encoded = asked.encoded.clone().requires_grad_()
    distillation_loss(encoded, distiller.guide(replace(asked, encoded=encoded))).backward()
    assert encoded.grad is not None
    return encoded.grad * encoded.shape[0] * encoded.shape[-1]


def scales(prior: GaussianPrior = GAUSSIAN, time: Tensor = TIME) -> tuple[Tensor, Tensor]:
    alpha, sigma = (scale.view(-1, 1, 1, 1) for scale in prior.alpha_sigma(time))
    return alpha, sigma


def noise_under(noisy: Tensor, text: Tensor, time: Tensor = TIME) -> Tensor:
    return GAUSSIAN.predict_noise(noisy, time, text, SEEN, "color")


def guided_noise(noisy: Tensor, scale: float) -> Tensor:
    told, untold = (noise_under(noisy, text) for text in (TEXT, EMPTY))
    return untold + scale * (told - untold)


def noisy_picture() -> Tensor:
    alpha, sigma = scales()
    return alpha * PICTURE + sigma * NOISE


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_sds_is_the_function_and_dreamfusions_formula(scale: float) -> None:
    asked = question(scale=scale)
    expected = scales()[1] ** 2 * (guided_noise(noisy_picture(), scale) - NOISE)
    torch.testing.assert_close(gradient(Sds(), asked), expected)
    same = guide(GAUSSIAN, PICTURE, TEXT, EMPTY, SEEN, TIME, NOISE, "color", asked.settings)
    assert torch.equal(same.denoised, Sds().guide(asked).denoised)


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_csd_is_its_formula_and_has_no_noise_in_it(progress: float) -> None:
    """(1 − ᾱ)(eps_text + a eps_empty + b eps_negative), a −1 → −½, b 0 → −½; for a Gaussian no noise is left."""
    asked = replace(question(negative=NEGATIVE), progress=progress)
    a, b = -1 + progress / 2, -progress / 2
    told, empty, negative = (noise_under(noisy_picture(), text) for text in (TEXT, EMPTY, NEGATIVE))
    got = gradient(Csd(), asked)
    torch.testing.assert_close(got, scales()[1] ** 2 * (told + a * empty + b * negative))
    torch.testing.assert_close(got, gradient(Csd(), replace(asked, noise=randn(*NOISE.shape, seed=77))))


def test_csd_takes_an_empty_negative_for_the_empty_text() -> None:
    asked = replace(question(negative=EMPTY), progress=1.0)
    told, empty = (noise_under(noisy_picture(), text) for text in (TEXT, EMPTY))
    torch.testing.assert_close(gradient(Csd(), asked), scales()[1] ** 2 * (told - empty))


@pytest.mark.parametrize("draws", [2, 6])
def test_sjc_is_the_score_of_the_smoothed_prior(draws: int) -> None:
    """E[(x − D(x + σ′n))]/σ′² = (x − mean)/(spread² + σ′²), the score of N(mean, spread² + σ′²), exactly over ± n."""
    alpha, sigma = scales()
    expected = (PICTURE - MEAN) / (GAUSSIAN.spread**2 + (sigma / alpha) ** 2)
    torch.testing.assert_close(gradient(Sjc(draws), question(scale=1.0)), expected)


def test_sjc_draws_fresh_pairs_that_repeat() -> None:
    first, again = Sjc(6).noises(question()), Sjc(6).noises(question())
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert len({float(noise[0, 0, 0, 0]) for noise in first}) == 6
    torch.testing.assert_close(torch.stack(first).sum(0), torch.zeros_like(NOISE))
    assert len(Sjc(3).noises(question())) == 3


def test_ism_is_its_formula() -> None:
    """√((1 − ᾱ)/ᾱ)(eps_guided(x_t) − eps_untold(x_s)), the way to x_t written out with noises."""
    way = Ism(steps=2, interval=0.1, clean_time=0.02)
    levels = [torch.full_like(TIME, 0.02), 0.5 * (0.02 + TIME - 0.1), TIME - 0.1, TIME]
    alpha, sigma = scales(time=levels[0])
    z = alpha * PICTURE + sigma * NOISE
    untold = z
    for time, onwards in pairwise(levels):
        alpha, sigma = scales(time=time)
        alpha_next, sigma_next = scales(time=onwards)
        untold = noise_under(z, EMPTY, time)
        z = alpha_next * (z - sigma * untold) / alpha + sigma_next * untold
    alpha, sigma = scales()
    expected = sigma / alpha * (guided_noise(z, 7.5) - untold)
    torch.testing.assert_close(gradient(way, question()), expected)


def test_isms_own_noise_matters_far_less_than_sdss() -> None:
    """What LucidDreamer is for: the same picture is pulled the same way whatever noise is thrown."""

    def scatter(distiller: Distiller) -> float:
        asked = [replace(question(), noise=randn(*NOISE.shape, seed=seed)) for seed in range(4)]
        pulls = torch.stack([gradient(distiller, one) for one in asked])
        return float(pulls.std(0).mean() / pulls.mean(0).abs().mean())

    assert scatter(Ism()) < 0.2 * scatter(Sds())


def test_inversion_agrees_with_diffusers() -> None:
    """Three steps of 200 from step 50 to 650, against DDIMInverseScheduler fed with the same noises."""
    prior = OnSchedule(GAUSSIAN.mean, 0.4)
    reference = DDIMInverseScheduler(beta_schedule="scaled_linear", clip_sample=False)
    reference.set_timesteps(5)
    start, end = (torch.full((VIEWS,), step / 999, dtype=torch.float64) for step in (50, 650))
    sample = prior.add_noise(PICTURE, NOISE, start, "color")
    for target in (250, 450, 650):
        level = torch.full((VIEWS,), (target - 200) / 999, dtype=torch.float64)
        noise = prior.predict_noise(sample, level, EMPTY, None, "color")
        sample = reference.step(noise, target, sample, return_dict=False)[0]
    point = inverted(question(prior), start, end, 3)
    torch.testing.assert_close(point.noisy, sample, rtol=1e-5, atol=1e-5)  # their table is in single precision
    torch.testing.assert_close(point.noise, prior.predict_noise(sample, end, EMPTY, None, "color"), rtol=1e-4, atol=1e-5)


def test_noising_agrees_with_diffusers() -> None:
    prior = OnSchedule(GAUSSIAN.mean, 0.4)
    steps = torch.tensor([20, 500, 979])
    asked = replace(question(prior), time=steps.double() / 999)
    expected = prior.scheduler.add_noise(PICTURE, NOISE, steps)
    torch.testing.assert_close(asked.noisy(), expected, rtol=1e-6, atol=1e-6)


def test_vsd_is_its_formula() -> None:
    own = MomentScore(0.2 * randn(1, 3, SIDE, SIDE, seed=9), 0.7, follows=False)
    alpha, sigma = scales()
    noisy = noisy_picture()
    renders = (noisy - alpha * own.denoised(question(), noisy)) / sigma
    expected = sigma**2 * (guided_noise(noisy, 7.5) - renders)
    torch.testing.assert_close(gradient(Vsd(own), question()), expected)


def test_vsd_vanishes_at_the_right_distribution() -> None:
    """Every single render, not the mean: the prior's own samples are left where they are. SDS moves them."""
    own = MomentScore(MEAN, GAUSSIAN.spread, follows=False)
    asked = question(scale=1.0)
    assert float(gradient(Vsd(own), asked).abs().max()) < 1e-12
    assert float(gradient(Sds(), asked).abs().mean()) > 0.01


@pytest.mark.parametrize(("method", "spread"), [("vsd", 0.4), ("sds", 0.0)])
def test_vsd_arrives_at_the_distribution_and_sds_at_its_mode(method: str, spread: float) -> None:
    """192 values each of 64 renders descend: their mean comes to the prior's, and their spread to 0.4, or collapses."""
    renders = 1.0 + 0.9 * randn(64, 3, SIDE, SIDE, seed=3)
    distiller: Distiller = Vsd(MomentScore(renders.mean(0, keepdim=True), 0.9)) if method == "vsd" else Sds()
    time, rows = torch.full((64,), 0.3, dtype=torch.float64), torch.ones(64, 1)
    for step in range(120):
        # ± noise, so that what SDS throws in does not hide where it goes
        noise = randn(64, 3, SIDE, SIDE, seed=1000 + step)
        pulls = []
        for signed in (noise, -noise):
            asked = Question(
                GAUSSIAN, renders, rows, 0 * rows, SEEN, time, signed, "color", Distillation(1.0, rescale=0.0)
            )
            guided = distiller.guide(asked)
            pulls.append(guided.weight * (renders - guided.denoised))
        renders = renders - 0.4 * sum(pulls) / 2
    centre = renders.mean(0, keepdim=True)
    assert float((centre - MEAN).abs().mean()) < 0.06
    assert float((renders - centre).square().mean().sqrt()) == pytest.approx(spread, abs=0.05)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_sds_goes_to_the_peak_it_is_near(side: float) -> None:
    """Between two peaks, from a little to either side of the middle."""
    prior = TwoPeaks(GAUSSIAN.mean, spread=0.1)
    render = (side * 0.25 * MEAN).expand(VIEWS, -1, -1, -1).clone()
    for step in range(150):
        noise = randn(*render.shape, seed=step)
        asked = Question(
            prior, render, TEXT, EMPTY, SEEN, torch.full_like(TIME, 0.2), noise, "color", Distillation(1.0, rescale=0.0)
        )
        guided = Sds().guide(asked)
        render = render - 2.0 / (1 + step / 20) * guided.weight * (render - guided.denoised)
    assert float((render - side * MEAN).abs().mean()) < 0.25 * float(MEAN.abs().mean())


@pytest.mark.parametrize("method", [Sds(), Csd(), Ism(), Sjc(), Vsd(MomentScore(MEAN, 0.5, follows=False))])
def test_no_way_differentiates_the_network(method: Distiller) -> None:
    prior = Undifferentiable(GAUSSIAN.mean, 0.4)
    probe = PICTURE.clone().requires_grad_()
    with pytest.raises(AssertionError, match="differentiated"):
        prior.predict_denoised(probe, TIME, TEXT, SEEN, "color").sum().backward()
    assert torch.equal(gradient(method, question(prior)), gradient(method, question()))
