"""What a model takes of a GPU's memory, from its folder alone."""

from __future__ import annotations

import torch

from maquette_backend.priors.diffusers.memory import Needs
from maquette_backend.priors.families import STABLE_DIFFUSION_3, STABLE_DIFFUSION_XL
from maquette_backend.priors.model_folder import ModelFolder

_DENOISING = {STABLE_DIFFUSION_XL.name: 600, STABLE_DIFFUSION_3.name: 600}
_OTHER_DENOISING = 1200
_ENCODING, _ENCODING_CHECKPOINTED = 4600, 2000


def needs_of(found: ModelFolder, size: int, vae_dtype: torch.dtype) -> Needs:
    """For pictures of ``size`` pixels a side; all but a VAE in float32 in half precision."""
    pixels, vae_bytes = size * size, torch.finfo(vae_dtype).bits // 8
    encoders = [name for name in found.family.encoders if found.has(name)]
    return Needs(
        denoiser=2 * found.parameters(found.family.denoiser),
        vae=vae_bytes * found.parameters("vae"),
        text=2 * found.parameters(*encoders),
        denoising=_DENOISING.get(found.family.name, _OTHER_DENOISING) * pixels,
        encoding=_ENCODING * vae_bytes * pixels,
        encoding_checkpointed=_ENCODING_CHECKPOINTED * vae_bytes * pixels,
    )
