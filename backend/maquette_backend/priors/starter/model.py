"""The starter prior's network: a small pixel U-Net that predicts v, conditioned on time, text, camera and modality.

The picture is folded by space-to-depth first, so the costly full-resolution level disappears. Every condition
goes through adaptive group normalisation (Dhariwal & Nichol 2021, section 3), attention runs on the coarsest
level only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_Layer = TypeVar("_Layer", nn.Conv2d, nn.Linear)
_TIME_FREQUENCIES = 32
_TEXT_GAIN = 8.0
"""Brings the 384 entries of a unit vector near the size of the other inputs."""


@dataclass(frozen=True)
class DenoiserConfig:
    """The shape of the network; stored beside the weights."""

    channels: int = 48
    """Channels of the finest level."""
    multipliers: tuple[int, ...] = (1, 2, 4)
    """Channels of each level, finest first, as multiples of ``channels``."""
    blocks_per_level: int = 1
    embedding_size: int = 256
    text_size: int = 384
    camera_size: int = 6
    patch: int = 2
    """Side of the pixel block that is folded into channels."""


class ResidualBlock(nn.Module):
    """Two convolutions with a skip; the condition scales and shifts the second normalisation."""

    def __init__(self, channels_in: int, channels_out: int, embedding_size: int) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(8, channels_in)
        self.conv_in = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.condition = nn.Linear(embedding_size, 2 * channels_out)
        self.norm_out = nn.GroupNorm(8, channels_out)
        self.conv_out = _zeroed(nn.Conv2d(channels_out, channels_out, 3, padding=1))
        same = channels_in == channels_out
        self.skip = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x [B,C,H,W], embedding [B,E] → [B,C',H,W]."""
        h = self.conv_in(F.silu(self.norm_in(x)))
        gain, shift = self.condition(embedding)[:, :, None, None].chunk(2, dim=1)
        return self.skip(x) + self.conv_out(F.silu(self.norm_out(h) * (1 + gain) + shift))


