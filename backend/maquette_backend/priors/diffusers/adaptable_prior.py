"""A diffusers prior whose network guidance can add to: its text is the condition, row by row."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from maquette_backend.priors.diffusers.denoisers import UnetDenoiser
from maquette_backend.priors.diffusers.diffusers_prior import DiffusersPrior, Parts
from maquette_backend.priors.diffusers.texts import Texts
from maquette_backend.priors.prior import Settings


class AdaptablePrior(DiffusersPrior):
    """Stable Diffusion 1 and 2, and multi-view models. Implements ``priors.denoiser.HasDenoiser`` as well."""

    def __init__(self, parts: Parts, settings: Settings, identity: str, network: UnetDenoiser, texts: Texts) -> None:
        """``network`` and ``texts``: those in ``parts``. Raises ValueError if conditions have rows besides the tokens."""
        if texts.layout.pooled:
            raise ValueError("this model's conditions hold more than what its network reads as text")
        super().__init__(parts, settings, identity)
        self._unet = network.network
        self._texts = texts

    def denoiser(self) -> nn.Module:
        """The UNet itself; what is added to it holds for every job in this process until it is taken away."""
        return self._unet

    def object_tokens(self, text: Tensor) -> Tensor:
        """Conditions [B,N,W] → weights [B,N]: 1 for the end mark, 0 elsewhere."""
        return F.one_hot(self._texts.ends(text), text.shape[1]).to(text)
