"""What a diffusion time counts for: the literature's w(t), in the form that multiplies a distance in clean images.

Papers weight a difference of noises, ``w(t) (eps_hat − eps)``. Here steps are differences of clean estimates, and
``x0_hat − x = −(sigma / alpha) (eps_hat − eps)``, so each function returns ``w(t) alpha / sigma``: nothing has to be
divided by a number that becomes 0. alpha² is the literature's ᾱ, sigma² its 1 − ᾱ.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Weighting = Callable[[Tensor, Tensor, float], Tensor]
"""alpha, sigma (any shape), progress 0..1 of the stage → w alpha / sigma, same shape."""


def one_minus_alpha_bar(alpha: Tensor, sigma: Tensor, progress: float) -> Tensor:
    """w = 1 − ᾱ (DreamFusion; ProlificDreamer, CSD). 0 at both ends of the schedule."""
    return alpha * sigma


def fantasia_early(alpha: Tensor, sigma: Tensor, progress: float) -> Tensor:
    """w = √ᾱ (1 − ᾱ): Fantasia3D's strategy 0, and X-Dreamer's late geometry."""
    return alpha * alpha * sigma


def fantasia_late(alpha: Tensor, sigma: Tensor, progress: float) -> Tensor:
    """w = 1 / (1 − ᾱ): Fantasia3D's strategy 1. Grows without bound towards t = 0."""
    return alpha / sigma**3


def fantasia_switch(coarse_share: float) -> Weighting:
    """Fantasia3D's strategy 2: strategy 0 during the first ``coarse_share`` 0..1 of the stage, then strategy 1."""

    def weigh(alpha: Tensor, sigma: Tensor, progress: float) -> Tensor:
        return (fantasia_early if progress < coarse_share else fantasia_late)(alpha, sigma, progress)

    return weigh


def uniform(alpha: Tensor, sigma: Tensor, progress: float) -> Tensor:
    """w = 1. Grows without bound towards t = 0."""
    return alpha / sigma


def clean_distance(alpha: Tensor, sigma: Tensor, progress: float) -> Tensor:
    """w = √((1 − ᾱ) / ᾱ): the plain distance of clean images (LucidDreamer's ISM; MVDream)."""
    return torch.ones_like(alpha + sigma)


def score(alpha: Tensor, sigma: Tensor, progress: float) -> Tensor:
    """(alpha / sigma)²: what turns D(x + σ′n) − x into a score, σ′ = sigma / alpha (SJC, perturb-and-average scoring)."""
    return (alpha / sigma) ** 2
