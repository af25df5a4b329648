"""Interval score matching: a deterministic path to noise, and the last stretch of it told and untold (Liang et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from maquette_backend.guidance.ddim import ddim_step, inverted
from maquette_backend.guidance.distiller import Stateless
from maquette_backend.guidance.estimates import Estimator, classifier_free, noise_in
from maquette_backend.guidance.guided import Guided, Question, towards
from maquette_backend.guidance.weights import clean_distance


@dataclass(frozen=True)
class Ism(Stateless):
    """``w (eps_guided(x_t) − eps_untold(x_s))``, w = √((1 − ᾱ)/ᾱ), x_s by DDIM inversion, x_t one step on.

    LucidDreamer. Where SDS compares with the noise that was thrown in, and so with another image every step,
    this compares with what the model itself would say of the same image a little less noisy.
    """

    steps: int = 5
    """DDIM steps from the render to x_s."""
    interval: float = 0.05
    """t − s, a fraction of the schedule."""
    clean_time: float = 0.01
    """Where inversion starts: a render is not on the model's own path at t = 0."""
    estimator: Estimator = classifier_free

    def guide(self, question: Question) -> Guided:
        """The difference of the two noises, as a distance of clean images, taken off the image."""
        with torch.no_grad():
            end = (question.time - self.interval).clamp(min=self.clean_time)
            point = inverted(question, torch.full_like(end, self.clean_time), end, self.steps)
            noisy = ddim_step(question, point, question.time)
            estimate = self.estimator(question, noisy, question.time)
            alpha, sigma = question.scales
            difference = noise_in(noisy, estimate.guided, alpha, sigma) - point.noise
            target = question.encoded - sigma / alpha * difference
            return towards(question, target, estimate.plain, clean_distance)
