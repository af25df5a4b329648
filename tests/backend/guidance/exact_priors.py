"""More priors that are known exactly: two peaks, a scheduler's own steps, a network that must not be differentiated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from gaussian_prior import GaussianPrior
from maquette_backend.priors.prior import Modality, Views
from torch import Tensor


@dataclass(frozen=True)
class TwoPeaks(GaussianPrior):
    """``share`` N(mean, spread²) + (1 − share) N(−mean, spread²): the posterior weighs both peaks' estimates."""

    share: float = 0.5

    def predict_denoised(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        alpha, sigma = (scale.view(-1, 1, 1, 1).to(noisy) for scale in self.alpha_sigma(time))
        mean = self.mean(text, views, modality).to(noisy)
        variance = alpha**2 * self.spread**2 + sigma**2
        fits, estimates = [], []
        for sign, share in ((1, self.share), (-1, 1 - self.share)):
            off = noisy - sign * alpha * mean
            fits.append(torch.tensor(share).log() - (off**2 / (2 * variance)).sum((1, 2, 3)))
            estimates.append(sign * mean + alpha * self.spread**2 / variance * off)
        weights = torch.stack(fits).softmax(0)[..., None, None, None]
        return weights[0] * estimates[0] + weights[1] * estimates[1]


@dataclass(frozen=True)
class OnSchedule(GaussianPrior):
    """With the noise levels of a diffusers scheduler, for times at its steps: t = step / 999."""

    scheduler: Any = field(default_factory=lambda: DDPMScheduler(beta_schedule="scaled_linear"))

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        kept = self.scheduler.alphas_cumprod.double()[(time * 999).round().long()]
        return kept.sqrt(), (1 - kept).sqrt()


class _Forbidden(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Tensor:
        raise AssertionError("the network was differentiated")


@dataclass(frozen=True)
class Undifferentiable(GaussianPrior):
    """A backward pass through its estimate fails."""

    def predict_denoised(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        clean = super().predict_denoised(noisy, time, text, views, modality)
        result = _Forbidden.apply(clean)
        assert isinstance(result, Tensor)
        return result


@dataclass
class MomentScore:
    """The renders' exact score where they are one Gaussian: N(centre, spread²) per pixel, with its own moments.

    A ``vsd.RenderScore``; ``learn`` measures the renders' centre and spread, views being samples.
    """

    centre: Tensor
    spread: float
    follows: bool = True

    def denoised(self, question: Any, noisy: Tensor) -> Tensor:
        alpha, sigma = question.scales
        gain = alpha * self.spread**2 / (alpha**2 * self.spread**2 + sigma**2)
        return self.centre + gain * (noisy - alpha * self.centre)

    def learn(self, question: Any) -> None:
        if self.follows:
            self.centre = question.encoded.mean(0, keepdim=True)
            self.spread = float((question.encoded - self.centre).square().mean().sqrt())

    def arrays(self) -> dict[str, Any]:
        return {}

    def restore(self, arrays: Any) -> None:
        return

    def close(self) -> None:
        return
