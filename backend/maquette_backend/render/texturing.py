"""Texture lookup: bilinear, and trilinear over a mip pyramid (Williams 1983, "Pyramidal parametrics")."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor


def level_of_detail(uv_da: Tensor, texture_size: tuple[int, int]) -> Tensor:
    """Mip level [...] at which a pixel's footprint is one texel long along its major axis, at least 0.

    ``uv_da`` [...,4] is du/dx, du/dy, dv/dx, dv/dy per pixel; ``texture_size`` (Ht, Wt) texels. The major axis is
    the larger singular value of the 2×2 derivative.
    """
    height, width = texture_size
    dudx, dudy, dvdx, dvdy = uv_da.unbind(-1)
    a, b = (dudx * width) ** 2 + (dvdx * height) ** 2, (dudy * width) ** 2 + (dvdy * height) ** 2
    c = dudx * dudy * width**2 + dvdx * dvdy * height**2
    longest_squared = 0.5 * (a + b + torch.sqrt((a - b) ** 2 + 4 * c**2 + 1e-24))
    return 0.5 * torch.log2(longest_squared.clamp(min=1.0))


def mip_pyramid(tex: Tensor) -> list[Tensor]:
    """``tex`` [N,H,W,C] and its halvings by box filter, down to one texel or the first odd side."""
    levels = [tex]
    while True:
        h, w = levels[-1].shape[1:3]
        if (h == 1 and w == 1) or (h > 1 and h % 2) or (w > 1 and w % 2):
            return levels
        kernel = (2 if h > 1 else 1, 2 if w > 1 else 1)
        levels.append(functional.avg_pool2d(levels[-1].permute(0, 3, 1, 2), kernel).permute(0, 2, 3, 1))


def sample_texture(tex: Tensor, uv: Tensor, level: Tensor | None = None) -> Tensor:
    """tex [1|N,Ht,Wt,C], uv [N,...,2] → [N,...,C]; differentiable in tex, uv and level.

    Texel (row, column) has its centre at uv ((column + .5)/Wt, (row + .5)/Ht); coordinates repeat outside 0..1.
    ``level`` [N,...] is a mip level, clamped to those there are; None reads the full size only.
    """
    levels = [tex] if level is None else mip_pyramid(tex)
    n, channels = tex.shape[0], tex.shape[3]
    flat = torch.cat([lev.reshape(n, -1, channels) for lev in levels], 1)  # [n, texels of all levels, C]
    per_image = flat.shape[1]
    points = uv.reshape(uv.shape[0], -1, 2)
    image = torch.zeros(points.shape[0], dtype=torch.int64, device=uv.device)
    if n > 1:
        image = torch.arange(points.shape[0], device=uv.device)
    start = (image * per_image)[:, None]
    flat = flat.reshape(-1, channels)
    if level is None:
        value = _bilinear(
            flat, start, points, _sizes(levels, uv.device), torch.zeros_like(points[..., 0], dtype=torch.int64)
        )
        return value.reshape(*uv.shape[:-1], channels)
    lod = level.reshape(level.shape[0], -1).clamp(0, len(levels) - 1)
    low = lod.detach().floor().long().clamp(max=max(0, len(levels) - 2))
    blend = (lod - low)[..., None]
    sizes = _sizes(levels, uv.device)
    fine = _bilinear(flat, start, points, sizes, low)
    rough = _bilinear(flat, start, points, sizes, (low + 1).clamp(max=len(levels) - 1))
    return (fine + blend * (rough - fine)).reshape(*uv.shape[:-1], channels)


def _sizes(levels: list[Tensor], device: torch.device) -> Tensor:
    """[L,3]: height, width and first texel of every level."""
    rows, offset = [], 0
    for lev in levels:
        rows.append((lev.shape[1], lev.shape[2], offset))
        offset += lev.shape[1] * lev.shape[2]
    return torch.tensor(rows, dtype=torch.int64, device=device)


def _bilinear(flat: Tensor, start: Tensor, uv: Tensor, sizes: Tensor, level: Tensor) -> Tensor:
    """Bilinear lookup of uv [N,P,2] in level [N,P] of texels [.., C] → [N,P,C]."""
    height, width, offset = sizes[level].unbind(-1)
    x, y = uv[..., 0] * width - 0.5, uv[..., 1] * height - 0.5
    x0, y0 = x.detach().floor(), y.detach().floor()
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    column, row = x0.long(), y0.long()
    base = start + offset

    def texel(dx: int, dy: int) -> Tensor:
        index = base + torch.remainder(row + dy, height) * width + torch.remainder(column + dx, width)
        return flat.index_select(0, index.reshape(-1)).reshape(*index.shape, -1)

    bottom = texel(0, 0) * (1 - fx) + texel(1, 0) * fx
    top = texel(0, 1) * (1 - fx) + texel(1, 1) * fx
    return bottom * (1 - fy) + top * fy
