"""DDIM steps towards noise: what an image looks like noisier, by the model's own account (Song et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from maquette_backend.guidance.estimates import noise_in
from maquette_backend.guidance.guided import Question, scales_at


@dataclass(frozen=True)
class Point:
    """An image on its way to noise, and what the model makes of it."""

    noisy: Tensor
    """[B,C,H,W]"""
    time: Tensor
    """[B]"""
    clean: Tensor
    """x̂₀ [B,C,H,W] under the negative text, without camera."""
    noise: Tensor
    """ε̂ [B,C,H,W], likewise."""


def ddim_step(question: Question, point: Point, time: Tensor) -> Tensor:
    """``alpha(time) x̂₀ + sigma(time) ε̂`` (DDIM's step with no fresh noise), [B,C,H,W]; what is given stays given."""
    return question.prior.add_noise(point.clean, point.noise, time, question.modality)


def look(question: Question, noisy: Tensor, time: Tensor) -> Point:
    """Ask the model, unconditionally, about ``noisy`` [B,C,H,W] at ``time`` [B] > 0."""
    clean = question.prior.predict_denoised(noisy, time, question.negative, None, question.modality)
    return Point(noisy, time, clean, noise_in(noisy, clean, *scales_at(question.prior, time)))


def inverted(question: Question, start: Tensor, end: Tensor, steps: int) -> Point:
    """The step's images noised to ``start`` [B], then carried to ``end`` [B] in ``steps`` DDIM steps."""
    point = look(question, question.prior.add_noise(question.encoded, question.noise, start, question.modality), start)
    for number in range(1, steps + 1):
        time = start + (end - start) * (number / steps)
        point = look(question, ddim_step(question, point, time), time)
    return point
