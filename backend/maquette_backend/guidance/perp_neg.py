"""Perp-Neg: sides that are not seen are pushed away, as far as that does not speak against the side that is.

Armandpour et al. 2023, against heads with two faces. For priors that take no camera: it works on view words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from maquette_backend.guidance.estimates import Estimate, rescaled
from maquette_backend.guidance.guided import Question


@dataclass(frozen=True)
class Decay:
    """``a e^(−b r) + c``, r in 0..1."""

    a: float
    b: float
    c: float

    def at(self, r: Tensor) -> Tensor:
        """Same shape as ``r``."""
        return self.a * torch.exp(-self.b * r) + self.c


SIDE_BACK = Decay(1.0, 0.5, -0.606)
FRONT_SIDE_BACK = Decay(1.0, 0.5, 0.967)
FRONT_SIDE = Decay(4.0, 0.5, -2.426)


@dataclass(frozen=True)
class SideTexts:
    """One condition row [1,…] for each side's words."""

    front: Tensor
    side: Tensor
    back: Tensor


@dataclass(frozen=True)
class Directions:
    """What a view is to show, and what it is not."""

    wanted: Tensor
    """[B,…] between the two nearest sides."""
    unwanted: tuple[Tensor, Tensor]
    """[B,…] each"""
    weights: tuple[Tensor, Tensor]
    """[B] each, negative"""


def side_directions(texts: SideTexts, azimuth: Tensor) -> Directions:
    """For views at ``azimuth`` [B], radians, 0 the front (Perp-Neg, view-dependent prompts)."""
    turn = torch.atan2(azimuth.sin(), azimuth.cos()).abs() / (math.pi / 2)  # 0 front, 1 side, 2 back
    in_front = turn < 1
    r = torch.where(in_front, 1 - turn, 2 - turn).to(texts.front)  # 1 at the nearer end of its quarter, 0 at the further
    row = (-1, *(1,) * (texts.front.dim() - 1))
    front_half, mixed = in_front.view(row), r.view(row)
    near = torch.where(front_half, texts.front, texts.side)
    far = torch.where(front_half, texts.side, texts.back)
    weights = (
        -torch.where(in_front, FRONT_SIDE.at(r), SIDE_BACK.at(r)),
        -torch.where(in_front, FRONT_SIDE.at(1 - r), FRONT_SIDE_BACK.at(r)),
    )
    unwanted = (near, torch.where(front_half, texts.side, texts.front))
    return Directions(mixed * near + (1 - mixed) * far, unwanted, weights)


def perpendicular(direction: Tensor, main: Tensor) -> Tensor:
    """The part of ``direction`` [B,…] at right angles to ``main``, per sample; all of it where ``main`` is 0."""
    along = (direction * main).flatten(1).sum(1) / (main * main).flatten(1).sum(1).clamp(min=1e-12)
    return direction - along.view(-1, *(1,) * (main.dim() - 1)) * main


@dataclass(frozen=True)
class PerpNeg:
    """An estimator: ``u + s (d + Σ wᵢ perp(dᵢ, d))``, d the wanted direction, dᵢ the unwanted ones (Perp-Neg's sampler).

    The question's own text is not asked; ``texts`` hold it with the words for each side.
    """

    texts: SideTexts

    def __call__(self, question: Question, noisy: Tensor, time: Tensor) -> Estimate:
        """Three evaluations besides the untold one."""
        prior, views, modality = question.prior, question.views, question.modality
        told = side_directions(self.texts, views.azimuth)
        plain, untold = prior.predict_told_and_untold(noisy, time, told.wanted, question.negative, views, modality)
        main = plain - untold
        step = main
        for text, weight in zip(told.unwanted, told.weights, strict=True):
            away = prior.predict_denoised(noisy, time, text, views, modality) - untold
            step = step + weight.view(-1, 1, 1, 1).to(main) * perpendicular(away, main)
        guided = untold + question.settings.scale * step
        return Estimate(rescaled(guided, plain, question.settings.rescale, modality), plain, untold)
