"""Views together: samples of one subject hear each other, those of others don't, and one view alone is as before."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from maquette_backend.priors.starter.conditioning import CAMERA_FEATURES
from maquette_backend.priors.starter.network import Condition, NetworkConfig, build_network, predict_velocity
from maquette_backend.priors.starter.views_together import show_together
from torch import Tensor


@pytest.fixture
def network() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return build_network(NetworkConfig(channels=(16, 24, 32), embedding_size=32)).eval().requires_grad_(False)


def answer(network: UNet2DConditionModel, noisy: Tensor) -> Tensor:
    half, words = torch.full((len(noisy),), 0.5), torch.zeros(len(noisy), 32, 128)
    return predict_velocity(network, noisy, Condition(half, half, words, torch.zeros(len(noisy), CAMERA_FEATURES)))


def pictures(count: int) -> Tensor:
    return torch.randn(count, 7, 16, 16, generator=torch.Generator().manual_seed(3))


def test_a_view_is_heard_by_its_own_subject_only(network: UNet2DConditionModel) -> None:
    show_together(network, views=2)
    noisy = pictures(4)
    before = answer(network, noisy)
    noisy[0] *= 2
    change = (answer(network, noisy) - before).abs().amax((1, 2, 3))
    assert change[1] > 1e-3
    assert change[2:].max() < 1e-5


def test_the_order_of_the_views_does_not_matter(network: UNet2DConditionModel) -> None:
    show_together(network, views=4)
    noisy = pictures(4)
    turned = answer(network, noisy.roll(1, 0)).roll(-1, 0)
    torch.testing.assert_close(turned, answer(network, noisy), atol=0.03, rtol=0.03)


def test_one_view_at_a_time_is_the_plain_network(network: UNet2DConditionModel) -> None:
    noisy = pictures(2)
    before = answer(network, noisy)
    show_together(network, views=2)
    assert not torch.equal(answer(network, noisy), before)
    show_together(network, views=1)
    assert torch.equal(answer(network, noisy), before)


def test_a_batch_that_cannot_be_shared_out_is_refused(network: UNet2DConditionModel) -> None:
    show_together(network, views=4)
    with pytest.raises(ValueError, match="3 samples"):
        answer(network, pictures(3))
