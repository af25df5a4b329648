"""The starter prior's diffusion process: cosine schedule and the algebra between v, ε and x₀."""

from __future__ import annotations

import math

import torch
from torch import Tensor

DATA_SCALE = 3.5
"""Renders on mid grey have a deviation near 0.25; scaled to about 1, so that v holds signal and not mostly noise."""
_QUARTER_TURN = 0.999 * math.pi / 2
"""A hair less than a quarter turn: the signal never vanishes altogether, so x₀ stays defined at time 1."""


def alpha_sigma(time: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise scales [B] at times [B] in 0..1, α² + σ² = 1 (cosine schedule, Nichol & Dhariwal 2021)."""
    angle = time * _QUARTER_TURN
    return torch.cos(angle), torch.sin(angle)


def add_noise(clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """z = α·x₀ + σ·ε for clean and noise [B,...] at times [B]."""
    alpha, sigma = _columns(time, clean)
    return alpha * clean + sigma * noise


def velocity(clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """v = α·ε − σ·x₀ (Salimans & Ho 2022, appendix D)."""
    alpha, sigma = _columns(time, clean)
    return alpha * noise - sigma * clean


def noise_from_velocity(predicted: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
    """ε = α·v + σ·z."""
    alpha, sigma = _columns(time, noisy)
    return alpha * predicted + sigma * noisy


def clean_from_velocity(predicted: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
    """x₀ = α·z − σ·v."""
    alpha, sigma = _columns(time, noisy)
    return alpha * noisy - sigma * predicted


def _columns(time: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    alpha, sigma = alpha_sigma(time)
    shape = (-1,) + (1,) * (like.dim() - 1)
    return alpha.view(shape), sigma.view(shape)
