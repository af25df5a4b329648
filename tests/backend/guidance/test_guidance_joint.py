"""Score distillation of pictures that hold colour, normals and coverage, against what a Gaussian prior gives exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
import torch
from gaussian_prior import GaussianPrior, plain_settings
from maquette_backend.guidance.sds import Distillation, Guided, distillation_loss, guide
from maquette_backend.priors.prior import COLOR, COVERAGE, NORMAL, Modality, Views
from torch import Tensor

VIEWS, SIDE = 3, 8
TIME = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
TEXT, NEGATIVE = torch.ones(VIEWS, 1), torch.zeros(VIEWS, 1)
SEEN = Views(torch.linspace(0, 3, VIEWS), *(value * torch.ones(VIEWS) for value in (0.3, 2, math.radians(40))))
GEOMETRY = slice(3, 7)


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


MEAN = 0.3 * randn(1, 7, SIDE, SIDE, seed=5)
PICTURE, NOISE = randn(VIEWS, 7, SIDE, SIDE, seed=1), randn(VIEWS, 7, SIDE, SIDE, seed=2)


@dataclass(frozen=True)
class Watched(GaussianPrior):
    """Keeps what it is shown."""

    shown: list[Tensor] = field(default_factory=list)

    def predict_denoised(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        self.shown.append(noisy)
        return super().predict_denoised(noisy, time, text, views, modality)


def watched(bound: float | tuple[float, ...] = 0.0) -> Watched:
    settings = plain_settings(denoised_bound=bound, modalities=("joint", "surface"))
    return Watched(lambda text, views, modality: text.view(-1, 1, 1, 1) * MEAN, spread=0.4, settings=settings)


def guided(prior: GaussianPrior, settings: Distillation, modality: Modality, picture: Tensor = PICTURE) -> Guided:
    return guide(prior, picture, TEXT, NEGATIVE, SEEN, TIME, NOISE, modality, settings)


def gradient(prior: GaussianPrior, settings: Distillation, modality: Modality) -> Tensor:
    picture = PICTURE.clone().requires_grad_()
    distillation_loss(picture, guided(prior, settings, modality, picture)).backward()
    assert picture.grad is not None
    return picture.grad


def test_joint_gradient_is_the_ordinary_one_times_each_parts_weight() -> None:
    """w(t) sigma/alpha (eps_hat − eps), in every channel."""
    weights = (0.5, 1.0, 3.0)
    prior = watched()
    alpha, sigma = (scale.view(-1, 1, 1, 1) for scale in prior.alpha_sigma(TIME))
    noisy = alpha * PICTURE + sigma * NOISE
    plain, unguided = (
        prior.predict_noise(noisy, TIME, text, views, "joint") for text, views in ((TEXT, SEEN), (NEGATIVE, None))
    )
    epsilon = unguided + 7.5 * (plain - unguided)
    expected = sigma**2 * (epsilon - NOISE) / (VIEWS * SIDE)
    got = gradient(prior, Distillation(7.5, rescale=0.0, joint_weights=weights), "joint")
    for part, weight in zip((COLOR, NORMAL, COVERAGE), weights, strict=True):
        torch.testing.assert_close(got[:, part], weight * expected[:, part])


@pytest.mark.parametrize("rescale", [0.0, 0.5])
def test_surface_shows_the_geometry_clean_and_moves_colour_alone(rescale: float) -> None:
    """Its colour half is what the colour channels would get by themselves; the weights of ``joint`` say nothing."""
    prior = watched(bound=0.5)  # the geometry given goes beyond: that is not the estimate's fault
    got = gradient(prior, Distillation(30.0, rescale, joint_weights=(9.0, 9.0, 9.0)), "surface")
    assert len(prior.shown) == 2
    for noisy in prior.shown:
        torch.testing.assert_close(noisy[:, GEOMETRY], PICTURE[:, GEOMETRY], rtol=0, atol=0)
        assert (noisy[:, COLOR] - PICTURE[:, COLOR]).abs().mean() > 0.1
    assert bool((got[:, GEOMETRY] == 0).all())
    of_color = GaussianPrior(lambda text, views, modality: text.view(-1, 1, 1, 1) * MEAN[:, COLOR], 0.4, prior.settings)
    alone = PICTURE[:, COLOR].clone().requires_grad_()
    settings = Distillation(30.0, rescale)
    told = guide(of_color, alone, TEXT, NEGATIVE, SEEN, TIME, NOISE[:, COLOR], "color", settings)
    distillation_loss(alone, told).backward()
    torch.testing.assert_close(got[:, COLOR], alone.grad)


def test_contrasts_of_colour_and_normals_are_rescaled_apart_and_coverage_not() -> None:
    """std(result) = share std(plain) + (1 − share) std(guided), in each part."""

    def contrast(settings: Distillation, part: slice) -> Tensor:
        return guided(watched(), settings, "joint").denoised[:, part].flatten(1).std(1)

    for part, share in ((COLOR, 0.5), (NORMAL, 0.5), (COVERAGE, 0.0)):
        plain, strong = contrast(Distillation(1.0, 0.0), part), contrast(Distillation(30.0, 0.0), part)
        torch.testing.assert_close(contrast(Distillation(30.0, 0.5), part), share * plain + (1 - share) * strong)
        assert bool((strong > 2 * plain).all())


def test_each_channel_has_its_own_bound() -> None:
    bounds = (0.1, 0.2, 0.3, 0.4, 0.5, 0.0, 0.7)
    strong = Distillation(30.0, rescale=0.0)
    free, held = (guided(watched(bound), strong, "joint").denoised for bound in (0.0, bounds))
    for channel, bound in enumerate(bounds):
        expected = free[:, channel].clamp(-bound, bound) if bound else free[:, channel]
        torch.testing.assert_close(held[:, channel], expected)
        assert float(free[:, channel].abs().max()) > bound
