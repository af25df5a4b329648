"""Antialiasing driven by silhouette edges: what gives a rendered image its gradient of visibility.

nvdiffrast (Laine et al. 2020, section 3.5) starts from neighbouring pixels and looks for the silhouette among the
edges of the triangles they show; once triangles are pixel-sized the edge belongs to neither and the gradient is lost.
Here every silhouette edge looks for the pixel pairs it separates instead: it crosses pixel rows and columns, and each
crossing is blended with the squared cosine between the axis and the edge's normal. Rows and columns then add up to
one whole boundary at any slope, also where the outline of pixel-sized triangles zigzags.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from maquette_backend.render.edges import Topology

_WEIGHT_STEPS = 1 << 30

_SAME_SURFACE_PX = 4.0
"""A silhouette hides another only if it is nearer by this many pixel widths at its depth: one outline of pixel-sized
triangles zigzags, and its pieces must not hide those beside them."""


@dataclass(frozen=True)
class _Segments:
    """Silhouette edges of all views, S of them, cut at the near plane. Screen units are pixels."""

    views: Tensor  # [S]
    ends: Tensor  # [S,2] vertex ids
    side: Tensor  # [S] ±1: the surface lies left (+) or right (−) of first → second
    start: Tensor  # [S,4] x, y, z/w, 1/w
    stop: Tensor  # [S,4]


@dataclass(frozen=True)
class _Samples:
    """Places where a silhouette passes between two neighbouring pixel centres."""

    segment: Tensor  # [K]
    inside: Tensor  # [K] flat pixel index on the surface's side
    outside: Tensor  # [K]
    direction: Tensor  # [K] ±1: the inside lies towards +axis or −axis
    depth: Tensor  # [K] z/w of the edge there
    nearness: Tensor  # [K] 1/w of the edge there
    weight: Tensor  # [K] squared cosine between the axis and the edge's normal


def antialias(color: Tensor, rast: Tensor, pos: Tensor, tri: Tensor, topology: Topology) -> Tensor:
    """color [N,H,W,C], rast [N,H,W,4], pos [N,V,4] clip space, tri [F,3] → color [N,H,W,C] with blended silhouettes.

    Differentiable in ``color`` and, through where the edges lie, in ``pos``. A pixel whose centre is less than half a
    pixel from a silhouette receives the share of the surface on its other side. Colours change fast where a surface
    turns away, so a moving edge is taken to uncover the colour at the edge, not that half a pixel inside.
    """
    n, h, w, channels = color.shape
    with torch.no_grad():
        segments = _silhouettes(pos, tri, topology, (h, w))
        depth = torch.where(rast[..., 3] > 0, rast[..., 2], torch.inf).reshape(-1)
        samples = [_chosen(_crossings(segments, axis, (n, h, w)), depth, max(h, w)) for axis in (0, 1)]
    flat = color.reshape(-1, channels)
    targets, shares, beyond = [], [], []
    for axis, found in enumerate(samples):
        offset = _edge_offset(pos, segments, found, axis, (h, w))
        share = -offset * found.direction - 0.5  # of the outside pixel if positive, else of the inside one
        with torch.no_grad():
            beyond.append(_color_towards_edge(flat, found, axis, share + 0.5, depth, (h, w)))
        targets.append(torch.where(share > 0, found.outside, found.inside))
        shares.append(share * found.weight)
    inside, outside = torch.cat([f.inside for f in samples]), torch.cat([f.outside for f in samples])
    blended = _Blend.apply(flat, torch.cat(shares), torch.cat(beyond), torch.cat(targets), inside, outside)
    return blended.reshape(color.shape)  # pyright: ignore[reportAttributeAccessIssue,reportOptionalMemberAccess]


class _Blend(torch.autograd.Function):
    """Adds ``share · (inside − outside)`` [K,C] to pixels ``target`` of ``flat`` [P,C].

    The derivative by ``share`` sees ``beyond`` [K,C] on top of the inside colour. By hand, since each gather's own
    derivative would be an image.
    """

    @staticmethod
    def forward(
        ctx: Any, flat: Tensor, share: Tensor, beyond: Tensor, target: Tensor, inside: Tensor, outside: Tensor
    ) -> Tensor:
        difference = flat.index_select(0, inside) - flat.index_select(0, outside)
        ctx.save_for_backward(share, difference + beyond, target, inside, outside)
        return flat.index_add(0, target, share[:, None] * difference)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - the decorator drops its signature
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, Tensor, None, None, None, None]:
        share, uncovered, target, inside, outside = ctx.saved_tensors
        to_target = gradients[0].index_select(0, target)
        to_share = (to_target * uncovered).sum(1)
        if not ctx.needs_input_grad[0]:
            return None, to_share, None, None, None, None
        to_color = share[:, None] * to_target
        to_flat = gradients[0].index_add(0, torch.cat([inside, outside]), torch.cat([to_color, -to_color]))
        return to_flat, to_share, None, None, None, None


def _color_towards_edge(
    flat: Tensor, found: _Samples, axis: int, reach: Tensor, depth: Tensor, size: tuple[int, int]
) -> Tensor:
    """Colour at the edge minus that at the inside pixel's centre [K,C], ``reach`` [K] pixels away.

    Extrapolated linearly from that pixel and the next one inwards; zero where the next is empty, outside the image or
    beyond the surface's other end.
    """
    h, w = size
    place, count, stride = (found.inside % w, w, 1) if axis == 0 else (found.inside % (h * w) // w, h, w)
    inwards = place + found.direction
    exists = (inwards >= 0) & (inwards < count)
    following = torch.where(exists, found.inside + found.direction * stride, found.inside)
    other_side = torch.isin(2 * found.inside + (found.direction < 0), 2 * found.inside + (found.direction > 0))
    same_surface = exists & torch.isfinite(depth[following]) & ~other_side
    slope = flat.index_select(0, found.inside) - flat.index_select(0, following)
    return torch.where(same_surface[:, None], slope * reach.clamp(0, 1)[:, None], 0.0)


def _facing(pos: Tensor, tri: Tensor) -> Tensor:
    """[N,F] int8: +1 counter-clockwise on screen, −1 clockwise, 0 edge-on. Holds behind the eye too, as no w divides."""
    n, count = pos.shape[0], tri.shape[0]
    corners = pos[..., [0, 1, 3]].index_select(1, tri.long().reshape(-1)).reshape(n, count, 3, 3)
    a = corners[:, :, 0]
    ab, ac = corners[:, :, 1] - a, corners[:, :, 2] - a
    return (a * torch.linalg.cross(ab, ac)).sum(-1).sign().to(torch.int8)


def _silhouettes(pos: Tensor, tri: Tensor, topology: Topology, size: tuple[int, int]) -> _Segments:
    """Edges whose triangles all lie on one side on screen, borders among them."""
    facing = _facing(pos, tri)
    beside = facing.index_select(1, topology.triangles.reshape(-1)).reshape(pos.shape[0], -1, 2)
    side = (beside * topology.sides).sum(-1, dtype=torch.int8).sign()
    views, edge = side.nonzero(as_tuple=True)
    ends = topology.edges[edge]
    a, b = _cut_at_near(pos[views, ends[:, 0]], pos[views, ends[:, 1]])
    ahead = (a[:, 3] > 0) & (b[:, 3] > 0)
    views, ends, side = views[ahead], ends[ahead], side[views, edge][ahead]
    return _Segments(views, ends, side, _to_screen(a[ahead], size), _to_screen(b[ahead], size))


def _cut_at_near(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Clip-space segments [S,4] without the part behind the near plane; wholly behind: w becomes 0."""
    da, db = a[:, 2] + a[:, 3], b[:, 2] + b[:, 3]
    if not bool(((da < 0) | (db < 0)).any()):
        return a, b
    t = (da / torch.where(da == db, 1.0, da - db))[:, None]
    crossing = a + t * (b - a)
    hidden = ((da < 0) & (db < 0))[:, None]
    cut_a = torch.where((da < 0)[:, None], crossing, a)
    cut_b = torch.where((db < 0)[:, None], crossing, b)
    return torch.where(hidden, 0.0, cut_a), torch.where(hidden, 0.0, cut_b)


