"""The starter prior's network: an ordinary diffusers U-Net over folded pictures, with cross-attention to the words.

Time, camera and the whole text enter through adaptive group normalisation (Dhariwal & Nichol 2021, section 3),
single words through cross-attention at the two coarser of three resolutions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from maquette_backend.priors.starter.conditioning import CONDITION_SIZE, condition
from maquette_backend.priors.starter.picture import FOLDED_CHANNELS, PATCH, SIZE
from maquette_backend.priors.starter.schedule import STEPS

TEXT_SIZE = 128
_Module = TypeVar("_Module", bound=nn.Module)


@dataclass(frozen=True)
class NetworkConfig:
    """The size of the network."""

    channels: tuple[int, ...] = (48, 96, 192)
    """Of each resolution, finest (half of the picture's) first."""
    heads: int = 2
    embedding_size: int = 256


def build_network(config: NetworkConfig) -> UNet2DConditionModel:
    """A fresh network; its last layers of residual branches are as diffusers makes them."""
    return UNet2DConditionModel(
        sample_size=SIZE // PATCH,
        in_channels=FOLDED_CHANNELS,
        out_channels=FOLDED_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        block_out_channels=config.channels,
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=TEXT_SIZE,
        attention_head_dim=config.heads,  # diffusers' old name for their number
        use_linear_projection=True,
        resnet_time_scale_shift="scale_shift",
        class_embed_type="projection",
        projection_class_embeddings_input_dim=CONDITION_SIZE,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        time_embedding_dim=config.embedding_size,
    )


@dataclass(frozen=True)
class Condition:
    """What a picture of a batch is to be, and how noisy it is."""

    color_time: Tensor  # [B] in 0..1
    geometry_time: Tensor  # [B] in 0..1
    words: Tensor  # [B,T,128]
    camera: Tensor  # [B,24], zeros: not known


def predict_velocity(network: nn.Module, noisy: Tensor, told: Condition) -> Tensor:
    """v̂ [B,7,H,W] float32 of noisy encoded pictures [B,7,H,W], H and W divisible by 8. Computed in bfloat16."""
    # channels last lets the CPU's convolutions skip a reordering of every layer
    folded = F.pixel_unshuffle(noisy, PATCH).contiguous(memory_format=torch.channels_last)
    labels = condition(told.camera, told.geometry_time)
    with torch.autocast(noisy.device.type, dtype=torch.bfloat16):
        steps = told.color_time * (STEPS - 1)
        predicted = network(folded, steps, told.words, class_labels=labels, return_dict=False)[0]
    return F.pixel_shuffle(predicted.float(), PATCH)


def on_device(module: _Module, device: torch.device) -> _Module:
    """The same module on ``device``, its convolutions' weights stored channels last, which is faster on CPU and GPU."""
    nn.Module.to(module, device)  # in place; what diffusers and transformers make of it confuses type checkers
    # torch's own type stubs leave this keyword out
    return module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
