"""A prior that is known exactly: images are Gaussian about the text's mean. The reference for score distillation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from maquette_backend.priors.prior import COLOR, Condition, Modality, Settings, Views
from torch import Tensor

Mean = Callable[[Tensor, Views | None, Modality], Tensor]
"""Text rows [B,1], views, modality → the mean image [B,C,H,W]."""


def plain_settings(
    background_margin: float = 0.0,
    denoised_bound: float | tuple[float, ...] = 0.0,
    modalities: tuple[Modality, ...] = ("color", "normal"),
) -> Settings:
    return Settings(
        geometry_scale=1.0,
        appearance_scale=1.0,
        geometry_time_start=(0.2, 0.6),
        geometry_time_end=(0.2, 0.6),
        appearance_time_start=(0.2, 0.6),
        appearance_time_end=(0.2, 0.6),
        sizes=(32, 64),
        modalities=modalities,
        camera_conditioned=True,
        background_margin=background_margin,
        denoised_bound=denoised_bound,
    )


@dataclass(frozen=True)
class GaussianPrior:
    """The ideal denoiser of N(mean, spread²) per pixel: with z = alpha x + sigma eps,
    E[x|z] = mean + alpha spread² / (alpha² spread² + sigma²) (z − alpha mean), by conjugacy.

    A text's row is its length: a handle by which ``mean`` can tell texts apart; the empty text is 0.
    """

    mean: Mean
    spread: float
    settings: Settings = field(default_factory=plain_settings)
    identity: str = "gaussian"
    contrast: float = 1.0
    """``encode_image`` multiplies by this; ``mean`` and ``spread`` are encodings."""

    def encode_text(self, texts: list[str]) -> Condition:
        return Condition(torch.tensor([[float(len(text))] for text in texts]))

    def encode_image(self, images: Tensor) -> Tensor:
        return images * self.contrast

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        return (time * math.pi / 2).cos(), (time * math.pi / 2).sin()

    def add_noise(self, encoded: Tensor, noise: Tensor, time: Tensor, modality: Modality) -> Tensor:
        alpha, sigma = (scale.view(-1, 1, 1, 1).to(encoded) for scale in self.alpha_sigma(time))
        return self._given(encoded, alpha * encoded + sigma * noise, modality)

    def predict_denoised(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        alpha, sigma = (scale.view(-1, 1, 1, 1).to(noisy) for scale in self.alpha_sigma(time))
        mean = self.mean(text, views, modality).to(noisy)
        clean = mean + alpha * self.spread**2 / (alpha**2 * self.spread**2 + sigma**2) * (noisy - alpha * mean)
        return self._given(noisy, clean, modality)

    def predict_told_and_untold(
        self, noisy: Tensor, time: Tensor, text: Tensor, negative: Tensor, views: Views | None, modality: Modality
    ) -> tuple[Tensor, Tensor]:
        told = self.predict_denoised(noisy, time, text, views, modality)
        return told, self.predict_denoised(noisy, time, negative, None, modality)

    def predict_noise(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        alpha, sigma = (scale.view(-1, 1, 1, 1).to(noisy) for scale in self.alpha_sigma(time))
        return (noisy - alpha * self.predict_denoised(noisy, time, text, views, modality)) / sigma

    def _given(self, given: Tensor, learned: Tensor, modality: Modality) -> Tensor:
        """``learned``, but under ``surface`` normals and coverage as ``given``."""
        return torch.cat([learned[:, COLOR], given[:, 3:]], 1) if modality == "surface" else learned
