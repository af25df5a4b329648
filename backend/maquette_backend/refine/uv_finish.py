"""The finish in UV space: pictures are noised a little, denoised in several steps, and the texture is fitted to them.

DreamGaussian (Tang et al. 2024, its refinement in UV space): score distillation leaves textures soft; pictures that the prior has
sharpened, starting from what is there, are a plain regression target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maquette_backend.priors.prior import Modality, Prior
from maquette_backend.refine.hints import hearing
from maquette_backend.refine.painting import Stand, cameras_of, picture_of
from maquette_backend.refine.stage_settings import StageSettings
from maquette_backend.render.scene_render import render_scene


@dataclass(frozen=True)
class Finish:
    """How the pictures are made and fitted."""

    strength: tuple[float, float] = (0.25, 0.4)
    """Diffusion times from which pictures are denoised, at the first step and at the last."""
    denoising_steps: int = 5
    rate: float = 0.01
    """Adam's, of texels 0..1."""


def finish_step(
    texels: nn.Parameter,
    optimiser: torch.optim.Adam,
    stand: Stand,
    settings: StageSettings,
    finish: Finish,
    progress: float,
    generator: torch.Generator,
) -> float:
    """One step in place, ``progress`` 0..1; returns the mean squared difference to the sharpened pictures."""
    scene = stand.scene
    prior, device = scene.prior, scene.prior.settings.device
    views = scene.sampler.sample(settings.views, generator).to(device)
    if stand.prepare is not None:
        stand.prepare(generator)
    drawn = render_scene(scene.rasterizer, stand.geometry, stand.paints, cameras_of(views, stand), settings.size)
    encoded = prior.encode_image(picture_of(drawn, settings.modality))
    noise = torch.randn(encoded.shape, generator=generator).to(device)
    text, _ = scene.conditions(views)
    low, high = finish.strength
    time = low + (high - low) * progress

    def estimate(noisy: Tensor, at: Tensor) -> Tensor:
        """Under the text alone: guidance beyond it drives colours away from what they have become."""
        return prior.predict_denoised(noisy, at, text, views, settings.modality)

    with hearing(prior, scene.controls, drawn):
        target = denoised(prior, encoded.detach(), noise, time, finish.denoising_steps, estimate, settings.modality)
    loss = nn.functional.mse_loss(encoded, target)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    with torch.no_grad():
        texels.clamp_(-1, 1)
    return float(loss.detach())


@torch.no_grad()
def denoised(
    prior: Prior,
    encoded: Tensor,
    noise: Tensor,
    time: float,
    steps: int,
    estimate: Callable[[Tensor, Tensor], Tensor],
    modality: Modality,
) -> Tensor:
    """``encoded`` [B,…] noised to ``time`` and brought back in ``steps`` deterministic steps (DDIM, Song et al. 2021).

    ``estimate`` gives the clean encoding for a noisy one at times [B].
    """
    count = len(encoded)
    times = [time * (steps - number) / steps for number in range(steps)]
    noisy = prior.add_noise(encoded, noise, encoded.new_full((count,), time), modality)
    clean = encoded
    for number, now in enumerate(times):
        at = encoded.new_full((count,), now)
        clean = estimate(noisy, at)
        if number + 1 < steps:
            alpha, sigma = (scale.view(-1, *[1] * (encoded.ndim - 1)) for scale in prior.alpha_sigma(at))
            left = (noisy - alpha * clean) / sigma.clamp(min=1e-6)
            noisy = prior.add_noise(clean, left, encoded.new_full((count,), times[number + 1]), modality)
    return clean
