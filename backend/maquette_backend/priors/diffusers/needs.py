"""What a model takes of a GPU's memory, from its folder alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from maquette_backend.priors.control_folder import ControlFolder
from maquette_backend.priors.diffusers.memory import Needs
from maquette_backend.priors.families import STABLE_DIFFUSION_3, STABLE_DIFFUSION_XL
from maquette_backend.priors.model_folder import ModelFolder

_DENOISING = {STABLE_DIFFUSION_XL.name: 320, STABLE_DIFFUSION_3.name: 320}
_OTHER_DENOISING = 520
"""Bytes a pixel and sample, in half precision: twice what lives at once in one evaluation of the full-size networks (158,
162 and 260), counted from shapes; the other half is for the libraries' workspace and gaps between what is allocated."""
_HEARING = 102
"""Bytes a pixel, sample and ControlNet, in half precision: twice what it adds to the skip connections (51, of Stable
Diffusion's as of XL's), which is held while the network runs. It computes that in less than the network takes after it."""
_ENCODING, _ENCODING_CHECKPOINTED = 3100, 2000
"""Numbers a pixel that the full-size VAE's encoder keeps for its gradient (3034 and 1952), counted likewise."""


def needs_of(
    found: ModelFolder, size: int, vae_dtype: torch.dtype, controls: Sequence[ControlFolder] = ()
) -> Needs:
    """For pictures of ``size`` pixels a side; all but a VAE in float32 in half precision. ``controls``: those that will be
    loaded beside it."""
    pixels, vae_bytes = size * size, torch.finfo(vae_dtype).bits // 8
    encoders = [name for name in found.family.encoders if found.has(name)]
    return Needs(
        denoiser=2 * found.parameters(found.family.denoiser),
        vae=vae_bytes * found.parameters("vae"),
        text=2 * found.parameters(*encoders),
        denoising=(_DENOISING.get(found.family.name, _OTHER_DENOISING) + _HEARING * len(controls)) * pixels,
        encoding=_ENCODING * vae_bytes * pixels,
        encoding_checkpointed=_ENCODING_CHECKPOINTED * vae_bytes * pixels,
        controls=2 * sum(one.weights.parameters for one in controls),
    )
