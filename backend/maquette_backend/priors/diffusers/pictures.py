"""Pictures through a model's VAE, with their gradient."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.checkpoint import checkpoint

from maquette_backend.priors.diffusers.precision import Careful
from maquette_backend.priors.notices import Notices


class Pictures:
    """Encodes pictures of the sizes it accepts as latents of the model's own size."""

    def __init__(
        self,
        vae: AutoencoderKL | AutoencoderTiny,
        size: int,
        careful: Careful,
        *,
        one_by_one: bool = False,
        checkpointed: bool = False,
        notices: Notices | None = None,
    ) -> None:
        """``size``: pixels of the model's native picture. ``one_by_one``: a picture's activations are computed again
        for its gradient, so that only one picture's are held at a time."""
        config: Any = vae.config
        self._vae = vae
        self._careful = careful
        self._size = size
        self._one_by_one = one_by_one
        self._checkpointed = checkpointed
        self._notices = notices or Notices()
        self._scale = float(config.scaling_factor)
        self._shift = float(getattr(config, "shift_factor", None) or 0.0)
        if checkpointed:
            vae.enable_gradient_checkpointing()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a picture's latents."""
        config: Any = self._vae.config
        side = self._size // 2 ** (len(config.block_out_channels) - 1)
        return int(config.latent_channels), side, side

    def encode(self, images: Tensor) -> Tensor:
        """[B,3,H,W] in −1..1 → latents [B,C,h,w] of at least float32, differentiable.

        The encoder's mean and not a draw from it: runs repeat, and the spread is a thousandth of the latents'.
        """
        if images.shape[-1] != self._size or images.shape[-2] != self._size:
            shrinks = images.shape[-1] > self._size
            images = interpolate(images, (self._size,) * 2, mode="bilinear", antialias=shrinks, align_corners=False)
        while True:
            try:
                return self._as_planned(images)
            except torch.OutOfMemoryError:
                if not self.can_give_way:
                    raise
            self.give_way()  # not in the handler: what was computed is alive there

    @property
    def can_give_way(self) -> bool:
        """Whether they can do with less memory."""
        return not (self._one_by_one and self._checkpointed)

    def give_way(self) -> None:
        """One tier down, for good."""
        if self._one_by_one:
            self._vae.enable_gradient_checkpointing()
            self._checkpointed = True
        self._one_by_one = True
        how = "and computes within a picture again, too" if self._checkpointed else "and computes it again for its gradient"
        self._notices.say(f"Out of memory: the VAE takes one picture at a time now, {how}.")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _as_planned(self, images: Tensor) -> Tensor:
        if not self._one_by_one:
            return self._encode(images)
        dtype = self._careful.dtype
        latents = self._sliced(images)
        # what was computed before the type was widened can't be computed again for its gradient
        return latents if self._careful.dtype == dtype else self._sliced(images)

    def _sliced(self, images: Tensor) -> Tensor:
        parts = images.split(1)
        return torch.cat([checkpoint(self._encode, one, use_reentrant=False) for one in parts])  # pyright: ignore

    def decode(self, latents: Tensor) -> Tensor:
        """Latents → pictures [B,3,H,W] near −1..1, for looking at."""
        latents = latents / self._scale + self._shift

        def run(dtype: torch.dtype) -> Tensor:
            decoded: Any = self._vae.decode(latents.to(dtype))  # pyright: ignore[reportArgumentType]
            return decoded.sample

        return self._careful(run, latents).float()

    def _encode(self, images: Tensor) -> Tensor:
        def run(dtype: torch.dtype) -> Tensor:
            encoded: Any = self._vae.encode(images.to(dtype))
            return encoded.latents if isinstance(self._vae, AutoencoderTiny) else encoded.latent_dist.mode()

        latents = self._careful(run, images)
        return (latents.to(torch.promote_types(latents.dtype, torch.float32)) - self._shift) * self._scale
