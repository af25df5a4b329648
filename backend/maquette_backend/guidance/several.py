"""Several priors at once, each with its own weight: Magic123's trade-off between imagination and precision.

Qian et al. 2023: ``λ_2D grad_2D + λ_3D grad_3D``. Priors may encode pictures differently, so the sum is one of
losses on the picture and not one of estimates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.guidance.distiller import Arrays, Distiller
from maquette_backend.guidance.guided import Guided, Question, distillation_loss
from maquette_backend.priors.prior import Prior

_FIRST = "first/"


@dataclass(frozen=True)
class Voice:
    """One of the priors that are asked."""

    name: str
    """Its state's name in a checkpoint."""
    prior: Prior
    distiller: Distiller
    weight: float


Ask = Callable[[Voice], tuple[Tensor, Question]]
"""A voice → the step's picture in that prior's encoding, on a tape, and the question about it, with times and words of
its own."""


def several_loss(voices: Sequence[Voice], ask: Ask, heed: Callable[[Guided], Guided] = lambda guided: guided) -> Tensor:
    """``Σ weight · distillation_loss`` over the voices, scalar. A weight of 0 is not asked. ``heed``: changes what each says."""
    total = torch.zeros(())
    for voice in voices:
        if voice.weight:
            encoded, question = ask(voice)
            pull = distillation_loss(encoded, heed(voice.distiller.guide(question)))
            total = total.to(pull) + voice.weight * pull
    return total


@dataclass(frozen=True)
class Several:
    """The way of a recipe's own prior, and the further ones with theirs; as a ``Distiller`` it is the first alone."""

    first: Distiller
    weight: float
    """What the first counts for; with 0 it is not asked."""
    further: tuple[Voice, ...]

    def guide(self, question: Question) -> Guided:
        """As the first guides, at its weight."""
        if not self.weight:
            return Guided(question.encoded, question.encoded.new_zeros(1, 1, 1, 1))
        guided = self.first.guide(question)
        return replace(guided, weight=self.weight * guided.weight)

    def arrays(self) -> Arrays:
        """What all of them have learned, each under its name."""
        every = {_FIRST: self.first} | {f"{voice.name}/": voice.distiller for voice in self.further}
        return {mark + name: array for mark, one in every.items() for name, array in one.arrays().items()}

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        for mark, one in ((_FIRST, self.first), *((f"{voice.name}/", voice.distiller) for voice in self.further)):
            one.restore({name.removeprefix(mark): a for name, a in arrays.items() if name.startswith(mark)})

    def close(self) -> None:
        """Every one of them, whatever happens to another."""
        with ExitStack() as stack:
            for one in (self.first, *(voice.distiller for voice in self.further)):
                stack.callback(one.close)
