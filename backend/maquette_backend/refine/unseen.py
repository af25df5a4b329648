"""Texels that no view saw: which they are, and what they are filled with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, diags_array, eye_array
from scipy.sparse.linalg import splu
from scipy.spatial import KDTree

from maquette_backend.appearance.leans import Leans
from maquette_backend.refine.texel_map import APART, TexelMap, parts_of
from maquette_backend.refine.unseen_joined import joined
from maquette_backend.render.cameras import Cameras, to_clip
from maquette_backend.render.rasterizer import Rasterizer

FLAT = np.array([128, 128, 255], np.uint8)
"""A normal map's value where nothing leans."""
DEPTH_SIDE_PX = 256
NEAR, FAR = 0.05, 50.0
TOLERANCE = 0.012
"""Units of the longest side: what is less far behind the nearest surface counts as that surface."""
_NODES = 8_000
_NEIGHBOURS = 10
_TURN = 0.15
"""What turning a normal by a radian counts for beside distances: the two sides of a board are not neighbours."""
_FADE = 1 / 64
"""Of the texture's side: over that much normals fade out into what is unseen; less would be a step in its mips."""
_LEASH = 1e-7
"""How weakly nodes are drawn to the mean of all: enough for those that no known one is linked to."""


def linear_depth(depth: torch.Tensor) -> torch.Tensor:
    """z/w of a perspective between NEAR and FAR → distance along the view."""
    return 2 * FAR * NEAR / (FAR + NEAR - depth * (FAR - NEAR))


def visible(
    points: torch.Tensor, cameras: Cameras, rasterizer: Rasterizer, positions: torch.Tensor, triangles: torch.Tensor
) -> torch.Tensor:
    """bool [N,P]: which of ``points`` [P,3] each camera sees past the mesh [V,3], [F,3]. Views end at NEAR and FAR."""
    clip = cameras.clip_from_world
    rast = rasterizer.rasterize(to_clip(positions, clip), triangles, (DEPTH_SIDE_PX, DEPTH_SIDE_PX))
    nearest = torch.where(rast[..., 3] > 0, linear_depth(rast[..., 2]), torch.inf)
    nearest = _farthest_around(nearest)
    at = to_clip(points, clip)
    ahead = at[..., 3] > NEAR
    pixel = ((at[..., :2] / at[..., 3:].clamp(min=NEAR) * 0.5 + 0.5) * DEPTH_SIDE_PX).floor().long()
    inside = ((pixel >= 0) & (pixel < DEPTH_SIDE_PX)).all(-1)
    column, row = pixel.clamp(0, DEPTH_SIDE_PX - 1).unbind(-1)
    view = torch.arange(len(at), device=at.device)[:, None]
    return ahead & inside & (at[..., 3] <= nearest[view, row, column] + TOLERANCE)


def _farthest_around(depth: torch.Tensor) -> torch.Tensor:
    """Of the surfaces in 3×3 pixels the farthest: a slanted one is not behind itself, an outline hides no one."""
    finite = torch.where(depth.isinf(), -1.0, depth)[:, None]
    found = torch.nn.functional.max_pool2d(finite, 3, 1, 1)[:, 0]
    return torch.where(found < 0, torch.inf, found)


@dataclass(frozen=True)
class Sight:
    """One camera, and everything that stands in its way, the subject included, in the subject's unit space."""

    camera: Cameras
    """One."""
    positions: torch.Tensor
    """[V,3]"""
    triangles: torch.Tensor
    """[F,3]"""


def seen_texels(
    texels: TexelMap, sights: Sequence[Sight], rasterizer: Rasterizer, closed: bool
) -> NDArray[np.bool_]:
    """[P]: the texels that one of ``sights`` sees. Of a ``closed`` surface only what faces a camera is seen."""
    found: NDArray[np.bool_] = np.zeros(len(texels.points), bool)
    for sight in sights:
        rest = np.flatnonzero(~found)
        if not len(rest):
            break
        device = sight.positions.device
        here = torch.from_numpy(texels.points[rest]).to(device)
        seen = visible(here, sight.camera, rasterizer, sight.positions, sight.triangles)[0]
        if closed:
            rotation, shift = sight.camera.camera_from_world[0, :3, :3], sight.camera.camera_from_world[0, :3, 3]
            eye = -(rotation.T @ shift)
            normals = torch.from_numpy(texels.normals[rest]).to(device)
            seen &= ((eye - here) * normals).sum(1) > 0
        found[rest[seen.cpu().numpy()]] = True
    return found