class SelfAttention(nn.Module):
    """Residual multi-head attention between all positions."""

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, channels)
        self.query_key_value = nn.Linear(channels, 3 * channels)
        self.project = _zeroed(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """x [B,C,H,W] → [B,C,H,W]."""
        batch, channels, height, width = x.shape
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # [B,HW,C]
        split = self.query_key_value(tokens).view(batch, height * width, 3, self.heads, channels // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each [B,heads,HW,C/heads]
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(batch, -1, channels)
        return x + self.project(mixed).transpose(1, 2).reshape(batch, channels, height, width)


class DownLevel(nn.Module):
    """Blocks of one resolution, then (but for the coarsest level) a halving."""

    def __init__(self, channels_in: int, channels_out: int, config: DenoiserConfig, halves: bool) -> None:
        super().__init__()
        sizes = [channels_in] + [channels_out] * config.blocks_per_level
        self.blocks = nn.ModuleList(ResidualBlock(a, b, config.embedding_size) for a, b in pairwise(sizes))
        self.halve = nn.Conv2d(channels_out, channels_out, 3, stride=2, padding=1) if halves else None

    def forward(self, x: Tensor, embedding: Tensor, skips: list[Tensor]) -> Tensor:
        """x [B,C,H,W] → the next level's input; every intermediate result is appended to ``skips``."""
        for block in self.blocks:
            x = block(x, embedding)
            skips.append(x)
        if self.halve is not None:
            x = self.halve(x)
            skips.append(x)
        return x


class UpLevel(nn.Module):
    """Blocks of one resolution, each fed with a skip, then (but for the finest level) a doubling."""

    def __init__(
        self, channels_in: int, channels_out: int, skip_channels: list[int], config: DenoiserConfig, doubles: bool
    ) -> None:
        super().__init__()
        sizes = [channels_in] + [channels_out] * (len(skip_channels) - 1)
        self.blocks = nn.ModuleList(
            ResidualBlock(size + skip, channels_out, config.embedding_size)
            for size, skip in zip(sizes, skip_channels, strict=True)
        )
        self.smooth = nn.Conv2d(channels_out, channels_out, 3, padding=1) if doubles else None

    def forward(self, x: Tensor, embedding: Tensor, skips: list[Tensor]) -> Tensor:
        """x [B,C,H,W] → the next level's input; consumes ``skips`` from the end."""
        for block in self.blocks:
            x = block(torch.cat([x, skips.pop()], dim=1), embedding)
        if self.smooth is not None:
            x = self.smooth(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return x


class Denoiser(nn.Module):
    """Predicts v = α·ε − σ·x₀ (Salimans & Ho 2022) of a noisy picture."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        embedding, levels = config.embedding_size, len(config.multipliers)
        widths = [config.channels * multiplier for multiplier in config.multipliers]
        pixel_channels = 3 * config.patch**2
        self.embed_time = _perceptron(2 * _TIME_FREQUENCIES, embedding)
        self.embed_text = _perceptron(config.text_size + 1, embedding)
        self.embed_camera = _perceptron(config.camera_size + 1, embedding)
        self.embed_modality = nn.Embedding(2, embedding)
        self.mix = nn.Linear(embedding, embedding)
        self.stem = nn.Conv2d(pixel_channels, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        skip_channels, width = [widths[0]], widths[0]
        for level, next_width in enumerate(widths):
            halves = level < levels - 1
            self.down.append(DownLevel(width, next_width, config, halves))
            skip_channels += [next_width] * (config.blocks_per_level + halves)
            width = next_width
        self.middle_in = ResidualBlock(width, width, embedding)
        self.middle_attention = SelfAttention(width)
        self.middle_out = ResidualBlock(width, width, embedding)
        self.up = nn.ModuleList()
        for level, next_width in reversed(list(enumerate(widths))):
            taken = [skip_channels.pop() for _ in range(config.blocks_per_level + 1)]
            self.up.append(UpLevel(width, next_width, taken, config, doubles=level > 0))
            width = next_width
        self.norm_out = nn.GroupNorm(8, width)
        self.head = _zeroed(nn.Conv2d(width, pixel_channels, 3, padding=1))

    def forward(self, noisy: Tensor, time: Tensor, text: Tensor, camera: Tensor, modality: Tensor) -> Tensor:
        """v for noisy pictures.

        noisy [B,3,H,W], scaled to about unit deviation, H and W divisible by 8; time [B] in 0..1; text
        [B,text_size] (a row of zeros: none); camera [B,camera_size] (a row of zeros: none); modality [B]
        int64, 0 colour, 1 normals. Returns [B,3,H,W] float32.
        """
        embedding = self._embed(time, text, camera, modality)
        x = self.stem(F.pixel_unshuffle(noisy, self.config.patch))
        skips = [x]
        for level in self.down:
            x = level(x, embedding, skips)
        x = self.middle_out(self.middle_attention(self.middle_in(x, embedding)), embedding)
        for level in self.up:
            x = level(x, embedding, skips)
        return F.pixel_shuffle(self.head(F.silu(self.norm_out(x))), self.config.patch).float()

    def _embed(self, time: Tensor, text: Tensor, camera: Tensor, modality: Tensor) -> Tensor:
        has_text = (text.abs().sum(1, keepdim=True) > 0).to(text.dtype)
        has_camera = (camera.abs().sum(1, keepdim=True) > 0).to(camera.dtype)
        total = (
            self.embed_time(_time_features(time))
            + self.embed_text(torch.cat([text * _TEXT_GAIN, has_text], dim=1))
            + self.embed_camera(torch.cat([camera, has_camera], dim=1))
            + self.embed_modality(modality)
        )
        return F.silu(self.mix(F.silu(total)))


def _time_features(time: Tensor) -> Tensor:
    """Sines and cosines of [B] times at geometric frequencies (Vaswani et al. 2017) → [B,64]."""
    exponents = torch.arange(_TIME_FREQUENCIES, device=time.device) * (-math.log(1000.0) / (_TIME_FREQUENCIES - 1))
    angles = 1000 * time[:, None] * torch.exp(exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _perceptron(size_in: int, size_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size_in, size_out), nn.SiLU(), nn.Linear(size_out, size_out))


def _zeroed(layer: _Layer) -> _Layer:
    """A layer that outputs zero at first, so that a fresh residual block is the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
