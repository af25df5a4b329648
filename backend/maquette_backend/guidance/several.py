"""Several priors at once, each with its own weight: Magic123's trade-off between imagination and precision.

Qian et al. 2023: ``λ_2D grad_2D + λ_3D grad_3D``. Priors may encode pictures differently, so the sum is one of
losses on the picture and not one of estimates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.guidance.distiller import Arrays, Distiller
from maquette_backend.guidance.guided import Question, distillation_loss
from maquette_backend.priors.prior import Prior


@dataclass(frozen=True)
class Voice:
    """One of the priors that are asked."""

    name: str
    """Its state's name in a checkpoint."""
    prior: Prior
    distiller: Distiller
    weight: float


Ask = Callable[[Voice, Tensor], Question]
"""A voice and the step's picture in that prior's encoding, detached → the question, with times and words of its own."""


def several_loss(image: Tensor, voices: Sequence[Voice], ask: Ask) -> Tensor:
    """``Σ weight · distillation_loss`` over the voices, for one picture [B,C,H,W]. A weight of 0 is not asked."""
    total = image.new_zeros(())
    for voice in voices:
        if voice.weight:
            encoded = voice.prior.encode_image(image)
            guided = voice.distiller.guide(ask(voice, encoded.detach()))
            total = total + voice.weight * distillation_loss(encoded, guided)
    return total


def several_arrays(voices: Sequence[Voice]) -> Arrays:
    """What all of them have learned, each under its name."""
    return {f"{voice.name}/{name}": array for voice in voices for name, array in voice.distiller.arrays().items()}


def restore_several(voices: Sequence[Voice], arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Put ``several_arrays``' values back. Raises RuntimeError where they do not fit."""
    for voice in voices:
        mark = f"{voice.name}/"
        voice.distiller.restore({name.removeprefix(mark): a for name, a in arrays.items() if name.startswith(mark)})
