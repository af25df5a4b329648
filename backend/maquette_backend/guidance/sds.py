"""Score distillation sampling: the gradient a frozen diffusion model gives to a rendered image.

DreamFusion (Poole et al. 2022, eq. 3): ``grad = w(t) (eps_hat − eps)``, with no Jacobian of the network.
Written as a distance to the denoised estimate ``x0_hat`` it is the same gradient, because
``x − x0_hat = (sigma / alpha) (eps_hat − eps)``; that form (MVDream, section 3.3) allows the rescale of
``x0_hat`` that keeps large guidance scales from over-saturating.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maquette_backend.priors.prior import COLOR, COVERAGE, NORMAL, Modality, Prior, Views


@dataclass(frozen=True)
class Distillation:
    """Settings of one distillation step; state is kept elsewhere."""

    scale: float
    """Classifier-free guidance scale s in ``eps = eps_u + s (eps_c − eps_u)``."""
    rescale: float = 0.5
    """0..1: how much of the guided estimate's contrast is pulled back to the unguided one's."""
    background_margin: float = 0.0
    """Estimates nearer than this to the background (encoded as 0) say "nothing is here". That is a statement about
    shape; where only colour may change it would paint the subject grey, so it is faded out. 0 listens to all."""
    joint_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Under ``joint``: what the squared differences of colour, normals and coverage count for. Optimisers like Adam
    take no notice of a gradient's scale, so this only decides what the shape listens to."""


@dataclass(frozen=True)
class Guided:
    """What one guided denoising gave. All [views, channels, height, width]."""

    denoised: Tensor
    weight: Tensor
    """[views, channels or 1, height or 1, width or 1]: w(t) = alpha·sigma, zero at both ends of the schedule, times the
    evidence and the channel's weight; 0 for channels that are given and not learned."""


def guide(
    prior: Prior,
    encoded: Tensor,
    text: Tensor,
    negative: Tensor,
    views: Views,
    time: Tensor,
    noise: Tensor,
    modality: Modality,
    settings: Distillation,
) -> Guided:
    """Noise ``encoded`` [B,C,H,W] to ``time`` [B], denoise it under guidance, and return the estimate.

    ``text`` and ``negative`` are conditions [B,…]; the negative half also drops the camera, so that the
    scale strengthens camera and text alike. Everything is detached: no gradient passes the network.
    """
    with torch.no_grad():
        alpha, sigma = (scale.view(-1, 1, 1, 1) for scale in prior.alpha_sigma(time))
        noisy = prior.add_noise(encoded, noise, time, modality)
        plain, unguided = prior.predict_told_and_untold(noisy, time, text, negative, views, modality)
        # at one noisy image, guiding x0 is guiding eps: both are affine in the network's output
        denoised = _rescaled(unguided + settings.scale * (plain - unguided), plain, settings.rescale, modality)
        weight = alpha * sigma * _channel_weights(denoised, settings, modality)
        weight = weight * _evidence(plain, settings.background_margin)
        return Guided(_bounded(denoised, prior.settings.denoised_bound), weight)


def distillation_loss(encoded: Tensor, guided: Guided) -> Tensor:
    """A scalar whose gradient with respect to ``encoded`` is ``w(t) (encoded − x0_hat)`` per view.

    Summed over pixels, averaged over views, and divided by the image's side so that rates hold across sizes.
    """
    squared = guided.weight * (encoded - guided.denoised) ** 2
    return 0.5 * squared.sum() / (encoded.shape[0] * encoded.shape[-1])


def _evidence(denoised: Tensor, margin: float) -> Tensor:
    """0 up to half the margin from the background, rising smoothly to 1 at the margin; [B,1,H,W] or [1,1,1,1]."""
    if not margin:
        return denoised.new_ones(1, 1, 1, 1)
    rise = (2 * denoised.abs().amax(1, keepdim=True) / margin - 1).clamp(0, 1)
    return rise * rise * (3 - 2 * rise)


def _channel_weights(like: Tensor, settings: Distillation, modality: Modality) -> Tensor:
    """[1,C,1,1], or [1,1,1,1] where all channels count alike."""
    if modality == "joint":
        weighted = zip((COLOR, NORMAL, COVERAGE), settings.joint_weights, strict=True)
    elif modality == "surface":
        weighted = [(COLOR, 1.0)]
    else:
        return like.new_ones(1, 1, 1, 1)
    result = like.new_zeros(1, like.shape[1], 1, 1)
    for part, weight in weighted:
        result[:, part] = weight
    return result


def _rescaled(guided: Tensor, plain: Tensor, share: float, modality: Modality) -> Tensor:
    """Pull the guided estimate's standard deviation towards the unguided one's (Lin et al. 2023, eq. 15–16).

    Colour and normals each by their own; coverage not at all, for it cannot be too certain.
    """
    parts = {"joint": (COLOR, NORMAL), "surface": (COLOR,)}.get(modality, (slice(None),))
    factors = guided.new_ones(guided.shape[:2])
    for part in parts:
        ratio = plain[:, part].flatten(1).std(1) / guided[:, part].flatten(1).std(1).clamp(min=1e-6)
        factors[:, part] = (share * ratio + 1 - share)[:, None]
    return guided * factors[:, :, None, None]


def _bounded(denoised: Tensor, bound: float | tuple[float, ...]) -> Tensor:
    """Clamped to ± ``bound``, one for all channels or one for each; 0 for none."""
    limits = torch.as_tensor(bound, dtype=denoised.dtype, device=denoised.device).view(1, -1, 1, 1)
    return torch.where(limits > 0, denoised.clamp(-limits, limits), denoised)