def _to_screen(p: Tensor, size: tuple[int, int]) -> Tensor:
    """Clip [S,4] → pixel x, y (centres at whole numbers), z/w and 1/w, all linear on screen, [S,4]."""
    h, w = size
    inverse = 1 / p[:, 3]
    x, y, z = (p[:, :3] * inverse[:, None]).unbind(1)
    return torch.stack([(x + 1) * (w / 2) - 0.5, (y + 1) * (h / 2) - 0.5, z, inverse], 1)


def _crossings(segments: _Segments, axis: int, shape: tuple[int, int, int]) -> _Samples:
    """All crossings of segments with pixel rows (axis 0: the pair is along x) or columns (axis 1: along y)."""
    _, h, w = shape
    lines, reach = (h, w) if axis == 0 else (w, h)
    along_a, along_b = segments.start[:, 1 - axis], segments.stop[:, 1 - axis]
    first = torch.ceil(torch.minimum(along_a, along_b).clamp(-1, lines)).clamp(min=0).long()
    last = (torch.ceil(torch.maximum(along_a, along_b).clamp(-1, lines)) - 1).long()  # lines r with low <= r < high
    count = (last - first + 1).clamp(min=0)
    segment = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
    line = torch.arange(len(segment), device=count.device) + (first - (torch.cumsum(count, 0) - count))[segment]
    start, stop, along = segments.start[segment], segments.stop[segment], along_a[segment]
    t = (line - along) / (along_b[segment] - along)
    across = start[:, axis] + t * (stop[:, axis] - start[:, axis])
    delta = stop - start
    turn = -delta[:, 1] if axis == 0 else delta[:, 0]  # the left normal's component along the axis
    direction = torch.where(turn * segments.side[segment] > 0, 1, -1)
    low = torch.floor(across.clamp(-2, reach + 1)).long()
    flat, step = _flat_index(segments.views[segment], line, low, axis, shape)
    upper = direction > 0
    depth, nearness = (start[:, 2:] + t[:, None] * delta[:, 2:]).unbind(1)
    square = delta[:, :2].square()
    found = _Samples(
        segment=segment,
        inside=torch.where(upper, flat + step, flat),
        outside=torch.where(upper, flat, flat + step),
        direction=direction,
        depth=depth,
        nearness=nearness,
        weight=square[:, 1 - axis] / square.sum(1).clamp(min=1e-30),
    )
    return _select(found, (low >= 0) & (low + 1 < reach))


