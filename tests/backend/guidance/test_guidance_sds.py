"""Score distillation against the closed form that a Gaussian prior gives, and its guidance on the starter prior."""

from __future__ import annotations

import math

import pytest
import torch
from gaussian_prior import GaussianPrior, plain_settings
from maquette_backend.guidance.sds import Distillation, Guided, distillation_loss, guide
from maquette_backend.priors.load import load_prior
from maquette_backend.priors.prior import Modality, Prior, Views
from torch import Tensor

VIEWS, SIDE = 3, 8
PLAIN = Distillation(scale=1.0, rescale=0.0)


def seen_from(count: int) -> Views:
    one = torch.ones(count)
    return Views(torch.linspace(0, 3, count), 0.3 * one, 2 * one, math.radians(40) * one)


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


MEAN = 0.3 * randn(1, 3, SIDE, SIDE, seed=5)
GAUSSIAN = GaussianPrior(lambda text, views, modality: text.view(-1, 1, 1, 1) * MEAN, spread=0.4)
TIME = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
TEXT, NEGATIVE = torch.ones(VIEWS, 1), torch.zeros(VIEWS, 1)


def gradient(image: Tensor, noise: Tensor, settings: Distillation, prior: Prior = GAUSSIAN) -> Tensor:
    """[B,3,H,W] by the tape, the image being on it while it is guided too."""
    encoded = image.clone().requires_grad_()
    guided = guide(prior, encoded, TEXT, NEGATIVE, seen_from(VIEWS), TIME, noise, "color", settings)
    distillation_loss(encoded, guided).backward()
    assert encoded.grad is not None
    return encoded.grad


@pytest.mark.parametrize("scale", [0.0, 1.0, 7.5, 100.0])
def test_gradient_is_dreamfusions_with_no_jacobian_of_the_network(scale: float) -> None:
    """w(t) sigma/alpha (eps_hat − eps). The Gaussian's denoiser depends on the image, so a Jacobian would show."""
    image, noise = randn(VIEWS, 3, SIDE, SIDE, seed=1), randn(VIEWS, 3, SIDE, SIDE, seed=2)
    alpha, sigma = (s.view(-1, 1, 1, 1) for s in GAUSSIAN.alpha_sigma(TIME))
    noisy = alpha * image + sigma * noise
    plain = GAUSSIAN.predict_noise(noisy, TIME, TEXT, seen_from(VIEWS), "color")
    unguided = GAUSSIAN.predict_noise(noisy, TIME, NEGATIVE, None, "color")
    epsilon = unguided + scale * (plain - unguided)
    expected = alpha * sigma * (sigma / alpha) * (epsilon - noise) / (VIEWS * SIDE)
    torch.testing.assert_close(gradient(image, noise, Distillation(scale, rescale=0.0)), expected)


def test_expected_gradient_points_from_the_image_to_the_mean() -> None:
    """E over noise of the gradient is w sigma² / (alpha² s² + sigma²) (x − mu): linear in noise, so ± noise gives it."""
    image, noise = randn(VIEWS, 3, SIDE, SIDE, seed=1), randn(VIEWS, 3, SIDE, SIDE, seed=2)
    alpha, sigma = (s.view(-1, 1, 1, 1) for s in GAUSSIAN.alpha_sigma(TIME))
    pull = alpha * sigma * sigma**2 / (alpha**2 * GAUSSIAN.spread**2 + sigma**2)
    mean = (gradient(image, noise, PLAIN) + gradient(image, -noise, PLAIN)) / 2
    torch.testing.assert_close(mean, pull * (image - MEAN) / (VIEWS * SIDE))


def test_descent_arrives_at_the_mean() -> None:
    image = randn(VIEWS, 3, SIDE, SIDE, seed=1)
    for step in range(400):
        image = image - 40.0 / (1 + step / 40) * gradient(image, randn(VIEWS, 3, SIDE, SIDE, seed=step), PLAIN)
    # the noise of a step dies with its rate; views average over it once more
    assert (image.mean(0) - MEAN[0]).abs().mean() < 0.05 * (MEAN.abs().mean() + 1)