def filled(values: NDArray[np.uint8], texels: TexelMap, known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """``values`` u1 [P,C] with those that are not ``known`` [P] replaced by a smooth continuation over the surface.

    Laplace's equation on a graph of points spread evenly over the surface, so no new value is outside those around it; then
    the texels between the points are brought together with what is known beside them, across UV seams too.
    Where nothing is known, or nothing is missing, they stay as they are.
    """
    if known.all() or not known.any():
        return values
    places = np.concatenate([texels.places(), _TURN * texels.normals], 1)
    nodes = _spread(texels)
    nearest = np.asarray(KDTree(places).query(nodes)[1])
    fixed = known[nearest]
    if not fixed.any():
        return values
    order = np.argsort(~fixed, kind="stable")
    nodes, nearest = nodes[order], nearest[order]
    solved = _harmonic(nodes, values[nearest[: int(fixed.sum())]].astype(np.float64))
    missing = np.flatnonzero(~known)
    distance, near = (
        np.asarray(part).reshape(len(missing), -1) for part in KDTree(nodes).query(places[missing], k=min(4, len(nodes)))
    )
    weight = 1 / (distance**2 + 1e-10)
    mixed = (solved[near] * (weight / weight.sum(1, keepdims=True))[..., None]).sum(1)
    result = values.astype(np.float64)
    result[missing] = mixed
    spacing = float(np.sqrt(len(texels.points) / len(nodes)))
    return np.clip(np.round(joined(result, texels, known, spacing)), 0, 255).astype(np.uint8)


def faded(normals: NDArray[np.uint8], texels: TexelMap, known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A normal map's values u1 [P,3] with those that are not ``known`` [P] flat, but near what is known, which fades out."""
    flat = np.where(known[:, None], normals, FLAT)
    if known.all() or not known.any():
        return flat
    mesh = texels.mesh
    assert mesh.corner_uvs is not None
    frames = Leans(mesh.positions, mesh.triangles, mesh.corner_uvs)
    leans = frames.of(normals, texels.triangles, texels.weights)
    leans = joined(np.where(known[:, None], leans, 0), texels, known, texels.size * _FADE)
    near = np.flatnonzero(~known & (np.abs(leans).max(1) > 1 / 255))
    flat[near] = frames.stored(leans[near], texels.triangles[near], texels.weights[near])
    return flat


def _spread(texels: TexelMap) -> NDArray[np.float64]:
    """Points [N,7] spread over the surface by area, in the terms of ``places`` and weighed normals; seeded."""
    mesh, random = texels.mesh, np.random.default_rng(0)
    corners = mesh.positions[mesh.triangles].astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normal, axis=1)
    chosen = random.choice(len(corners), _NODES, p=area / area.sum())
    weights = random.dirichlet([1, 1, 1], _NODES)
    points = np.einsum("nk,nkj->nj", weights, corners[chosen])
    parts = APART * parts_of(mesh)[chosen].astype(np.float64)[:, None]
    return np.concatenate([points, parts, _TURN * normal[chosen] / area[chosen, None]], 1)


def _harmonic(nodes: NDArray[np.float64], fixed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values [N,C] at ``nodes`` [N,7] whose first rows are ``fixed`` [K,C] and whose others are weighed means.

    Neighbours are those near in space, so that faces hang together at their edges; but what faces another way counts little.
    """
    count, first = len(nodes), len(fixed)
    _, near = KDTree(nodes[:, :4]).query(nodes[:, :4], k=min(_NEIGHBOURS + 1, count))
    near = np.asarray(near)[:, 1:]
    rows = np.repeat(np.arange(count), near.shape[1])
    apart = nodes[rows] - nodes[near.reshape(-1)]
    graph = coo_array((1 / ((apart**2).sum(1) + 1e-8), (rows, near.reshape(-1))), shape=(count, count))
    links = csr_array(graph + graph.T)
    degree = np.asarray(links.sum(1)).reshape(-1)
    share = csr_array(diags_array(1 / degree) @ links)[first:]
    system = (1 + _LEASH) * eye_array(count - first) - share[:, first:]
    known = share[:, :first] @ fixed + _LEASH * fixed.mean(0)
    return np.concatenate([fixed, splu(system.tocsc()).solve(known)])
