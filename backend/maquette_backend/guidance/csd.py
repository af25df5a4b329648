"""Classifier score distillation: the text's own pull, without the noise term (Yu et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maquette_backend.guidance.distiller import Stateless
from maquette_backend.guidance.guided import Guided, Question, towards
from maquette_backend.guidance.weights import one_minus_alpha_bar


@dataclass(frozen=True)
class Csd(Stateless):
    """``w (eps_text + a eps_empty + b eps_negative)``, w = 1 − ᾱ, a + b = −1 (CSD, with annealed negative prompts).

    The negative prompt comes in by and by: early it would only push away from the shape. The guidance scale plays no
    part, for nothing but the guidance is left.
    """

    negative_start: float = 0.0
    """−b where the stage begins."""
    negative_end: float = 0.5

    def coefficients(self, progress: float) -> tuple[float, float]:
        """a and b at ``progress`` 0..1."""
        negative = self.negative_start + (self.negative_end - self.negative_start) * progress
        return negative - 1.0, -negative

    def guide(self, question: Question) -> Guided:
        """Away from what the text does not say: the difference of estimates, added to the image."""
        with torch.no_grad():
            a, b = self.coefficients(question.progress)
            empty = question.prior.encode_text([""] * len(question.text)).data.to(question.negative)
            noisy = question.noisy()
            told, untold = question.prior.predict_told_and_untold(
                noisy, question.time, question.text, empty, question.views, question.modality
            )
            unwanted = self._unwanted(question, noisy, untold, empty) if b else untold
            # the coefficients sum to 0, so the noisy image's share drops out and x0 stands for eps
            return towards(question, question.encoded + told + a * untold + b * unwanted, told, one_minus_alpha_bar)

    def _unwanted(self, question: Question, noisy: Tensor, untold: Tensor, empty: Tensor) -> Tensor:
        if torch.equal(empty, question.negative):
            return untold
        return question.prior.predict_denoised(noisy, question.time, question.negative, None, question.modality)
