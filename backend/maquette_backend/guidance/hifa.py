"""HiFA's distance in the picture itself, besides the one in the encoding (Zhu et al. 2023). Its times: ``schedule``."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from maquette_backend.guidance.guided import Guided


class Decodes(Protocol):
    """A prior that can show an encoding."""

    def decode_image(self, encoded: Tensor) -> Tensor:
        """The inverse of ``encode_image``."""
        ...


def image_loss(prior: Decodes, image: Tensor, guided: Guided, share: float = 0.01) -> Tensor:
    """``share · w(t) ½‖image − decode(x0_hat)‖²`` (HiFA, eq. 8–9): added to ``distillation_loss``, scaled like it.

    ``image`` [B,C,H,W] as it went into ``encode_image``. The decoder is not on the tape. An encoder that compresses
    forgives what this does not: single wrong pixels.
    """
    with torch.no_grad():
        shown = prior.decode_image(guided.denoised)
    per_view = guided.weight.mean((1, 2, 3), keepdim=True)
    return share * 0.5 * (per_view * (image - shown) ** 2).sum() / (image.shape[0] * image.shape[-1])
