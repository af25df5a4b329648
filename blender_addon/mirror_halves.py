"""The halves that Mirror modifiers make, added to the half that the artist models.

A prior that saw only half a chair would make something else of it. So both halves are sent, locked to each other,
and the modelled one is what comes back onto the mesh.
"""

# bpy's stubs know data by their base class only
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass, replace

import bpy
import numpy as np
from numpy.typing import NDArray

from .mesh_reading import MeshArrays

Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Halves:
    """Which planes through the object's origin a mesh is mirrored across."""

    axes: tuple[int, ...] = ()
    seam_width: float = 0.0
    """How near to a plane vertices of both halves are one, metres in object space."""


def halves_of(thing: bpy.types.Object) -> Halves:
    """The object's Mirror modifiers, as far as they come first and mirror across its own origin."""
    axes: list[int] = []
    width = 0.0
    for modifier in thing.modifiers:
        if modifier.type != "MIRROR" or not modifier.show_viewport or modifier.mirror_object or any(modifier.use_bisect_axis):
            break
        axes += [axis for axis in range(3) if modifier.use_axis[axis] and axis not in axes]
        width = max(width, modifier.merge_threshold if modifier.use_mirror_merge else 0.0)
    return Halves(tuple(axes), width)


@dataclass(frozen=True)
class Half:
    """A mesh and what lies on its vertices."""

    mesh: MeshArrays
    mask: NDArray[np.float32] | None = None
    """[V]"""
    sharp_edges: Ints | None = None
    """[E,2]"""
    painted: NDArray[np.uint8] | None = None
    """[F], of the triangles."""


def with_other_halves(half: Half, halves: Halves) -> Half:
    """All halves, the given one's vertices and triangles first and as they were."""
    for axis in halves.axes:
        half = _across(half, axis, halves.seam_width)
    return half


def _across(half: Half, axis: int, seam_width: float) -> Half:
    mesh, mask, edges, painted = half.mesh, half.mask, half.sharp_edges, half.painted
    count = len(mesh.positions)
    apart = np.abs(mesh.positions[:, axis]) * 2 > seam_width  # a vertex and its image are twice as far from each other
    image = np.arange(count, dtype=np.int32)
    image[apart] = count + np.arange(int(apart.sum()), dtype=np.int32)
    sign = np.ones(3, np.float32)
    sign[axis] = -1
    outside = apart[mesh.triangles].any(axis=1)  # what lies in the plane is there already
    uvs = mesh.corner_uvs
    both = replace(
        mesh,
        positions=np.concatenate([mesh.positions, mesh.positions[apart] * sign]),
        triangles=np.concatenate([mesh.triangles, image[mesh.triangles[outside]][:, ::-1]]),
        corner_uvs=None if uvs is None else np.concatenate([uvs, uvs[outside][:, ::-1]]),
    )
    return Half(
        both,
        None if mask is None else np.concatenate([mask, mask[apart]]),
        None if edges is None else np.concatenate([edges, image[edges[apart[edges].any(axis=1)]]]),
        None if painted is None else np.concatenate([painted, painted[outside]]),
    )
