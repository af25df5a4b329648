"""How visible UV seams are: colour steps across them, measured against colour steps beside them.

Four points lie on a line across an edge of the mesh, at equal distances on the surface: two on either side. The step between
the middle two crosses the edge, the other two stay inside their islands. So a seam is compared with what the texture does right
there, in the same direction and over the same distance: a picture that does not know of the seam reads 1, whatever it shows and
however dense either island's texels are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from maquette_backend.appearance.leans import Leans
from maquette_backend.appearance.uv_raster import coverage

_PLACES = np.array([1.0, 3.0])
"""Of the points on one side, in units of half a step from the edge."""


@dataclass(frozen=True)
class SeamReport:
    """Mean absolute steps over equal distances, in the texture's units; every length of seam counts alike."""

    across: float
    inside: float
    measured: float
    """Share of the seams' length beside which there is room for all four points."""

    @property
    def ratio(self) -> float:
        """1: seams cannot be told from the rest."""
        return self.across / max(self.inside, 1e-9)


@dataclass(frozen=True)
class SharedEdges:
    """Edges with a triangle on either side: the UVs of both ends, and the way to the inside, for both sides."""

    ends: NDArray[np.float64]
    """[E,2,2,2]: side, end, uv; both sides name the ends in the same order"""
    inwards: NDArray[np.float64]
    """[E,2,2]: change of UV on the way into that side's triangle, at right angles to the edge on the surface, by unit of length"""
    length: NDArray[np.float64]
    """[E] on the surface"""
    turn_deg: NDArray[np.float64]
    """[E]: angle between the two triangles' normals; 0 where the surface is flat"""
    seam: NDArray[np.bool_]
    """[E]: the two sides lie in different places of the texture"""
    island: NDArray[np.int32]
    """[F] of each triangle"""
    sides: NDArray[np.int64]
    """[E,2]: the two triangles"""
    corner_uvs: NDArray[np.floating]
    """[F,3,2]"""


def shared_edges(
    positions: NDArray[np.floating], triangles: NDArray[np.integer], corner_uvs: NDArray[np.floating]
) -> SharedEdges:
    """The edges of ``triangles`` [F,3] over ``positions`` [V,3] that exactly two of them share, with their UVs ``corner_uvs`` [F,3,2].

    Edges without length, and triangles without area beside them, are left out.
    """
    faces = np.arange(len(triangles)).repeat(3)
    first, second = np.tile([0, 1, 2], len(triangles)), np.tile([1, 2, 0], len(triangles))
    turned = triangles[faces, first] > triangles[faces, second]
    pairs = _pairs(triangles[faces, first], triangles[faces, second])
    begin, end = np.where(turned, second, first), np.where(turned, first, second)
    ends = np.stack([corner_uvs[faces, begin], corner_uvs[faces, end]], 1).astype(np.float64)
    corners = positions[triangles].astype(np.float64)
    tail, head, tip = corners[faces, begin], corners[faces, end], corners[faces, 3 - first - second]
    along, lean = head - tail, tip - tail
    length = np.linalg.norm(along, axis=1)
    share = (along * lean).sum(1) / (length**2).clip(1e-30)
    height = np.linalg.norm(lean - share[:, None] * along, axis=1)
    opposite = corner_uvs[faces, 3 - first - second].astype(np.float64)
    inwards = (opposite - ends[:, 0] - share[:, None] * (ends[:, 1] - ends[:, 0])) / height.clip(1e-30)[:, None]
    sound = (np.minimum(length, height) > 1e-12)[pairs].all(1) & (np.abs(inwards).max(1) > 1e-12)[pairs].all(1)
    pairs = pairs[sound]
    apart = np.abs(ends[pairs[:, 0]] - ends[pairs[:, 1]]).max((1, 2)) > 1e-6
    sides = faces[pairs]
    return SharedEdges(
        ends[pairs], inwards[pairs], length[pairs[:, 0]], _turns(corners, sides), apart,
        _islands(len(triangles), sides[~apart]), sides, corner_uvs,
    )  # fmt: skip


