"""Texture lookup against grid_sample, and mip-mapping in closed form."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from maquette_backend.render.choose import choose_rasterizer
from maquette_backend.render.texturing import level_of_detail, mip_pyramid, sample_texture


def test_bilinear_equals_grid_sample_inside_and_repeats_outside() -> None:
    torch.manual_seed(0)
    tex = torch.rand(2, 6, 10, 3)
    uv = torch.rand(2, 5, 7, 2) * 0.8 + 0.1
    expected = functional.grid_sample(tex.permute(0, 3, 1, 2), uv * 2 - 1, align_corners=False).permute(0, 2, 3, 1)
    rasterizer = choose_rasterizer("cpu")
    assert torch.allclose(rasterizer.texture(tex, uv), expected, atol=1e-5)
    assert torch.allclose(rasterizer.texture(tex, uv + torch.tensor([2.0, -1.0])), expected, atol=1e-4)
    halfway = rasterizer.texture(tex[:1], torch.tensor([[[[0.0, 0.5 / 6]]]]))[0, 0, 0]
    assert torch.allclose(halfway, (tex[0, 0, 0] + tex[0, 0, 9]) / 2)


def test_gradients_in_texture_place_and_level() -> None:
    torch.manual_seed(1)
    tex = torch.rand(1, 4, 8, 2, dtype=torch.float64, requires_grad=True)
    uv = (torch.rand(1, 5, 2, dtype=torch.float64) * 0.7 + 0.131).requires_grad_()
    level = torch.tensor([[0.3, 0.7, 1.4, 1.8, 2.5]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(sample_texture, (tex, uv, level), eps=1e-7, atol=1e-5)


def test_pyramid_averages_and_stops() -> None:
    tex = torch.rand(1, 8, 4, 1)
    levels = mip_pyramid(tex)
    assert [tuple(level.shape[1:3]) for level in levels] == [(8, 4), (4, 2), (2, 1), (1, 1)]
    assert torch.allclose(levels[-1].flatten(), tex.mean().reshape(1))
    assert len(mip_pyramid(torch.rand(1, 12, 12, 1))) == 3  # 12, 6, 3


def test_a_checkerboard_is_itself_at_level_0_grey_at_level_1_and_between_between() -> None:
    board = (torch.arange(8)[:, None] + torch.arange(8)[None]).remainder(2).float().reshape(1, 8, 8, 1)
    centre = torch.tensor([[[1.5 / 8, 2.5 / 8]]])
    values = [float(sample_texture(board, centre, torch.tensor([[lod]]))) for lod in (0.0, 0.25, 1.0, 9.0)]
    assert torch.allclose(torch.tensor(values), torch.tensor([1.0, 0.875, 0.5, 0.5]), atol=1e-6)


def test_level_is_the_logarithm_of_the_longest_axis() -> None:
    turn = torch.tensor([[math.cos(0.4), -math.sin(0.4)], [math.sin(0.4), math.cos(0.4)]])
    stretch = turn @ torch.diag(torch.tensor([8.0, 2.0])) @ turn.T  # texels per pixel
    per_texel = torch.diag(torch.tensor([1 / 64, 1 / 32])) @ stretch
    assert abs(float(level_of_detail(per_texel.reshape(4), (32, 64))) - 3) < 1e-5
    assert float(level_of_detail(per_texel.reshape(4) * 1e-3, (32, 64))) == 0  # magnified
