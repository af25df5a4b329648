"""Score distillation sampling: the gradient a frozen diffusion model gives to a rendered image.

DreamFusion (Poole et al. 2022, eq. 3): ``grad = w(t) (eps_hat − eps)``, with no Jacobian of the network.
Written as a distance to the denoised estimate ``x0_hat`` it is the same gradient, because
``x − x0_hat = (sigma / alpha) (eps_hat − eps)``; that form (MVDream) allows the rescale of
``x0_hat`` that keeps large guidance scales from over-saturating.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maquette_backend.guidance.distiller import Stateless
from maquette_backend.guidance.estimates import Estimator, classifier_free
from maquette_backend.guidance.guided import Distillation, Guided, Question, distillation_loss, towards
from maquette_backend.guidance.weights import one_minus_alpha_bar
from maquette_backend.priors.prior import Modality, Prior, Views

__all__ = ["Distillation", "Guided", "Sds", "distillation_loss", "guide"]


@dataclass(frozen=True)
class Sds(Stateless):
    """Score distillation sampling, w = 1 − ᾱ."""

    estimator: Estimator = classifier_free

    def guide(self, question: Question) -> Guided:
        """Towards the guided clean estimate."""
        with torch.no_grad():
            estimate = self.estimator(question, question.noisy(), question.time)
            return towards(question, estimate.guided, estimate.plain, one_minus_alpha_bar)


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
    return Sds().guide(Question(prior, encoded, text, negative, views, time, noise, modality, settings))
