"""A model's network behind one call, whatever it wants to be told besides the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from maquette_backend.priors.diffusers.control import LoadedControl, together
from maquette_backend.priors.diffusers.precision import Careful
from maquette_backend.priors.diffusers.texts import Layout


@dataclass(frozen=True)
class Heard:
    """What a ControlNet is shown with a batch."""

    control: LoadedControl
    picture: Tensor
    """[B,3,H,W] in 0..1, of the size that it takes"""
    weight: float


class Denoiser(Protocol):
    """A network in the terms of its own schedule."""

    def __call__(
        self, shown: Tensor, network_time: Tensor, text: Tensor, cameras: Tensor | None, hints: Sequence[Heard] = ()
    ) -> Tensor:
        """Pictures [B,C,h,w], times [B], conditions [B,N,W], camera rows [B,17] or None → output like ``shown``."""
        ...


class UnetDenoiser:
    """Stable Diffusion 1, 2 and XL, and multi-view models."""

    def __init__(
        self, network: UNet2DConditionModel, layout: Layout, careful: Careful, size: int, call: Callable[..., Any] | None = None
    ) -> None:
        """``size``: pixels of the native picture, which XL is told. ``call``: what stands for calling the network."""
        self.network = network
        self._call = call or network
        self._layout = layout
        self._careful = careful
        self._size = size

    def __call__(
        self, shown: Tensor, network_time: Tensor, text: Tensor, cameras: Tensor | None, hints: Sequence[Heard] = ()
    ) -> Tensor:
        tokens, pooled = self._layout.unpack(text)
        told = self._added(pooled) if self._layout.pooled and hints else None
        extra = together(
            [
                one.control.residuals(shown, network_time, tokens, one.picture, one.weight, told)
                for one in hints
            ]
        )

        def run(dtype: torch.dtype) -> Tensor:
            added = self._added(pooled.to(dtype)) if self._layout.pooled else None
            (out,) = self._call(
                shown.to(dtype).contiguous(memory_format=torch.channels_last),
                network_time,
                tokens.to(dtype),
                class_labels=cameras,
                added_cond_kwargs=added,
                down_block_additional_residuals=None if extra is None else [one.to(dtype) for one in extra.down],
                mid_block_additional_residual=None if extra is None else extra.middle.to(dtype),
                return_dict=False,
            )
            return out

        return self._careful(run, shown, text).to(shown.dtype)

    def _added(self, pooled: Tensor) -> dict[str, Tensor]:
        """XL's: the pooled text, and a picture that was neither enlarged nor cropped (Podell et al. 2023)."""
        size = (self._size, self._size)
        ids = torch.tensor([[*size, 0, 0, *size]], dtype=pooled.dtype, device=pooled.device)
        return {"text_embeds": pooled, "time_ids": ids.expand(len(pooled), -1)}


class TransformerDenoiser:
    """Stable Diffusion 3."""

    def __init__(
        self, network: SD3Transformer2DModel, layout: Layout, careful: Careful, call: Callable[..., Any] | None = None
    ) -> None:
        """``call``: what stands for calling the network."""
        self.network = network
        self._call = call or network
        self._layout = layout
        self._careful = careful

    def __call__(
        self, shown: Tensor, network_time: Tensor, text: Tensor, cameras: Tensor | None, hints: Sequence[Heard] = ()
    ) -> Tensor:
        tokens, pooled = self._layout.unpack(text)

        def run(dtype: torch.dtype) -> Tensor:
            (out,) = self._call(shown.to(dtype), tokens.to(dtype), pooled.to(dtype), network_time, return_dict=False)
            return out

        return self._careful(run, shown, text).to(shown.dtype)
