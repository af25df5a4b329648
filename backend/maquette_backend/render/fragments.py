"""Covered pixels as a flat list, so that interpolation and shading touch nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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
        corners = gather_corners(attributes, self.vertices, self.views)
        return (corners * self.barycentrics[..., None]).sum(1)

    def scatter(self, values: Tensor) -> Tensor:
        """Values [P,C] → images [N,H,W,C], zero where nothing is covered."""
        n, h, w = self.size
        flat = values.new_zeros(n * h * w, values.shape[-1]).index_copy(0, self.pixels, values)
        return flat.reshape(n, h, w, -1)


def gather_corners(attributes: Tensor, vertices: Tensor, views: Tensor) -> Tensor:
    """Attributes [V,C] or [N,V,C] at vertices [P,3] of views [P] → [P,3,C]."""
    channels = attributes.shape[-1]
    if attributes.ndim == 3 and attributes.shape[0] > 1:
        vertices = vertices + (views * attributes.shape[1])[:, None]
    # index_select: its backward is an index_add, several times faster on a CPU than that of advanced indexing.
    return attributes.reshape(-1, channels).index_select(0, vertices.reshape(-1)).reshape(-1, 3, channels)


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


def edge_functions(corners: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Homogeneous edge functions [P,3] of clip-space corners [P,3,4] at NDC points: barycentrics times a common factor.

    The corners are moved so that the pixel is the origin before multiplying, which keeps 32-bit floats exact enough
    for pixel-sized triangles (Olano & Greer 1997, "Triangle scan conversion using 2D homogeneous coordinates").
    """
    px = corners[..., 0] - x[:, None] * corners[..., 3]
    py = corners[..., 1] - y[:, None] * corners[..., 3]
    nxt, prv = [1, 2, 0], [2, 0, 1]
    return px[:, nxt] * py[:, prv] - px[:, prv] * py[:, nxt]


def rast_from_ids(pos: Tensor, tri: Tensor, ids: Tensor, depth: Tensor) -> Tensor:
    """Visible triangle ids + 1 [N,H,W] and z/w [N,H,W] → rast [N,H,W,4] with differentiable u, v."""
    n, h, w = ids.shape
    pixels = ids.reshape(-1).nonzero()[:, 0]
    views = pixels // (h * w)
    vertices = tri.long().index_select(0, ids.reshape(-1).index_select(0, pixels).long() - 1)
    x, y = pixel_ndc(pixels, (n, h, w), pos.dtype)
    area = edge_functions(gather_corners(pos, vertices, views), x, y)
    uv = area[:, :2] / area.sum(-1, keepdim=True)
    uv_image = uv.new_zeros(n * h * w, 2).index_copy(0, pixels, uv).reshape(n, h, w, 2)
    return torch.cat([uv_image, depth.to(pos.dtype)[..., None], ids.to(pos.dtype)[..., None]], -1)


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
