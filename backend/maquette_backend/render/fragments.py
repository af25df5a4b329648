"""Covered pixels as a flat list, so that interpolation and shading touch nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class Fragments:
    """The covered pixels of N images of H×W, in scan order. P is their number."""

    size: tuple[int, int, int]
    """(N, H, W)"""
    pixels: Tensor
    """[P] int64 index into N·H·W."""
    views: Tensor
    """[P] int64"""
    triangles: Tensor
    """[P] int64"""
    vertices: Tensor
    """[P,3] int64"""
    barycentrics: Tensor
    """[P,3] perspective-correct, summing to 1; carries the gradient."""

    def interpolate(self, attributes: Tensor) -> Tensor:
        """Vertex attributes [V,C], or [N,V,C] one set a view → [P,C]."""
        rows = _rows(attributes, self.vertices, self.views)
        flat = attributes.reshape(-1, attributes.shape[-1])
        return _Interpolation.apply(flat, rows, self.barycentrics)  # pyright: ignore[reportReturnType]

    def scatter(self, values: Tensor) -> Tensor:
        """Values [P,C] → images [N,H,W,C], zero where nothing is covered."""
        n, h, w = self.size
        flat = values.new_zeros(n * h * w, values.shape[-1]).index_copy(0, self.pixels, values)
        return flat.reshape(n, h, w, -1)


def gather_corners(attributes: Tensor, vertices: Tensor, views: Tensor) -> Tensor:
    """Attributes [V,C] or [N,V,C] at vertices [P,3] of views [P] → [P,3,C]."""
    rows, channels = _rows(attributes, vertices, views), attributes.shape[-1]
    # index_select: its backward is an index_add, several times faster on a CPU than that of advanced indexing.
    return attributes.reshape(-1, channels).index_select(0, rows.T.reshape(-1)).reshape(-1, 3, channels)


def _rows(attributes: Tensor, vertices: Tensor, views: Tensor) -> Tensor:
    """Where the three corners of each fragment lie in attributes [V,C] or [N,V,C], flattened to rows: [3,P]."""
    if attributes.ndim == 3 and attributes.shape[0] > 1:
        vertices = vertices + (views * attributes.shape[1])[:, None]
    return vertices.T.contiguous()


class _Interpolation(torch.autograd.Function):
    """Attributes [R,C] at rows [3,P] weighed by barycentrics [P,3] → [P,C], a corner at a time: [P,3,C] is never made."""

    @staticmethod
    def forward(ctx: Any, attributes: Tensor, rows: Tensor, barycentrics: Tensor) -> Tensor:
        ctx.save_for_backward(attributes, rows, barycentrics)
        total = attributes.index_select(0, rows[0]) * barycentrics[:, 0, None]
        for corner in (1, 2):
            total.addcmul_(attributes.index_select(0, rows[corner]), barycentrics[:, corner, None])
        return total

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - the decorator drops its signature
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, None, Tensor | None]:
        attributes, rows, barycentrics = ctx.saved_tensors
        (to_value,) = gradients
        to_attributes, to_barycentrics = None, None
        if ctx.needs_input_grad[0]:
            to_attributes = torch.zeros_like(attributes)
            for row, share in zip(rows, barycentrics.unbind(1), strict=True):
                to_attributes.index_add_(0, row, share[:, None] * to_value)
        if ctx.needs_input_grad[2]:
            to_barycentrics = torch.stack([(attributes.index_select(0, row) * to_value).sum(1) for row in rows], 1)
        return to_attributes, None, to_barycentrics


def fragments_of(rast: Tensor, tri: Tensor) -> Fragments:
    """The covered pixels of ``rast`` [N,H,W,4] over triangles ``tri`` [F,3]; u and v keep their gradient."""
    n, h, w, _ = rast.shape
    flat = rast.reshape(-1, 4)
    pixels = flat.detach()[:, 3].nonzero()[:, 0]
    covered = flat.index_select(0, pixels)
    triangles = covered.detach()[:, 3].long() - 1
    u, v = covered[:, 0], covered[:, 1]
    return Fragments(
        size=(n, h, w),
        pixels=pixels,
        views=pixels // (h * w),
        triangles=triangles,
        vertices=tri.long().index_select(0, triangles),
        barycentrics=torch.stack([u, v, 1 - u - v], 1),
    )


def pixel_ndc(pixels: Tensor, size: tuple[int, int, int], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """NDC x and y [P] of pixel centres: ``(x + .5)·2/W − 1``, row 0 at the bottom."""
    _, h, w = size
    within = pixels % (h * w)
    x = (within % w).to(dtype)
    y = (within // w).to(dtype)
    return (x + 0.5) * (2.0 / w) - 1, (y + 0.5) * (2.0 / h) - 1


def rast_from_ids(pos: Tensor, tri: Tensor, ids: Tensor, depth: Tensor) -> Tensor:
    """Visible triangle ids + 1 [N,H,W] and z/w [N,H,W] → rast [N,H,W,4] with differentiable u, v."""
    return _Rast.apply(pos, tri, ids, depth)  # pyright: ignore[reportReturnType]


class _Rast(torch.autograd.Function):
    """u and v of all covered pixels, with their derivative by hand: autograd's is several times slower on a CPU.

    The edge functions are homogeneous (Olano & Greer 1997, "Triangle scan conversion using 2D homogeneous
    coordinates"). Corners are moved so that the pixel is the origin, which keeps 32-bit floats exact enough for
    pixel-sized triangles. The barycentrics b solve Σ b_i p_i = 0 and Σ b_i = 1, where p_i = (x_i − X·w_i,
    y_i − Y·w_i). So M db = −(Σ b_i dp_i, 0) with rows x, y and 1 in M; the backward pass solves its transpose.
    """

    @staticmethod
    def forward(ctx: Any, pos: Tensor, tri: Tensor, ids: Tensor, depth: Tensor) -> Tensor:
        n, h, w = ids.shape
        pixels = ids.reshape(-1).nonzero()[:, 0]
        views = pixels // (h * w)
        vertices = tri.long().index_select(0, ids.reshape(-1).index_select(0, pixels).long() - 1)
        rows = (vertices + (views * pos.shape[1])[:, None]).T.contiguous()  # [3,P]
        centre = torch.stack(pixel_ndc(pixels, (n, h, w), pos.dtype))
        corners = pos.reshape(-1, 4).index_select(0, rows.reshape(-1)).reshape(3, -1, 4)
        px = corners[..., 0] - centre[0] * corners[..., 3]
        py = corners[..., 1] - centre[1] * corners[..., 3]
        edge = torch.stack([px[i - 2] * py[i - 1] - px[i - 1] * py[i - 2] for i in range(3)])
        total = edge.sum(0)
        barycentrics = edge / total
        ctx.save_for_backward(pixels, rows, centre, px, py, total, barycentrics)
        ctx.shape = pos.shape
        rast = pos.new_zeros(n * h * w, 4)
        rast[:, 2], rast[:, 3] = depth.reshape(-1), ids.reshape(-1)
        rast.index_copy_(0, pixels, torch.cat([barycentrics[:2].T, rast[:, 2:].index_select(0, pixels)], 1))
        return rast.reshape(n, h, w, 4)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - the decorator drops its signature
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor, None, None, None]:
        pixels, rows, centre, px, py, total, barycentrics = ctx.saved_tensors
        to_u, to_v = gradients[0].reshape(-1, 4).index_select(0, pixels)[:, :2].div(total[:, None]).unbind(1)
        along_x = to_u * (py[1] - py[2]) + to_v * (py[2] - py[0])
        along_y = to_u * (px[2] - px[1]) + to_v * (px[0] - px[2])
        point = torch.stack([-along_x, -along_y, torch.zeros_like(total), centre[0] * along_x + centre[1] * along_y], 1)
        to_pos = point.new_zeros(ctx.shape[0] * ctx.shape[1], 4)
        for row, share in zip(rows, barycentrics, strict=True):
            to_pos.index_add_(0, row, share[:, None] * point)
        return to_pos.reshape(ctx.shape), None, None, None


def barycentric_derivatives(corners: Tensor, pixels: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Change of perspective-correct barycentrics per pixel to the right and up, [P,3,2], for clip corners [P,3,4]."""
    _, h, w = size
    x, y = pixel_ndc(pixels, size, corners.dtype)
    px = corners[..., 0] - x[:, None] * corners[..., 3]
    py = corners[..., 1] - y[:, None] * corners[..., 3]
    cw = corners[..., 3]
    nxt, prv = [1, 2, 0], [2, 0, 1]
    edge = px[:, nxt] * py[:, prv] - px[:, prv] * py[:, nxt]
    along_x = (cw[:, prv] * py[:, nxt] - cw[:, nxt] * py[:, prv]) * (2.0 / w)
    along_y = (cw[:, nxt] * px[:, prv] - cw[:, prv] * px[:, nxt]) * (2.0 / h)
    slope = torch.stack([along_x, along_y], -1)
    total = edge.sum(-1)[:, None, None]
    return (slope - (edge[..., None] / total) * slope.sum(1, keepdim=True)) / total
