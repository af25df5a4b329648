"""Values of one surface at the points of another: per vertex, per corner, per face. Numpy only.

T triangles and S vertices of the source; V vertices and F triangles of the new surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .refined import Correspondence, Floats, Ints

_REACH = 4.0
"""A corner's value may change this many times faster than the two triangles' own values do; faster is a seam."""
_LEAST_SHARE = 1e-6
"""Vertex weights below this are no influence at all."""


@dataclass(frozen=True)
class Source:
    """The triangulated source."""

    positions: Floats
    """[S,3]"""
    triangles: Ints
    """[T,3], vertices."""
    loops: Ints
    """[T,3], corners of the source's polygons."""
    polygons: Ints
    """[T]"""


@dataclass(frozen=True)
class Influences:
    """Vertex weights as rows: those of vertex ``v`` are ``starts[v]`` to ``starts[v + 1]``."""

    starts: NDArray[np.int64]
    """[S+1]"""
    groups: NDArray[np.int64]
    weights: NDArray[np.float64]


def at_vertices(values: Floats, source: Source, origin: Correspondence) -> Floats:
    """Values [S,n] of the source's vertices at the new vertices: [V,n]."""
    corners = values[source.triangles[origin.vertex_triangles]]
    return np.einsum("vcn,vc->vn", corners, origin.vertex_weights)


