"""Tidying an extracted surface: degenerate triangles, floaters, and its number of triangles."""

from __future__ import annotations

import fast_simplification
import igl
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from .adjacency import parts
from .manifold import is_edge_manifold, manifold
from .slivers import without_slivers

Vertices = NDArray[np.float32]
Triangles = NDArray[np.int32]

_LEAST_OF_A_PART = 32
"""Triangles that simplification leaves a connected part."""


def remove_degenerate(
    vertices: NDArray[np.floating], triangles: NDArray[np.integer], tolerance: float = 1e-5
) -> tuple[Vertices, Triangles]:
    """Merge vertices closer than ``tolerance`` (same unit as the mesh) and drop what collapses.

    A triangle that loses a corner goes; two that become each other's reverse (a fin) go together. So every
    edge keeps an even number of triangles, and a closed mesh stays closed.
    """
    target = _merge_targets(vertices, tolerance)
    merged = target[triangles.astype(np.int64)]
    distinct = (merged != np.roll(merged, 1, axis=1)).all(axis=1)
    return compacted(vertices, _without_fins(merged[distinct]))


def remove_floaters(
    vertices: NDArray[np.floating], triangles: NDArray[np.integer], smallest: float = 0.01, keep: int = 1
) -> tuple[Vertices, Triangles]:
    """Drop connected parts with less than ``smallest`` of the whole area, but never the ``keep`` largest ones
    (give the number of parts the subject started with, so that its own small parts are safe)."""
    if len(triangles) == 0:
        return compacted(vertices, triangles)
    part = parts(triangles, len(vertices))
    size = np.bincount(part, areas(vertices, triangles))
    kept = size >= smallest * size.sum()
    kept[np.argsort(-size, kind="stable")[:keep]] = True
    return compacted(vertices, triangles[kept[part]])


def keep_parts(
    vertices: NDArray[np.floating], triangles: NDArray[np.integer], owner: NDArray[np.integer], smallest: float = 0.01
) -> tuple[Vertices, Triangles]:
    """Drop connected parts with less than ``smallest`` of the whole area, but for each of the start's parts keep the one
    that most of its vertices are in. ``owner`` [V]: which part of the start each vertex came from."""
    if len(triangles) == 0:
        return compacted(vertices, triangles)
    part = parts(triangles, len(vertices))
    size = np.bincount(part, areas(vertices, triangles))
    kept = size >= smallest * size.sum()
    votes = np.zeros((int(owner.max()) + 1, len(size)))
    np.add.at(votes, (owner[triangles[:, 0]], part), 1)
    best = votes.argmax(axis=1)
    kept[best[votes.max(axis=1) > 0]] = True
    return compacted(vertices, triangles[kept[part]])


