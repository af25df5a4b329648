"""Networks of Stable Diffusion's full sizes with random weights, behind the adapter that registered models have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from maquette_backend.priors.diffusers.advice import advice
from maquette_backend.priors.diffusers.denoisers import UnetDenoiser
from maquette_backend.priors.diffusers.diffusers_prior import DiffusersPrior, Parts
from maquette_backend.priors.diffusers.pictures import Pictures
from maquette_backend.priors.diffusers.precision import Careful
from maquette_backend.priors.diffusers.schedules import discrete_schedule
from maquette_backend.priors.diffusers.texts import Layout
from maquette_backend.priors.families import STABLE_DIFFUSION, STABLE_DIFFUSION_XL, Family
from torch import Tensor

TOKENS = 77
_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
_VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
}


@dataclass(frozen=True)
class Size:
    """A model as its config has it."""

    name: str
    family: Family
    network: dict[str, Any]
    pixels: int
    text_width: int
    pooled: int = 0


SD1 = Size("sd1", STABLE_DIFFUSION, {"cross_attention_dim": 768, "attention_head_dim": 8}, 512, 768)
XL = Size(
    "xl",
    STABLE_DIFFUSION_XL,
    {
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
    1024,
    2048,
    1280,
)


class _Words:
    """Random rows for each text, in place of encoders: a step comes long after they are freed."""

    def __init__(self, size: Size, device: torch.device) -> None:
        self.layout = Layout(size.pooled)
        self._shape = (TOKENS, size.text_width)
        self._device = device

    def encode(self, texts: Sequence[str]) -> Tensor:
        tokens = torch.randn(len(texts), *self._shape, device=self._device)
        return self.layout.pack(tokens, torch.randn(len(texts), self.layout.pooled, device=self._device))

    def chars_read(self, text: str) -> int:
        return len(text)


@dataclass(frozen=True)
class Model:
    """The prior, and what it is made of."""

    prior: DiffusersPrior
    network: UNet2DConditionModel
    vae: AutoencoderKL
    dtype: torch.dtype

    @property
    def parameters(self) -> int:
        """Of the network."""
        return sum(one.numel() for one in self.network.parameters())


def build(size: Size, device: torch.device, dtype: torch.dtype) -> Model:
    """Made where they are used, in the type they are used in. The VAE is its encoder alone: no step decodes."""
    torch.manual_seed(0)
    network, vae = _networks(size, device, dtype)
    words = _Words(size, device)
    denoiser = UnetDenoiser(network, words.layout, Careful(network, dtype, device, "network"), size.pixels)
    pictures = Pictures(vae, size.pixels, Careful(vae, dtype, device, "VAE"))
    parts = Parts(discrete_schedule(_BETAS), words, pictures, denoiser)
    settings = replace(advice(size.family, size.pixels), device=device)
    return Model(DiffusersPrior(parts, settings, size.name), network, vae, dtype)


def _networks(size: Size, device: torch.device, dtype: torch.dtype) -> tuple[UNet2DConditionModel, AutoencoderKL]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            network = UNet2DConditionModel(sample_size=size.pixels // 8, **size.network)
            vae = AutoencoderKL(sample_size=size.pixels, **_VAE)
    finally:
        torch.set_default_dtype(before)
    del vae.decoder
    for part in (network, vae):
        part.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return network, vae