def influences_at_vertices(
    given: Influences, count: int, source: Source, origin: Correspondence
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Vertex weights at the new vertices, as (vertex, group, weight) sorted by group.

    Barycentric weights sum to 1, so whatever sums to the same at a triangle's three corners does so inside it:
    normalised weights stay normalised.
    """
    shares = origin.vertex_weights.ravel().astype(np.float64)
    used = np.flatnonzero(shares > _LEAST_SHARE)
    vertices = source.triangles[origin.vertex_triangles].ravel()[used]
    counts = given.starts[vertices + 1] - given.starts[vertices]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = np.repeat(given.starts[vertices], counts) + within
    new = np.repeat(used // 3, counts)
    key = given.groups[rows] * len(origin.vertex_triangles) + new
    found, inverse = np.unique(key, return_inverse=True)
    weights = np.bincount(inverse, np.repeat(shares[used], counts) * given.weights[rows], minlength=len(found))
    kept = weights > _LEAST_SHARE
    found, weights = found[kept], weights[kept]
    groups, new = np.divmod(found, max(1, len(origin.vertex_triangles)))
    assert not len(groups) or int(groups.max()) < count
    return new, groups, np.minimum(weights, 1.0)


def at_corners(values: Floats, positions: Floats, faces: Ints, source: Source, origin: Correspondence) -> Floats:
    """Values of the source's corners (UVs, colours), [loops,n], at the corners of the new faces [F,K]: [F,K,n].

    A new face keeps to the island that its middle lies on: a corner beyond the seam takes the value of the
    nearest point on the near side, so that no face is smeared over the picture from one island to another.
    """
    of_triangles = values[source.loops]
    islands = islands_of(source.triangles, of_triangles)
    own, theirs = origin.face_triangles, origin.vertex_triangles[faces]
    plain = np.einsum("fkcn,fkc->fkn", of_triangles[theirs], origin.vertex_weights[faces])
    points = positions[faces]
    near = _consistent(of_triangles, source, own, theirs, plain, points) & (islands[theirs] == islands[own][:, None])
    rows, corners = np.nonzero(~near)
    if len(rows):
        candidates = np.concatenate([own[:, None], np.where(near, theirs, own[:, None])], axis=1)[rows]
        plain[rows, corners] = _nearest_value(of_triangles, source, candidates, points[rows, corners])
    return plain.astype(np.float32)


def islands_of(triangles: Ints, corner_values: Floats) -> NDArray[np.int64]:
    """An island's number for each triangle [T]: triangles are joined where they share a vertex with the same value.

    triangles [T,3], corner_values [T,3,n].
    """
    keys = _welded(triangles, corner_values)
    labels = np.arange(len(triangles))
    points = int(keys.max()) + 1 if keys.size else 0
    while True:
        least = np.full(points, len(triangles))
        np.minimum.at(least, keys.ravel(), np.repeat(labels, 3))
        found = np.minimum(labels, least[keys].min(axis=1)) if len(labels) else labels
        found = found[found]  # pointer jumping: the number of rounds grows with the logarithm of an island's width
        if np.array_equal(found, labels):
            return labels
        labels = found


def seams(corner_edges: Ints, corner_uvs: Floats, edges: int) -> NDArray[np.bool_]:
    """Edges [E] on whose two sides the UVs differ. corner_edges [F,K] (the edge from a corner to the next),
    corner_uvs [F,K,2]. A closed, oriented surface: each edge has two corners, which run opposite ways."""
    order = np.argsort(corner_edges.ravel(), kind="stable")
    sorted_edges = corner_edges.ravel()[order]
    twice = np.flatnonzero(sorted_edges[1:] == sorted_edges[:-1])
    first, second = order[twice], order[twice + 1]
    starts, ends = corner_uvs.reshape(-1, 2), np.roll(corner_uvs, -1, axis=1).reshape(-1, 2)
    differ = (starts[first] != ends[second]).any(axis=1) | (ends[first] != starts[second]).any(axis=1)
    out = np.zeros(edges, bool)
    out[sorted_edges[twice[differ]]] = True
    return out


def _welded(triangles: Ints, corner_values: Floats) -> NDArray[np.int64]:
    """The same number [T,3] for corners at one vertex with one value."""
    # bit patterns, so that one sort does; adding zero makes −0 and 0 the same
    bits = (corner_values.reshape(triangles.size, -1) + np.float32(0)).astype(np.float32).view(np.uint32)
    columns = np.column_stack([bits, triangles.reshape(-1, 1).astype(np.uint32)])
    order = np.lexsort(columns.T)
    changes = np.ones(len(order), np.int64)
    changes[1:] = (columns[order[1:]] != columns[order[:-1]]).any(axis=1)
    keys = np.zeros(len(order), np.int64)
    keys[order] = np.cumsum(changes) - 1
    return keys.reshape(triangles.shape)


def _consistent(
    values: Floats, source: Source, own: Ints, theirs: Ints, plain: Floats, points: Floats
) -> NDArray[np.bool_]:
    """Whether a corner's value [F,K] is as far from its triangle's as its place is: not so across a seam inside one
    island, as on a cylinder's back."""
    stretch = _stretch(values, source)
    base = np.repeat(own[:, None], theirs.shape[1], axis=1)
    weights, distances = _nearest_on(source.positions[source.triangles[base]], points)
    steps = np.linalg.norm(plain - np.einsum("fkcn,fkc->fkn", values[base], weights), axis=-1)
    allowed = _REACH * np.maximum(stretch[base], stretch[theirs]) * distances
    return (theirs == base) | (steps <= allowed + 1e-6)


def _stretch(values: Floats, source: Source) -> Floats:
    """Longest edge in values over longest edge in space, by triangle [T]."""
    places = source.positions[source.triangles]
    in_values = np.linalg.norm(values - np.roll(values, 1, axis=1), axis=-1).max(axis=1)
    in_space = np.linalg.norm(places - np.roll(places, 1, axis=1), axis=-1).max(axis=1)
    return in_values / np.maximum(in_space, np.float32(1e-20))


def _nearest_value(values: Floats, source: Source, candidates: Ints, points: Floats) -> Floats:
    """The value [N,n] of the nearest point on any of the candidates [N,K] to points [N,3]."""
    around = np.repeat(points[:, None], candidates.shape[1], axis=1)
    weights, distances = _nearest_on(source.positions[source.triangles[candidates]], around)
    rows, best = np.arange(len(points)), distances.argmin(axis=1)
    return np.einsum("vcn,vc->vn", values[candidates[rows, best]], weights[rows, best])


def _nearest_on(corners: Floats, points: Floats) -> tuple[Floats, Floats]:
    """Barycentric weights [...,3] of the nearest points on triangles [...,3,3], and their distances [...]."""
    ab, ac = corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]
    to_point = points - corners[..., 0, :]
    aa, bb, cc = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    pa, pc = (to_point * ab).sum(-1), (to_point * ac).sum(-1)
    area = np.maximum(aa * cc - bb * bb, np.float32(1e-30))
    v, w = (cc * pa - bb * pc) / area, (aa * pc - bb * pa) / area
    inside = np.stack([1 - v - w, v, w], axis=-1)
    best_weights = np.where((inside >= 0).all(-1, keepdims=True), inside, np.float32(0))
    best = np.where((inside >= 0).all(-1), _distance(corners, inside, points), np.float32(np.inf))
    for start, end in ((0, 1), (1, 2), (2, 0)):
        weights = _nearest_on_edge(corners, points, start, end)
        distance = _distance(corners, weights, points)
        nearer = distance < best
        best = np.where(nearer, distance, best)
        best_weights = np.where(nearer[..., None], weights, best_weights)
    return best_weights, best


def _nearest_on_edge(corners: Floats, points: Floats, start: int, end: int) -> Floats:
    edge = corners[..., end, :] - corners[..., start, :]
    along = ((points - corners[..., start, :]) * edge).sum(-1) / np.maximum((edge * edge).sum(-1), np.float32(1e-30))
    along = np.clip(along, 0, 1)
    weights = np.zeros(corners.shape[:-1], np.float32)
    weights[..., start], weights[..., end] = 1 - along, along
    return weights


def _distance(corners: Floats, weights: Floats, points: Floats) -> Floats:
    return np.linalg.norm(np.einsum("...cn,...c->...n", corners, weights) - points, axis=-1)
