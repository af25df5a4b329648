"""The starter prior's diffusion process, read from its scheduler's config, and the algebra between v, ε and x₀.

Times are continuous here, 0 (clean) to 1 (noise); the network counts them in steps of its schedule, 0 to 999.
Every function takes times that broadcast against the pictures: [B,1,1,1], or [B,7,1,1] where parts differ.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

STEPS = 1000
_OFFSET = 0.008
"""Nichol & Dhariwal 2021, eq. 17: keeps the first steps from being too small."""
_LARGEST_BETA = 0.999
SHIFT = 3.0
"""How much more noise a time means than on the plain cosine schedule, σ/α. Colour, normals and coverage of a view say
the same thing three times, so at equal noise the joint picture shows what a colour picture hides: unshifted, layout,
words and camera mattered above t = 0.95 only. Hoogeboom et al. 2023 ("simple diffusion", section 2.1) shift for the
same reason when pictures grow. With 3, shuffled captions cost at t what they cost a colour-only prior at t."""


def scheduler_config() -> dict[str, object]:
    """What diffusers' DDIM scheduler needs to sample from the prior."""
    kept = cosine_angles().cos().square()
    before = torch.cat([torch.ones(1, dtype=torch.float64), kept[:-1]])
    return {
        "_class_name": "DDIMScheduler",
        "num_train_timesteps": STEPS,
        "trained_betas": (1 - kept / before).tolist(),
        "prediction_type": "v_prediction",
        "clip_sample": False,
        "set_alpha_to_one": True,
        "steps_offset": 0,
        "timestep_spacing": "trailing",
    }


@cache
def cosine_angles() -> Tensor:
    """arccos √ᾱ of every step, float64 [1000]: ``squaredcos_cap_v2`` with its signal-to-noise ratio divided by 3²."""

    def kept(share: float) -> float:
        return math.cos((share + _OFFSET) / (1 + _OFFSET) * math.pi / 2) ** 2

    betas = [min(1 - kept((step + 1) / STEPS) / kept(step / STEPS), _LARGEST_BETA) for step in range(STEPS)]
    plain = torch.acos((1 - torch.tensor(betas, dtype=torch.float64)).cumprod(0).sqrt())
    return torch.atan(SHIFT * torch.tan(plain))


def alpha_sigma(time: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise scales at times 0..1 of any shape, α² + σ² = 1; between two steps the angle is interpolated."""
    angles = cosine_angles().to(time.device, torch.float32)
    place = time.clamp(0, 1) * (STEPS - 1)
    below = place.long().clamp(max=STEPS - 2)
    angle = torch.lerp(angles[below], angles[below + 1], place - below)
    return torch.cos(angle), torch.sin(angle)


def add_noise(clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """z = α·x₀ + σ·ε."""
    alpha, sigma = alpha_sigma(time)
    return alpha * clean + sigma * noise


def velocity(clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """v = α·ε − σ·x₀ (Salimans & Ho 2022, appendix D)."""
    alpha, sigma = alpha_sigma(time)
    return alpha * noise - sigma * clean


def noise_from_velocity(predicted: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
    """ε = α·v + σ·z."""
    alpha, sigma = alpha_sigma(time)
    return alpha * predicted + sigma * noisy


def clean_from_velocity(predicted: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
    """x₀ = α·z − σ·v."""
    alpha, sigma = alpha_sigma(time)
    return alpha * noisy - sigma * predicted
