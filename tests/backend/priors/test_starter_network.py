"""The network hears everything it is told: words, camera and both noise levels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from maquette_backend.priors.starter.conditioning import CAMERA_FEATURES
from maquette_backend.priors.starter.network import Condition, NetworkConfig, build_network, predict_velocity
from torch import Tensor, nn

TINY = NetworkConfig(channels=(16, 24, 32), heads=2, embedding_size=32)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return build_network(TINY).eval().requires_grad_(False)


def told(batch: int = 2) -> Condition:
    random = torch.Generator().manual_seed(1)
    half = torch.full((batch,), 0.5)
    return Condition(
        half, half, torch.randn(batch, 32, 128, generator=random), torch.randn(batch, CAMERA_FEATURES, generator=random)
    )


def noisy(batch: int = 2) -> Tensor:
    return torch.randn(batch, 7, 16, 16, generator=torch.Generator().manual_seed(2))


def test_pictures_keep_their_shape(network: nn.Module) -> None:
    predicted = predict_velocity(network, noisy(), told())
    assert predicted.shape == (2, 7, 16, 16)
    assert predicted.dtype == torch.float32


@pytest.mark.parametrize("part", ["color_time", "geometry_time", "words", "camera"])
def test_every_condition_changes_the_answer(network: nn.Module, part: str) -> None:
    before = predict_velocity(network, noisy(), told())
    changed = replace(told(), **{part: getattr(told(), part) * 0.3 + 0.05})
    assert (predict_velocity(network, noisy(), changed) - before).abs().max() > 1e-3


def test_a_sample_does_not_depend_on_its_neighbours(network: nn.Module) -> None:
    both = predict_velocity(network, noisy(), told())
    condition = Condition(*(part[:1] for part in vars(told()).values()))
    torch.testing.assert_close(predict_velocity(network, noisy()[:1], condition), both[:1], atol=0.02, rtol=0.02)


def test_words_reach_two_resolutions_by_cross_attention(network: nn.Module) -> None:
    crossing = [name for name, _ in network.named_modules() if name.endswith("attn2")]
    places = {".".join(name.split(".")[:2]) for name in crossing}
    assert places == {"down_blocks.1", "mid_block.attentions", "up_blocks.0"}