def seam_report(
    texture: NDArray[np.uint8] | NDArray[np.floating],
    edges: SharedEdges,
    mip: int = 0,
    samples: int = 5,
    texels: float = 1.0,
    chosen: NDArray[np.bool_] | None = None,
    leans: Leans | None = None,
) -> SeamReport:
    """Steps of ``texture`` [S,S,C] (row 0 at v = 0) at mip level ``mip``, at ``samples`` places along each seam, over twice
    ``texels`` of that level on the side where they are larger. ``chosen`` [E]: only these edges. ``leans``: of a normal map
    [S,S,3] (0..255), whose values on two sides of a seam are of different frames; then steps are of what it adds, in space.

    Raises ``ValueError`` where no seam has room beside it.
    """
    taken = edges.seam if chosen is None else edges.seam & chosen
    image = mip_of(texture, mip)
    density = np.linalg.norm(edges.inwards[taken], axis=-1).min(1) * image.shape[0]
    half_step = texels / density
    share = ((np.arange(samples) + 0.5) / samples)[:, None]
    ends = edges.ends[taken][:, :, :, None]
    on_edge = ends[:, :, 0] * (1 - share) + ends[:, :, 1] * share  # [E,2,samples,2]
    away = (edges.inwards[taken] * half_step[:, None, None])[:, :, None, None] * _PLACES[:, None]
    places = on_edge[:, :, :, None] + away  # [E,2,samples,places,2]
    below = _below(places, edges, len(texture))
    own = edges.island[edges.sides[taken]][:, :, None, None]
    room = ((below >= 0) & (edges.island[below] == own)).all((1, 3))
    weight = room * edges.length[taken][:, None]
    if not weight.any():
        raise ValueError("a step across seams needs seams with room beside them for four points")
    colors = bilinear(image, places.reshape(-1, 2))
    if leans is not None:
        which = below.ravel().clip(0)
        colors = leans.of(colors, which, _weights(edges.corner_uvs[which].astype(np.float64), places.reshape(-1, 2)))
    colors = colors.reshape(*places.shape[:-1], -1)
    across = np.abs(colors[:, 0, :, 0] - colors[:, 1, :, 0]).mean(-1)
    inside = np.abs(colors[..., 0, :] - colors[..., 1, :]).mean((1, -1))
    total = weight.sum()
    measured = total / (samples * edges.length[taken].sum())
    return SeamReport(float((across * weight).sum() / total), float((inside * weight).sum() / total), float(measured))


def mip_of(texture: NDArray[np.uint8] | NDArray[np.floating], level: int) -> NDArray[np.float64]:
    """[H,W,C] halved ``level`` times by means of four, as long as both sides are even."""
    image = texture.astype(np.float64)
    image = image[..., None] if image.ndim == 2 else image
    for _ in range(level):
        if image.shape[0] % 2 or image.shape[1] % 2:
            return image
        image = image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2, -1).mean((1, 3))
    return image


def _pairs(first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.int64]:
    """[E,2]: which two of the sides between vertices ``first`` and ``second`` [3F] are one edge, where exactly two are."""
    low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second).astype(np.int64)
    key = low * (int(high.max(initial=0)) + 1) + high
    _, edge, count = np.unique(key, return_inverse=True, return_counts=True)
    order = np.argsort(edge, kind="stable")
    return order[np.isin(edge[order], np.flatnonzero(count == 2))].reshape(-1, 2)


def _turns(corners: NDArray[np.float64], sides: NDArray[np.int64]) -> NDArray[np.float64]:
    """[E] degrees between the normals of the triangles [E,2] with ``corners`` [F,3,3]."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-30)
    return np.rad2deg(np.arccos((normals[sides[:, 0]] * normals[sides[:, 1]]).sum(1).clip(-1, 1)))


def _islands(count: int, joined: NDArray[np.int64]) -> NDArray[np.int32]:
    """[F]: the island of each of ``count`` triangles; those of a pair [J,2] lie on one."""
    graph = sparse.coo_matrix((np.ones(len(joined)), (joined[:, 0], joined[:, 1])), shape=(count, count))
    return np.asarray(sparse.csgraph.connected_components(graph, directed=False)[1], np.int32)


def _below(places: NDArray[np.float64], edges: SharedEdges, size: int) -> NDArray[np.int32]:
    """The triangle under each of ``places`` [...,2]; −1: none."""
    _, owner = coverage(edges.corner_uvs, size)
    texel = np.floor(places * size).astype(int).clip(0, size - 1)
    return owner[texel[..., 1], texel[..., 0]]


def _weights(corners: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Barycentric [P,3] of ``places`` [P,2] in triangles with UVs ``corners`` [P,3,2]."""
    one, two, to = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], places - corners[:, 0]
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    area = np.where(np.abs(area) < 1e-20, np.inf, area)
    second = (to[:, 0] * two[:, 1] - to[:, 1] * two[:, 0]) / area
    third = (one[:, 0] * to[:, 1] - one[:, 1] * to[:, 0]) / area
    return np.stack([1 - second - third, second, third], -1).clip(0, 1)


def bilinear(image: NDArray[np.floating], uv: NDArray[np.float64]) -> NDArray[np.float64]:
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
