"""A very small diffusers UNet behind the priors' interface, in double precision: for what needs a real network."""

from __future__ import annotations

import math

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from gaussian_prior import plain_settings
from maquette_backend.guidance.guided import Distillation, Question
from maquette_backend.priors.prior import Condition, Modality, Settings, Views
from torch import Tensor, nn

WIDTH, TOKENS, SIDE = 12, 5, 8


def tiny_network(seed: int = 0) -> UNet2DConditionModel:
    """Cross-attention in three blocks, at 8², 4² and 8² cells."""
    torch.manual_seed(seed)
    network = UNet2DConditionModel(
        sample_size=SIDE,
        in_channels=3,
        out_channels=3,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
    )
    network.double().eval().requires_grad_(False)
    return network


class TinyPrior:
    """Predicts ε. A text's rows are drawn from its length; its third token is its end."""

    identity = "tiny"

    def __init__(self, joined: bool = True) -> None:
        """``joined``: text and negative go through the network in one batch."""
        self.settings: Settings = plain_settings()
        self.network = tiny_network()
        self._joined = joined

    def denoiser(self) -> nn.Module:
        return self.network

    def object_tokens(self, text: Tensor) -> Tensor:
        weights = text.new_zeros(text.shape[:2])
        weights[:, 2] = 1
        return weights

    def encode_text(self, texts: list[str]) -> Condition:
        rows = [torch.randn(TOKENS, WIDTH, generator=torch.Generator().manual_seed(len(text))) for text in texts]
        return Condition(torch.stack(rows).double())

    def encode_image(self, images: Tensor) -> Tensor:
        return images

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        return (time * math.pi / 2).cos(), (time * math.pi / 2).sin()

    def add_noise(self, encoded: Tensor, noise: Tensor, time: Tensor, modality: Modality) -> Tensor:
        alpha, sigma = (scale.view(-1, 1, 1, 1) for scale in self.alpha_sigma(time))
        return alpha * encoded + sigma * noise

    def predict_noise(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        return self.network(noisy, time * 999, text, return_dict=False)[0]

    def predict_denoised(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        alpha, sigma = (scale.view(-1, 1, 1, 1) for scale in self.alpha_sigma(time))
        return (noisy - sigma * self.predict_noise(noisy, time, text, views, modality)) / alpha

    def predict_told_and_untold(
        self, noisy: Tensor, time: Tensor, text: Tensor, negative: Tensor, views: Views | None, modality: Modality
    ) -> tuple[Tensor, Tensor]:
        if not self._joined:
            told = self.predict_denoised(noisy, time, text, views, modality)
            return told, self.predict_denoised(noisy, time, negative, None, modality)
        twice, times, words = (torch.cat(pair) for pair in ((noisy, noisy), (time, time), (text, negative)))
        told, untold = self.predict_denoised(twice, times, words, views, modality).chunk(2)
        return told, untold


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tiny_views(count: int) -> Views:
    one = torch.ones(count)
    return Views(torch.linspace(0, 3, count), torch.linspace(0.1, 0.6, count), 2 * one, 0.6 * one)


def tiny_question(prior: TinyPrior, scale: float = 3.0, seed: int = 1) -> Question:
    """Two views, with a round mask."""
    text, negative = prior.encode_text(["a sofa"] * 2).data, prior.encode_text(["bad"] * 2).data
    picture, noise = randn(2, 3, SIDE, SIDE, seed=seed), randn(2, 3, SIDE, SIDE, seed=seed + 100)
    time = torch.tensor([0.3, 0.6], dtype=torch.float64)
    across = torch.linspace(-1, 1, 32, dtype=torch.float64)
    mask = (across[:, None] ** 2 + across**2 < 0.5).double().expand(2, 1, 32, 32)
    settings = Distillation(scale, rescale=0.0)
    views = tiny_views(2)
    return Question(prior, picture, text, negative, views, time, noise, "color", settings, mask=mask)
