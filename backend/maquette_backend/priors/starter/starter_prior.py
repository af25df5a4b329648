"""The starter prior behind the interface that every prior shares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from maquette_backend.priors.prior import Condition, Familiarity, Modality, Settings, Views
from maquette_backend.priors.starter import diffusion
from maquette_backend.priors.starter.camera import CAMERA_SIZE, camera_vector
from maquette_backend.priors.starter.familiarity import Bounds, KnownThings, load_known
from maquette_backend.priors.starter.text import TextEncoder, minilm_folder
from maquette_backend.priors.starter.weights import SHIPPED, LoadedWeights, load_weights

_MODALITIES: tuple[Modality, ...] = ("color", "normal")
_FAMILIAR = Bounds(near=0.55, known=0.65)
"""Set on half of the phrases in ``tests/backend/priors/familiarity_phrases.py``, measured on the other half."""


class StarterPrior:
    """A small pixel diffusion model of home furnishings. Implements ``priors.prior.Prior``.

    Pixels are its latents: ``encode_image`` only scales. Its own scales and times come from trials: both want
    falling times; strong guidance makes colour vivid first and blotchy next, so it is for the overall colour only.
    """

    def __init__(
        self, weights: LoadedWeights, text_encoder: TextEncoder, device: torch.device, known: Sequence[str] = ()
    ) -> None:
        self._denoiser = weights.denoiser
        self._text_encoder = text_encoder
        self._known = KnownThings(known, text_encoder.encode, _FAMILIAR) if known else None
        self._device = device
        self._identity = f"starter:{weights.sha256[:16]}"
        self._settings = Settings(
            geometry_scale=7.0,
            appearance_scale=4.0,
            geometry_time_start=(0.5, 0.95),
            geometry_time_end=(0.3, 0.65),
            appearance_time_start=(0.8, 0.96),
            appearance_time_end=(0.5, 0.8),
            sizes=(weights.resolution,),
            modalities=_MODALITIES,
            camera_conditioned=True,
            background_margin=0.3 * diffusion.DATA_SCALE,
            denoised_bound=1.1 * diffusion.DATA_SCALE,
            device=device,
        )

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def identity(self) -> str:
        """``starter:`` and the first 16 hex digits of the weights' SHA-256."""
        return self._identity

    def encode_text(self, texts: Sequence[str]) -> Condition:
        """Unit vectors [texts,384]; the empty text is zeros, the unconditional condition. Cached per text."""
        return Condition(self._text_encoder.encode(texts))

    def familiarity(self, text: str) -> Familiarity | None:
        """How well it knows what ``text`` asks for; None if its folder names nothing that it knows."""
        return None if self._known is None else self._known.judge(text)

    def chars_read(self, text: str) -> int:
        """Characters of ``text``, without blanks around it, that fit into the text encoder."""
        return self._text_encoder.chars_read(text)

    def encode_image(self, images: Tensor) -> Tensor:
        """Images [B,3,size,size] in −1..1 → scaled pixels of the same shape, differentiable. ValueError on other sizes."""
        size = self._settings.sizes[0]
        if images.dim() != 4 or images.shape[1:] != (3, size, size):
            raise ValueError(f"the starter prior takes images [B,3,{size},{size}], not {list(images.shape)}")
        return images * diffusion.DATA_SCALE

    def decode_image(self, encoded: Tensor) -> Tensor:
        """The inverse of ``encode_image``, not clamped."""
        return encoded / diffusion.DATA_SCALE

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Times [B] in 0..1 → signal and noise scales [B]."""
        return diffusion.alpha_sigma(time)

    def add_noise(self, encoded: Tensor, noise: Tensor, time: Tensor, modality: Modality) -> Tensor:
        """α·encoded + σ·noise at times [B]."""
        return diffusion.add_noise(encoded, noise, time)

    def predict_noise(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        """ε̂ [B,3,H,W] for noisy encodings at times [B], text rows [B,384], B views or None."""
        v = self._velocity(noisy, time, text, views, modality)
        return diffusion.noise_from_velocity(v, noisy, time)

    def predict_denoised(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        """x̂₀ [B,3,H,W] in the encoded space; unlike (z − σ·ε̂)/α it loses no precision near time 1."""
        v = self._velocity(noisy, time, text, views, modality)
        return diffusion.clean_from_velocity(v, noisy, time)

    def _velocity(self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality) -> Tensor:
        batch = noisy.shape[0]
        camera = torch.zeros(batch, CAMERA_SIZE, device=self._device) if views is None else camera_vector(views)
        index = torch.full((batch,), _MODALITIES.index(modality), device=self._device)
        # channels last lets the CPU's convolutions skip a reordering of every layer
        folded = noisy.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, dtype=torch.bfloat16):
            return self._denoiser(folded, time, text, camera, index)


def load_starter(device: torch.device, folder: Path = SHIPPED) -> StarterPrior:
    """The starter prior with the weights in ``folder``. Raises MaquetteError INTERNAL if they can't be used."""
    encoder = TextEncoder(minilm_folder(), device)
    return StarterPrior(load_weights(folder, device), encoder, device, load_known(folder))
