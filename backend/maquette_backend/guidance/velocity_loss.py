"""How far a denoiser is off, in the measure in which all times count about alike."""

from __future__ import annotations

import torch
from torch import Tensor

from maquette_backend.guidance.guided import Question, scales_at

_LEAST_SIGMA = 1e-3


def velocity_loss(question: Question, denoised: Tensor, time: Tensor) -> Tensor:
    """Mean ``‖x̂₀ − x₀‖² / sigma²`` over what is learned: the error of v (Salimans & Ho 2022: weight SNR + 1).

    Under ``surface`` the given channels are not counted. Scalar, differentiable in ``denoised`` [B,C,H,W].
    """
    sigma = scales_at(question.prior, time)[1].clamp(min=_LEAST_SIGMA)
    channels = slice(0, 3) if question.modality == "surface" else slice(None)
    return torch.mean(((denoised - question.encoded)[:, channels] / sigma) ** 2)
