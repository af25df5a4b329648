"""What every way of distilling shares: the settings, what is asked in one step, and the pull that comes back.

Each way gives a clean image to go towards. ``weight · (x − target)`` is its gradient, and no gradient passes the network.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from maquette_backend.guidance.weights import Weighting
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
    weighting: Weighting | None = None
    """What a time counts for; None: as the paper of the chosen way has it."""


@dataclass(frozen=True)
class Guided:
    """What one guided denoising gave. All [views, channels, height, width]."""

    denoised: Tensor
    """Where to go: under SDS the guided clean estimate."""
    weight: Tensor
    """[views, channels or 1, height or 1, width or 1]: w(t) alpha / sigma (see ``weights``), times the evidence and the
    channel's weight; 0 for channels that are given and not learned."""


@dataclass(frozen=True)
class Question:
    """What is asked of a prior in one step."""

    prior: Prior
    encoded: Tensor
    """[B,C,H,W], as ``prior.encode_image`` gave it, detached."""
    text: Tensor
    """Conditions [B,…]."""
    negative: Tensor
    """Conditions [B,…] that take the place of the empty text; they drop the camera, too, so that the scale strengthens
    camera and text alike."""
    views: Views
    time: Tensor
    """[B] in 0..1."""
    noise: Tensor
    """As ``encoded``. All further randomness of a step is drawn from it, so a step repeats."""
    modality: Modality
    settings: Distillation
    progress: float = 0.0
    """0..1 through the stage."""
    mask: Tensor | None = None
    """[B,1,H',W'] the rasteriser's coverage 0..1; not needed where the picture itself shows it (seven channels)."""

    @property
    def scales(self) -> tuple[Tensor, Tensor]:
        """alpha and sigma [B,1,1,1]."""
        return scales_at(self.prior, self.time)

    def noisy(self) -> Tensor:
        """What the prior sees at ``time``."""
        return self.prior.add_noise(self.encoded, self.noise, self.time, self.modality)

    def generator(self, purpose: int) -> torch.Generator:
        """A CPU generator that depends only on the step's noise and on ``purpose``."""
        drawn = self.noise.flatten()[:4].tolist()
        digest = hashlib.sha256(f"{purpose}/{drawn}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def some_views(question: Question, rows: slice) -> Question:
    """The same about some of its views."""
    views, mask = question.views, question.mask
    return replace(
        question,
        encoded=question.encoded[rows],
        text=question.text[rows],
        negative=question.negative[rows],
        views=Views(views.azimuth[rows], views.elevation[rows], views.distance[rows], views.fov_y[rows]),
        time=question.time[rows],
        noise=question.noise[rows],
        mask=None if mask is None else mask[rows],
    )


def scales_at(prior: Prior, time: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma [B,1,1,1] at times [B]."""
    alpha, sigma = (scale.view(-1, 1, 1, 1) for scale in prior.alpha_sigma(time))
    return alpha, sigma


def towards(question: Question, target: Tensor, plain: Tensor, weighting: Weighting) -> Guided:
    """A pull on the step's images towards ``target``, weighted by the settings or else by ``weighting``.

    ``plain`` [B,C,H,W] is the estimate under the text alone: it is the evidence that something is there.
    """
    settings = question.settings
    alpha, sigma = question.scales
    weight = (settings.weighting or weighting)(alpha, sigma, question.progress)
    weight = weight * _channel_weights(target, settings, question.modality)
    weight = weight * _evidence(plain, settings.background_margin)
    return Guided(_bounded(target, question.prior.settings.denoised_bound), weight)


def distillation_loss(encoded: Tensor, guided: Guided) -> Tensor:
    """A scalar whose gradient with respect to ``encoded`` is ``weight · (encoded − denoised)`` per view.

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


def _bounded(denoised: Tensor, bound: float | tuple[float, ...]) -> Tensor:
    """Clamped to ± ``bound``, one for all channels or one for each; 0 for none."""
    limits = torch.as_tensor(bound, dtype=denoised.dtype, device=denoised.device).view(1, -1, 1, 1)
    return torch.where(limits > 0, denoised.clamp(-limits, limits), denoised)
