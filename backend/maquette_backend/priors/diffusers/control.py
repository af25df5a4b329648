"""A ControlNet from its folder, and its share in a UNet. Nothing is downloaded, and no code of the folder's is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from maquette_backend.priors.control_folder import inspect_control
from maquette_backend.priors.diffusers.machine import Machine, check_unchanged, reading
from maquette_backend.priors.diffusers.precision import Careful
from maquette_backend.priors.notices import Notices
from maquette_backend.priors.registry import Model, Shows

_ALIKE = {
    "in_channels": "latent channels",
    "cross_attention_dim": "cross-attention width",
    "down_block_types": "blocks",
    "block_out_channels": "block widths",
    "layers_per_block": "layers of a block",
    "addition_embed_type": "additional embedding",
}
"""What a ControlNet must have in common with the network that it speaks in, and how it is called in errors."""


@dataclass(frozen=True)
class Residuals:
    """What ControlNets add to a UNet's skip connections and to its middle."""

    down: list[Tensor]
    middle: Tensor

    def __add__(self, other: Residuals) -> Residuals:
        down = [one + two for one, two in zip(self.down, other.down, strict=True)]
        return Residuals(down, self.middle + other.middle)


class LoadedControl:
    """A ``priors.control.ControlNet`` of diffusers' kind. Implements ``GivesNotice``."""

    def __init__(self, name: str, shows: Shows, network: ControlNetModel, careful: Careful, notices: Notices) -> None:
        """``notices``: where ``careful`` tells what it changes."""
        self.name = name
        self.notices = notices
        self.shows: Shows = shows
        self.network = network
        self._careful = careful

    def picture_side(self, latent_side: int) -> int:
        """Pixels of the pictures that go with latents of that side: its own embedding halves them so often."""
        config: Any = self.network.config
        return latent_side * 2 ** (len(config.conditioning_embedding_out_channels) - 1)

    @torch.no_grad()
    def residuals(
        self, shown: Tensor, time: Tensor, tokens: Tensor, picture: Tensor, weight: float, added: dict[str, Tensor] | None
    ) -> Residuals:
        """Noisy latents [B,4,h,w], times [B], texts [B,N,W], pictures [B,3,H,W] in 0..1 → what it adds, times ``weight``."""
        found: list[Residuals] = []

        def run(dtype: torch.dtype) -> Tensor:
            more = None if added is None else {name: value.to(dtype) for name, value in added.items()}
            down, middle = self.network(
                shown.to(dtype), time, tokens.to(dtype), picture.to(dtype), conditioning_scale=weight,
                added_cond_kwargs=more, return_dict=False,
            )  # fmt: skip
            found.append(Residuals(list(down), middle))
            return middle  # whatever overflows on the way down arrives here

        self._careful(run, shown, tokens, picture)
        return found[-1]

    def check_fits(self, network: UNet2DConditionModel) -> None:
        """Raises ValueError, naming the first thing that differs, if it was made for another network."""
        own: Any = self.network.config
        its: Any = network.config
        for field, called in _ALIKE.items():
            mine, theirs = (_plain(getattr(config, field, None)) for config in (own, its))
            if mine != theirs:
                raise ValueError(f"its {called} is {mine}, and the prior's {theirs}")


def together(residuals: Sequence[Residuals]) -> Residuals | None:
    """Their sum; None of none."""
    result = None
    for one in residuals:
        result = one if result is None else result + one
    return result


def load_control_net(model: Model, machine: Machine) -> LoadedControl:
    """A registered ControlNet, for evaluation only.

    Raises:
        MaquetteError: UNKNOWN_PRIOR if files are missing, not what was registered, or don't fit each other.
    """
    assert model.shows is not None
    with reading(model):
        found = inspect_control(model.folder)
        check_unchanged(model)
        network = _network(model, found.weights.variant or None, machine.dtype)
    notices = Notices()
    careful = Careful(network, machine.dtype, machine.device, f"ControlNet {model.name}", notices)
    return LoadedControl(model.name, model.shows, network, careful, notices)


def _network(model: Model, variant: str | None, dtype: torch.dtype) -> ControlNetModel:
    loaded: Any = ControlNetModel.from_pretrained(
        str(model.folder), variant=variant, local_files_only=True, use_safetensors=True, torch_dtype=dtype,
        output_loading_info=True,
    )  # fmt: skip
    network, info = loaded
    missing = sorted(info["missing_keys"])
    if missing:
        raise ValueError(f"it lacks {len(missing)} of its weights, {missing[0]} among them")
    assert isinstance(network, nn.Module)
    return network.eval().requires_grad_(False)  # pyright: ignore[reportReturnType]


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
