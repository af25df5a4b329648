"""HiFA's distance in the picture itself, besides the one in the encoding (Zhu et al. 2023). Its times: ``schedule``."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from maquette_backend.guidance.guided import Guided


@runtime_checkable
class Decodes(Protocol):
    """A prior that can show an encoding."""

    def decode_image(self, encoded: Tensor) -> Tensor:
        """The inverse of ``encode_image``."""
        ...


def image_loss(prior: Decodes, image: Tensor, guided: Guided, share: float = 0.01) -> Tensor:
    """``share · w(t) ½‖image − decode(x0_hat)‖²`` (HiFA's image-space loss): added to ``distillation_loss``, scaled like it.

    ``image`` [B,C,H,W] as it went into ``encode_image``. The decoder is not on the tape. An encoder that compresses
    forgives what this does not: single wrong pixels. Where ``guided`` has a weight for each place, so has this.
    """
    with torch.no_grad():
        shown = prior.decode_image(guided.denoised)
    weight = guided.weight.mean(1, keepdim=True).expand(len(image), 1, *guided.weight.shape[2:])
    weight = nn.functional.interpolate(weight, image.shape[2:], mode="area")
    return share * 0.5 * (weight * (image - shown) ** 2).sum() / (image.shape[0] * image.shape[-1])
