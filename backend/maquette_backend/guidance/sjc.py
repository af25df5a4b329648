"""Score Jacobian chaining: the denoiser averaged over noise added to the render (Wang et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maquette_backend.guidance.distiller import Stateless
from maquette_backend.guidance.estimates import Estimator, classifier_free
from maquette_backend.guidance.guided import Guided, Question, towards
from maquette_backend.guidance.weights import score

_PURPOSE = 1


@dataclass(frozen=True)
class Sjc(Stateless):
    """``(x − E_n[D(x + σ′n)]) / σ′²`` with σ′ = sigma / alpha: the perturb-and-average score (SJC).

    A render is no noisy image, so the denoiser is never shown it bare.
    """

    draws: int = 2
    """Noises to average over. They come in pairs ± n: what is odd in the noise cancels at once."""
    estimator: Estimator = classifier_free

    def guide(self, question: Question) -> Guided:
        """Towards the averaged estimate."""
        with torch.no_grad():
            seen = [self._estimate(question, noise) for noise in self.noises(question)]
            guided, plain = (torch.stack(parts).mean(0) for parts in zip(*seen, strict=True))
            return towards(question, guided, plain, score)

    def noises(self, question: Question) -> list[Tensor]:
        """The step's own noise and its mirror image, then fresh pairs."""
        generator = question.generator(_PURPOSE)
        noise, result = question.noise, [question.noise, -question.noise]
        while len(result) < self.draws:
            noise = torch.randn(noise.shape, generator=generator).to(noise)
            result += [noise, -noise]
        return result[: self.draws]

    def _estimate(self, question: Question, noise: Tensor) -> tuple[Tensor, Tensor]:
        noisy = question.prior.add_noise(question.encoded, noise, question.time, question.modality)
        estimate = self.estimator(question, noisy, question.time)
        return estimate.guided, estimate.plain
