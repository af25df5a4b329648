"""A tape that evaluates parts twice: the same gradients to the last bit, less kept, and no trace afterwards."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from maquette_backend.guidance.camera_guided import CameraGuided, CgLoraSettings
from maquette_backend.guidance.recomputed import parts_without_adapters, recomputed
from maquette_backend.guidance.sds import Sds
from tiny_prior import TinyPrior, randn, tiny_question
from torch import Tensor, nn

WIDTHS = (32, 64)


@pytest.fixture
def network() -> UNet2DConditionModel:
    """Stable Diffusion's kind of blocks."""
    torch.manual_seed(0)
    blocks = {"down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D")}
    made = UNet2DConditionModel(
        block_out_channels=WIDTHS, cross_attention_dim=16, attention_head_dim=8, norm_num_groups=8, layers_per_block=1, **blocks
    )
    return made.double().eval().requires_grad_(False)


def evaluated(network: nn.Module, way: AbstractContextManager[None]) -> tuple[Tensor, Tensor, int]:
    """The value, the gradient of the text, and the bytes that the tape keeps, weights apart."""
    text, noisy = randn(1, 7, 16, seed=1).requires_grad_(), randn(1, 4, 16, 16, seed=2)
    own = {parameter.data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    with way, torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        value = network(noisy, torch.tensor(500), text).sample
    (gradient,) = torch.autograd.grad(value.square().sum(), text)
    return value.detach(), gradient, sum(size for place, size in kept.items() if place not in own)


def test_value_and_gradient_are_the_same_and_less_than_half_is_kept(network: UNet2DConditionModel) -> None:
    plain_value, plain_gradient, plain_bytes = evaluated(network, nullcontext())
    value, gradient, kept = evaluated(network, recomputed(network))
    assert torch.equal(value, plain_value)
    assert torch.equal(gradient, plain_gradient)
    assert gradient.abs().max() > 0
    assert kept < plain_bytes / 2


@pytest.mark.parametrize(("has_tape", "times"), [(False, 1), (True, 2)])
def test_a_part_is_evaluated_twice_with_a_tape_and_once_without(
    network: UNet2DConditionModel, has_tape: bool, times: int
) -> None:
    calls: list[int] = []
    # of a convolution inside of the part after the attention: a second evaluation does not pass the part's own hooks
    network.up_blocks[1].resnets[0].conv1.register_forward_hook(lambda *_: calls.append(1))
    text = randn(1, 7, 16, seed=1).requires_grad_(has_tape)
    with torch.set_grad_enabled(has_tape), recomputed(network):
        value = network(randn(1, 4, 16, 16, seed=2), torch.tensor(500), text).sample
    assert calls == [1]
    if has_tape:
        value.sum().backward()
    assert len(calls) == times


def test_what_has_an_adapter_is_not_among_the_parts_and_all_is_put_back() -> None:
    prior = TinyPrior()
    before = [dict(module.__dict__) for module in prior.network.modules()]
    guided = CameraGuided(prior, Sds(), CgLoraSettings())
    names = {name for name, module in prior.network.named_modules() if module in parts_without_adapters(prior.network)}
    assert any(name.endswith("attn1") for name in names)
    assert not any(name.endswith("attn2") for name in names)
    guided.guide(tiny_question(prior))
    with pytest.raises(ZeroDivisionError), recomputed(prior.network):
        raise ZeroDivisionError
    guided.close()
    assert [dict(module.__dict__) for module in prior.network.modules()] == before