@pytest.mark.parametrize("modality", ["joint", "surface"])
def test_scale_one_is_the_condition_and_scale_zero_the_negative(modality: Modality) -> None:
    starter = load_prior("starter", "cpu")
    text, negative = starter.encode_text(["a red sofa"] * 2).data, starter.encode_text(["a blurry lamp"] * 2).data
    image, noise = randn(2, 7, 64, 64, seed=1).float(), randn(2, 7, 64, 64, seed=2).float()
    time, views = torch.tensor([0.4, 0.8]), seen_from(2)
    noisy = starter.add_noise(image, noise, time, modality)
    bound = torch.tensor(starter.settings.denoised_bound).view(1, -1, 1, 1)
    with torch.no_grad():
        plain = starter.predict_denoised(noisy, time, text, views, modality).clamp(-bound, bound)
        unguided = starter.predict_denoised(noisy, time, negative, None, modality).clamp(-bound, bound)
    for scale, expected in ((1.0, plain), (0.0, unguided)):
        settings = Distillation(scale, rescale=0.0)
        got = guide(starter, image, text, negative, views, time, noise, modality, settings).denoised
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=2e-3)
    assert (plain - unguided).abs().mean() > 0.01  # else the two could not be told apart


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_rescale_mixes_the_contrasts(share: float) -> None:
    """std(result) = share std(plain) + (1 − share) std(guided): Lin et al. 2023, eq. 15–16."""
    image, noise = randn(VIEWS, 3, SIDE, SIDE, seed=1), randn(VIEWS, 3, SIDE, SIDE, seed=2)

    def contrast(settings: Distillation) -> Tensor:
        guided = guide(GAUSSIAN, image, TEXT, NEGATIVE, seen_from(VIEWS), TIME, noise, "color", settings)
        return guided.denoised.flatten(1).std(1)

    plain, strong = contrast(PLAIN), contrast(Distillation(30.0, rescale=0.0))
    torch.testing.assert_close(contrast(Distillation(30.0, rescale=share)), share * plain + (1 - share) * strong)
    assert bool((strong > 2 * plain).all())


def test_estimates_near_the_background_are_not_listened_to() -> None:
    """Evidence is 0 up to half the margin, ½ midway, 1 from the margin on; the strongest channel decides."""
    margin = 0.4
    mean = torch.zeros(1, 3, 1, 6, dtype=torch.float64)
    mean[0, 1, 0] = margin * torch.tensor([0.0, 0.49, 0.5, 0.75, 1.0, -2.0])
    certain = GaussianPrior(lambda text, views, modality: mean.expand(VIEWS, -1, -1, -1), spread=0.0)
    image, noise = randn(VIEWS, 3, 1, 6, seed=1), randn(VIEWS, 3, 1, 6, seed=2)
    settings = Distillation(1.0, rescale=0.0, background_margin=margin)
    weight = guide(certain, image, TEXT, NEGATIVE, seen_from(VIEWS), TIME, noise, "color", settings).weight
    alpha, sigma = (s.view(-1, 1, 1, 1) for s in certain.alpha_sigma(TIME))
    evidence = torch.tensor([0, 0, 0, 0.5, 1, 1], dtype=torch.float64).expand(VIEWS, 1, 1, 6)
    torch.testing.assert_close(weight, alpha * sigma * evidence)
    moved = gradient(image, noise, settings, certain)
    assert float(moved[..., :3].abs().max()) < 1e-12
    assert float(moved[..., 3:].abs().min()) > 1e-6


def test_estimates_stay_within_the_priors_bound() -> None:
    bounded = GaussianPrior(GAUSSIAN.mean, 0.4, plain_settings(denoised_bound=0.5))
    image, noise = randn(VIEWS, 3, SIDE, SIDE, seed=1), randn(VIEWS, 3, SIDE, SIDE, seed=2)
    settings = Distillation(100.0, rescale=0.0)
    free = guide(GAUSSIAN, image, TEXT, NEGATIVE, seen_from(VIEWS), TIME, noise, "color", settings).denoised
    held = guide(bounded, image, TEXT, NEGATIVE, seen_from(VIEWS), TIME, noise, "color", settings).denoised
    assert float(free.abs().max()) > 0.5
    torch.testing.assert_close(held, free.clamp(-0.5, 0.5))


def test_gradient_per_image_holds_across_batch_and_weight_vanishes_at_both_ends() -> None:
    image, target = randn(4, 3, SIDE, SIDE, seed=1), randn(4, 3, SIDE, SIDE, seed=2)
    one = image[:1].clone().requires_grad_()
    distillation_loss(one, Guided(target[:1], torch.ones(1, 1, 1, 1))).backward()
    four = image.clone().requires_grad_()
    distillation_loss(four, Guided(target, torch.ones(4, 1, 1, 1))).backward()
    assert one.grad is not None
    assert four.grad is not None
    torch.testing.assert_close(4 * four.grad[:1], one.grad)
    ends = torch.tensor([0.0, 1.0, 0.5], dtype=torch.float64)
    weight = guide(GAUSSIAN, image[:3], TEXT, NEGATIVE, seen_from(3), ends, image[:3], "color", PLAIN).weight.flatten()
    assert weight.tolist() == pytest.approx([0, 0, 0.5], abs=1e-12)
