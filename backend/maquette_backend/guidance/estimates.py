"""Clean estimates under guidance: classifier-free guidance, and the rescale that keeps it from over-saturating."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from maquette_backend.guidance.guided import Question
from maquette_backend.priors.prior import COLOR, NORMAL, Modality


@dataclass(frozen=True)
class Estimate:
    """What a noisy image may show. All [B,C,H,W], clean."""

    guided: Tensor
    plain: Tensor
    """Under text and camera, without guidance."""
    untold: Tensor
    """Under the negative text, without camera."""


class Estimator(Protocol):
    """A way of guiding a prior's estimate."""

    def __call__(self, question: Question, noisy: Tensor, time: Tensor) -> Estimate:
        """``noisy`` [B,C,H,W] at ``time`` [B] → estimates, without a tape."""
        ...


def classifier_free(question: Question, noisy: Tensor, time: Tensor) -> Estimate:
    """``x0_u + s (x0_c − x0_u)`` (Ho & Salimans 2022), rescaled by ``settings.rescale``.

    At one noisy image, guiding x0 is guiding eps: both are affine in the network's output.
    """
    plain, untold = question.prior.predict_told_and_untold(
        noisy, time, question.text, question.negative, question.views, question.modality
    )
    guided = untold + question.settings.scale * (plain - untold)
    return Estimate(rescaled(guided, plain, question.settings.rescale, question.modality), plain, untold)


def noise_in(noisy: Tensor, clean: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The ε̂ that a clean estimate stands for: (noisy − alpha·clean) / sigma, sigma > 0."""
    return (noisy - alpha * clean) / sigma


def rescaled(guided: Tensor, plain: Tensor, share: float, modality: Modality) -> Tensor:
    """Pull the guided estimate's standard deviation towards the unguided one's (Lin et al. 2023).

    Colour and normals each by their own; coverage not at all, for it cannot be too certain.
    """
    parts = {"joint": (COLOR, NORMAL), "surface": (COLOR,)}.get(modality, (slice(None),))
    factors = guided.new_ones(guided.shape[:2])
    for part in parts:
        ratio = plain[:, part].flatten(1).std(1) / guided[:, part].flatten(1).std(1).clamp(min=1e-6)
        factors[:, part] = (share * ratio + 1 - share)[:, None]
    return guided * factors[:, :, None, None]
