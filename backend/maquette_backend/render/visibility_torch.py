"""Visibility in plain torch: runs on any device, and is the oracle of the compiled one."""

from __future__ import annotations

import torch
from torch import Tensor

DEPTH_STEPS = 1 << 30
"""As in the numba visibility."""

_CHUNK_PIXELS = 1 << 22
"""Candidate pixels handled at once: bounds memory at about 1 GB."""


def _pixel_corners(pos: Tensor, tri: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Homogeneous pixel coordinates x, y, w and near-plane distance of every corner, each [N·F,3] float64."""
    height, width = size
    p = pos.to(torch.float64)
    w = p[..., 3]
    x = (p[..., 0] + w) * (0.5 * width) - 0.5 * w
    y = (p[..., 1] + w) * (0.5 * height) - 0.5 * w
    corners = torch.stack([x, y, w, p[..., 2] + w], -1)[:, tri.long()]  # [N,F,3,4]
    x, y, w, d = corners.reshape(-1, 3, 4).unbind(-1)
    return x, y, w, d


def _boxes(x: Tensor, y: Tensor, w: Tensor, d: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """First and last pixel [T,2] (x, y) of each triangle's part in front of the near plane; first > last: none."""
    nxt = [1, 2, 0]
    crosses = (d < 0) != (d[:, nxt] < 0)
    t = torch.where(crosses, d / torch.where(crosses, d - d[:, nxt], 1.0), 0.0)
    hom = torch.stack([x, y, w], -1)  # [T,3,3]
    points = torch.cat([hom, hom + t[..., None] * (hom[:, nxt] - hom)], 1)
    used = torch.cat([d >= 0, crosses], 1)
    unbounded = (used & (points[..., 2] <= 0)).any(1)
    px = points[..., :2] / torch.where(points[..., 2:] > 0, points[..., 2:], 1.0)
    inf = float("inf")
    low = torch.where(used[..., None], px, inf).amin(1)
    high = torch.where(used[..., None], px, -inf).amax(1)
    low = torch.where(unbounded[:, None], -inf, low)
    high = torch.where(unbounded[:, None], inf, high)
    limit = torch.tensor([size[1] - 1.0, size[0] - 1.0], dtype=x.dtype, device=x.device)
    first = torch.ceil((low - 1e-6).clamp(min=0).minimum(limit + 2))
    last = torch.floor((high + 1e-6).minimum(limit).clamp(min=-1))
    return first.long(), last.long()


def _planes(x: Tensor, y: Tensor, w: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Edge functions and z/w as planes over pixels [T,4,3], and the determinant [T] they were divided by."""
    hom = torch.stack([x, y, w], -1)
    edge = torch.linalg.cross(hom[:, [1, 2, 0]], hom[:, [2, 0, 1]], dim=-1)
    det = (hom[:, 0] * edge[:, 0]).sum(-1)
    edge = edge / torch.where(det == 0, 1.0, det)[:, None, None]
    depth = (edge * (d - w)[..., None]).sum(1, keepdim=True)
    return torch.cat([edge, depth], 1), det


def visible(pos: Tensor, tri: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Nearest triangle of every pixel: see ``rasterizer.Visibility``.

    Every triangle is expanded to the pixels of its bounding box; the nearest is an integer minimum over
    ``depth << 32 | id``, which no order of execution can change. Of equally near triangles the first wins.
    """
    views, height, width = pos.shape[0], *size
    best = torch.full((views * height * width,), torch.iinfo(torch.int64).max, device=pos.device)
    depth = torch.zeros(views * height * width, dtype=torch.float32, device=pos.device)
    if tri.shape[0] == 0 or pos.shape[0] == 0:
        return _unpack(best, depth, (views, height, width))
    x, y, w, d = _pixel_corners(pos.detach(), tri, size)
    first, last = _boxes(x, y, w, d, size)
    planes, det = _planes(x, y, w, d)
    extent = (last - first + 1).clamp(min=0)
    area = extent.prod(1)
    usable = (det != 0) & torch.isfinite(det) & (area > 0) & (d >= 0).any(1)
    kept = usable.nonzero()[:, 0]
    ends = torch.cumsum(area[kept], 0)
    total = int(ends[-1]) if len(kept) else 0
    for begin in range(0, total, _CHUNK_PIXELS):
        index = torch.arange(begin, min(begin + _CHUNK_PIXELS, total), device=pos.device)
        which = torch.searchsorted(ends, index, right=True)
        k = kept[which]
        offset = index - (ends - area[kept])[which]
        px = first[k, 0] + offset % extent[k, 0]
        py = first[k, 1] + torch.div(offset, extent[k, 0], rounding_mode="floor")
        _splat(best, planes, k, px, py, tri.shape[0], size)
    flat_id = (best & 0xFFFFFFFF).clamp(max=max(0, tri.shape[0] - 1))
    return _unpack(best, _depth_at(planes, flat_id, best, (views, height, width), tri.shape[0]), (views, height, width))


def _evaluate(plane: Tensor, px: Tensor, py: Tensor) -> Tensor:
    return plane[:, 0] * px + plane[:, 1] * py + plane[:, 2]


def _splat(best: Tensor, planes: Tensor, k: Tensor, px: Tensor, py: Tensor, count: int, size: tuple[int, int]) -> None:
    """Enters candidate pixels (px, py) of triangles k (view · count + id) into ``best``, in place."""
    e0, e1, e2 = (_evaluate(planes[k, c], px, py) for c in range(3))
    z = _evaluate(planes[k, 3], px, py)
    inside = (e0 >= 0) & (e1 >= 0) & (e2 >= 0) & (e0 + e1 + e2 > 0) & (z >= -1) & (z <= 1)
    k, px, py, z = k[inside], px[inside], py[inside], z[inside]
    view = torch.div(k, count, rounding_mode="floor")
    key = (((z + 1) * (0.5 * DEPTH_STEPS)).long() << 32) | (k - view * count)
    best.scatter_reduce_(0, (view * size[0] + py) * size[1] + px, key, "amin")


def _depth_at(planes: Tensor, flat_id: Tensor, best: Tensor, shape: tuple[int, int, int], count: int) -> Tensor:
    """z/w [N·H·W] of the winners, 0 where empty."""
    _, height, width = shape
    pixel = torch.arange(best.shape[0], device=best.device)
    view = torch.div(pixel, height * width, rounding_mode="floor")
    z = _evaluate(
        planes[view * count + flat_id, 3], pixel % width, torch.div(pixel, width, rounding_mode="floor") % height
    )
    return torch.where(best == torch.iinfo(torch.int64).max, 0.0, z).to(torch.float32)


def _unpack(best: Tensor, depth: Tensor, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    empty = best == torch.iinfo(torch.int64).max
    ids = torch.where(empty, 0, (best & 0xFFFFFFFF) + 1)
    return ids.to(torch.int32).reshape(shape), depth.reshape(shape)