def simplify_parts(
    vertices: NDArray[np.floating], triangles: NDArray[np.integer], target_faces: int
) -> tuple[Vertices, Triangles]:
    """``simplify`` with each connected part's own share of the triangles, so that no small one collapses."""
    if len(triangles) <= target_faces:
        return compacted(vertices, triangles)
    part = parts(triangles, len(vertices))
    share = np.maximum(_LEAST_OF_A_PART, np.bincount(part) * target_faces // len(triangles))
    over = int(share.sum()) - target_faces
    share[share.argmax()] = max(_LEAST_OF_A_PART, share.max() - max(over, 0))
    pieces = [simplify(*compacted(vertices, triangles[part == k]), int(count)) for k, count in enumerate(share)]
    first = np.cumsum([0, *[len(v) for v, _ in pieces]])
    joined = [f + shift for (_, f), shift in zip(pieces, first[:-1], strict=True)]
    return np.concatenate([v for v, _ in pieces]), np.concatenate(joined).astype(np.int32)


def simplify(
    vertices: NDArray[np.floating], triangles: NDArray[np.integer], target_faces: int
) -> tuple[Vertices, Triangles]:
    """At most about ``target_faces`` triangles by quadric edge collapse (Garland and Heckbert 1997).

    A mesh that is small enough comes back as it is. A closed mesh stays closed, and manifold where it was: a reduction
    that would break it is retried more gently, and finished by the slower libigl, which checks every collapse.
    """
    start = compacted(vertices, triangles)
    if target_faces < 4:
        raise ValueError(f"cannot simplify to {target_faces} triangles; a closed mesh needs at least 4")
    closed = is_closed(start[1])
    target, best = target_faces, start
    while target < len(start[1]):
        reduced = fast_simplification.simplify(start[0].astype(np.float64), start[1], target_count=target)
        result = remove_degenerate(reduced[0], reduced[1], tolerance=0.0)
        if len(result[1]) and closed and is_closed(result[1]):
            result = without_slivers(*manifold(*result))
        if len(result[1]) and (not closed or (is_closed(result[1]) and is_edge_manifold(result[1]))):
            best = result
            break
        target = target * 3 // 2 + 1
    return _collapsed(best, target_faces) if closed and len(best[1]) > target_faces else best


def _collapsed(mesh: tuple[Vertices, Triangles], target_faces: int) -> tuple[Vertices, Triangles]:
    """The same mesh where not even libigl's quadric collapse gets further without breaking it."""
    v, f, _, _ = igl.qslim(np.asfortranarray(mesh[0], np.float64), np.asfortranarray(mesh[1], np.int32), target_faces)
    result = without_slivers(np.asarray(v, np.float64), np.asarray(f))
    return result if len(result[1]) and is_closed(result[1]) and is_edge_manifold(result[1]) else mesh


def is_closed(triangles: NDArray[np.integer]) -> bool:
    """Whether every directed edge is met by as many reversed ones; true of no triangles at all."""
    faces = triangles.astype(np.int64)
    start = faces.reshape(-1)
    end = np.roll(faces, -1, axis=1).reshape(-1)
    count = int(faces.max()) + 1 if len(faces) else 1
    return bool(np.array_equal(np.sort(start * count + end), np.sort(end * count + start)))


def areas(vertices: NDArray[np.floating], triangles: NDArray[np.integer]) -> NDArray[np.float64]:
    """Area of each triangle, [F]."""
    corners = vertices[triangles].astype(np.float64)
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2


def compacted(vertices: NDArray[np.floating], triangles: NDArray[np.integer]) -> tuple[Vertices, Triangles]:
    """Only the vertices that triangles use, in their old order."""
    used, index = np.unique(triangles, return_inverse=True)
    return vertices[used].astype(np.float32), index.reshape(-1, 3).astype(np.int32)


def _merge_targets(vertices: NDArray[np.floating], tolerance: float) -> NDArray[np.int64]:
    """For each vertex [V] the first vertex of its cluster."""
    count = len(vertices)
    pairs = KDTree(vertices).query_pairs(tolerance, output_type="ndarray") if count else np.zeros((0, 2), np.int64)
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, label = connected_components(links, directed=False)
    _, first = np.unique(label, return_index=True)
    return first[label]


def _without_fins(triangles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cancel triangles against their own reverses, and drop exact repeats."""
    ordered = np.sort(triangles, axis=1)
    first = np.argmin(triangles, axis=1)
    second = np.take_along_axis(triangles, ((first + 1) % 3)[:, None], axis=1)[:, 0]
    sign = np.where(second == ordered[:, 1], 1, -1)
    _, index, group = np.unique(ordered, axis=0, return_index=True, return_inverse=True)
    balance = np.bincount(group.reshape(-1), sign, len(index))
    chosen = np.zeros(len(triangles), bool)
    for want in (1, -1):
        # one triangle of the sign that is left over, for every group that does not cancel
        candidates = np.flatnonzero((sign == want) & (balance[group.reshape(-1)] * want > 0))
        _, earliest = np.unique(group.reshape(-1)[candidates], return_index=True)
        chosen[candidates[earliest]] = True
    return triangles[chosen]
