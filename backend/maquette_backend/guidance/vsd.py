"""Variational score distillation: the prior's score less the score of the renders themselves (Wang et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.guidance.distiller import Arrays
from maquette_backend.guidance.estimates import Estimator, classifier_free
from maquette_backend.guidance.guided import Guided, Question, towards
from maquette_backend.guidance.weights import one_minus_alpha_bar


class RenderScore(Protocol):
    """A denoiser of what the renders look like at present; it learns alongside."""

    def denoised(self, question: Question, noisy: Tensor) -> Tensor:
        """x̂₀ [B,C,H,W] of ``noisy`` at the question's times, from the question's views, without a tape."""
        ...

    def learn(self, question: Question) -> None:
        """One step of its own, on the step's renders."""
        ...

    def arrays(self) -> Arrays: ...

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Vsd:
    """``w (eps_prior,guided − eps_renders)``, w = 1 − ᾱ (ProlificDreamer).

    Where the renders are distributed as the prior's images, the two scores cancel: nothing pulls, and nothing is
    smoothed away, as it is by SDS, which only looks for the mode.
    """

    renders: RenderScore
    estimator: Estimator = classifier_free

    def guide(self, question: Question) -> Guided:
        """The difference of the two estimates, added to the image; then the renders' score takes its own step."""
        with torch.no_grad():
            noisy = question.noisy()
            estimate = self.estimator(question, noisy, question.time)
            own = self.renders.denoised(question, noisy)
            target = question.encoded + estimate.guided - own
            guided = towards(question, target, estimate.plain, one_minus_alpha_bar)
        self.renders.learn(question)
        return guided

    def arrays(self) -> Arrays:
        return self.renders.arrays()

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        self.renders.restore(arrays)

    def close(self) -> None:
        self.renders.close()
