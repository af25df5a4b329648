"""How visible UV seams are: colour steps across them, measured against colour steps inside islands.

On both sides of an edge of the mesh the texture is read a texel away from it. Across an edge inside an island that is
the texture's own change over two texels; across a seam, on an equally smooth surface, it should be no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SeamReport:
    """Mean absolute steps over two texels, in the texture's units."""

    across: float
    inside: float

    @property
    def ratio(self) -> float:
        """1: seams cannot be told from the rest."""
        return self.across / max(self.inside, 1e-9)


@dataclass(frozen=True)
class SharedEdges:
    """Edges with a triangle on either side: the UVs of both ends, and towards the inside, for both sides."""

    ends: NDArray[np.float64]
    """[E,2,2,2]: side, end, uv; both sides name the ends in the same order"""
    inwards: NDArray[np.float64]
    """[E,2,2]: unit direction in UV space, across the edge, into that side's triangle"""
    seam: NDArray[np.bool_]
    """[E]: the two sides lie in different places of the texture"""


def shared_edges(triangles: NDArray[np.integer], corner_uvs: NDArray[np.floating]) -> SharedEdges:
    """The edges of ``triangles`` [F,3] that exactly two of them share, with their UVs ``corner_uvs`` [F,3,2]."""
    faces = np.arange(len(triangles)).repeat(3)
    first, second = np.tile([0, 1, 2], len(triangles)), np.tile([1, 2, 0], len(triangles))
    low = np.minimum(triangles[faces, first], triangles[faces, second]).astype(np.int64)
    high = np.maximum(triangles[faces, first], triangles[faces, second]).astype(np.int64)
    turned = triangles[faces, first] > triangles[faces, second]
    _, edge, count = np.unique(low * (int(triangles.max()) + 1) + high, return_inverse=True, return_counts=True)
    order = np.argsort(edge, kind="stable")
    pairs = order[np.isin(edge[order], np.flatnonzero(count == 2))].reshape(-1, 2)
    begin, end = np.where(turned, second, first), np.where(turned, first, second)
    uvs = np.stack([corner_uvs[faces, begin], corner_uvs[faces, end]], 1).astype(np.float64)
    opposite = corner_uvs[faces, 3 - first - second].astype(np.float64)
    along = uvs[:, 1] - uvs[:, 0]
    across = np.stack([-along[:, 1], along[:, 0]], -1)
    across *= np.sign(((opposite - uvs[:, 0]) * across).sum(-1, keepdims=True))
    across /= np.linalg.norm(across, axis=-1, keepdims=True).clip(1e-12)
    apart = np.abs(uvs[pairs[:, 0]] - uvs[pairs[:, 1]]).max((1, 2)) > 1e-6
    return SharedEdges(uvs[pairs], across[pairs], apart)


def seam_report(
    texture: NDArray[np.uint8], edges: SharedEdges, mip: int = 0, samples: int = 5, texels: float = 1.0
) -> SeamReport:
    """Steps of ``texture`` [H,W,C] (row 0 at v = 0) at mip level ``mip``, at ``samples`` places along each edge, between
    points ``texels`` of that level away on both sides. Raises ``ValueError`` when there are no seams, or only seams.
    """
    if not edges.seam.any() or edges.seam.all():
        raise ValueError("a step across seams needs seams and edges inside islands to compare")
    image = mip_of(texture, mip)
    share = ((np.arange(samples) + 0.5) / samples)[:, None]
    on_edge = edges.ends[:, :, None, 0] * (1 - share) + edges.ends[:, :, None, 1] * share  # [E,2,samples,2]
    texel = 1 / np.array([image.shape[1], image.shape[0]])
    places = on_edge + edges.inwards[:, :, None] * (texels * texel)
    colors = _bilinear(image, places.reshape(-1, 2)).reshape(*places.shape[:3], -1)
    step = np.abs(colors[:, 0] - colors[:, 1]).mean((1, 2))
    return SeamReport(float(step[edges.seam].mean()), float(step[~edges.seam].mean()))


def mip_of(texture: NDArray[np.uint8], level: int) -> NDArray[np.float64]:
    """[H,W,C] halved ``level`` times by means of four, as long as both sides are even."""
    image = texture.astype(np.float64)
    image = image[..., None] if image.ndim == 2 else image
    for _ in range(level):
        if image.shape[0] % 2 or image.shape[1] % 2:
            return image
        image = image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2, -1).mean((1, 3))
    return image


def _bilinear(image: NDArray[np.float64], uv: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values [P,C] of ``image`` at uv [P,2]; the border goes on."""
    height, width = image.shape[:2]
    x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
    left, low = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - left)[:, None], (y - low)[:, None]
    columns, rows = (np.clip(left + k, 0, width - 1) for k in (0, 1)), [np.clip(low + k, 0, height - 1) for k in (0, 1)]
    one, two = columns
    bottom = image[rows[0], one] * (1 - fx) + image[rows[0], two] * fx
    top = image[rows[1], one] * (1 - fx) + image[rows[1], two] * fx
    return bottom * (1 - fy) + top * fy