def _flat_index(views: Tensor, line: Tensor, low: Tensor, axis: int, shape: tuple[int, int, int]) -> tuple[Tensor, int]:
    """Flat index of the lower pixel of each pair, and the distance to the upper one."""
    _, h, w = shape
    return ((views * h + line) * w + low, 1) if axis == 0 else ((views * h + low) * w + line, w)


def _select(samples: _Samples, keep: Tensor) -> _Samples:
    index = keep.nonzero()[:, 0]
    return _Samples(*(getattr(samples, name)[index] for name in _Samples.__dataclass_fields__))


def _chosen(samples: _Samples, depth: Tensor, side_px: int) -> _Samples:
    """The samples to blend, at most one a pixel pair: in front of the outside pixel and not hidden.

    A silhouette hidden just behind another's outline has an outside pixel that shows what is behind both. But then
    the outline in front crosses the same pair, since the pair's pixels show different surfaces: the nearest wins.
    Of the pieces of one outline, the steepest is the best witness of where it runs.
    """
    visible = (depth[samples.outside] > samples.depth) & torch.isfinite(depth[samples.inside])
    samples = _select(samples, visible)
    pairs, slot = torch.unique(torch.minimum(samples.inside, samples.outside), return_inverse=True)
    front = torch.zeros(len(pairs), device=depth.device).scatter_reduce_(0, slot, samples.nearness, "amax")
    # pixel width at distance w is 2·w/(H·focal), with a focal length of about 2
    near = samples.nearness * (1 + _SAME_SURFACE_PX / side_px) >= front[slot]
    samples, slot = _select(samples, near), slot[near]
    order = torch.arange(len(slot), device=slot.device)
    key = (((1 - samples.weight.double()) * _WEIGHT_STEPS).long() << 32) | order  # no order of execution changes it
    best = torch.full(pairs.shape, torch.iinfo(torch.int64).max, device=depth.device)
    best.scatter_reduce_(0, slot, key, "amin")
    return _select(samples, best[slot] == key)


def _edge_offset(pos: Tensor, segments: _Segments, found: _Samples, axis: int, size: tuple[int, int]) -> Tensor:
    """Signed distance [K] in pixels along the axis from the inside pixel's centre to the edge; differentiable.

    The line through both ends is their homogeneous cross product, so ends behind the eye are no special case; taking
    the pixel as origin first keeps it exact in 32 bits.
    """
    h, w = size
    inside = found.inside % (h * w)
    x = ((inside % w) + 0.5) * (2.0 / w) - 1
    y = (torch.div(inside, w, rounding_mode="floor") + 0.5) * (2.0 / h) - 1
    row = segments.views[found.segment] * pos.shape[1]
    flat = pos.reshape(-1, 4)

    def relative(end: int) -> tuple[Tensor, Tensor, Tensor]:
        p = flat.index_select(0, row + segments.ends[found.segment, end])
        return (p[:, 0] - x * p[:, 3]) * (w / 2), (p[:, 1] - y * p[:, 3]) * (h / 2), p[:, 3]

    ax, ay, aw = relative(0)
    bx, by, bw = relative(1)
    cross = ax * by - ay * bx
    return cross / (aw * by - ay * bw) if axis == 0 else cross / (ax * bw - aw * bx)
