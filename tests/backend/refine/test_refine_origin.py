"""A remeshed subject says where each of its vertices and faces came from on the mesh that was sent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from job_in_memory import SMALL, Shelf, run
from maquette_protocol.recipe import IDENTITY, Matrix4, Recipe
from refine_shapes import box

MIRRORED: Matrix4 = (-1, 0, 0, 3, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)


@pytest.mark.parametrize("world", [IDENTITY, MIRRORED])
def test_a_remeshed_subject_carries_its_origin_in_object_space(world: Matrix4) -> None:
    shelf = Shelf()
    positions, triangles = box()
    subject = shelf.subject(positions, triangles, world_from_object=world, strength=0.02)
    stages = replace(SMALL, geometry_steps=1, appearance_steps=0)
    (result,) = run(Recipe((subject,), stages=stages), shelf).results
    origin = result.origin
    assert origin is not None
    assert (origin.vertex_triangles.shape, origin.vertex_triangles.dtype) == (result.positions.shape[:1], np.int32)
    assert (origin.vertex_weights.shape, origin.vertex_weights.dtype) == (result.positions.shape, np.float32)
    assert (origin.face_triangles.shape, origin.face_triangles.dtype) == (result.triangles.shape[:1], np.int32)
    corners = positions[triangles[origin.vertex_triangles]].astype(np.float64)
    places = np.einsum("vk,vkx->vx", origin.vertex_weights.astype(np.float64), corners)
    assert np.linalg.norm(places - result.positions, axis=1).max() < 0.5 * 1.24 / 13
    assert np.linalg.norm(places - result.positions, axis=1).mean() < 0.01


def test_a_kept_topology_has_no_origin() -> None:
    shelf = Shelf()
    subject = shelf.subject(*box(), mode="keep_topology")
    (result,) = run(Recipe((subject,), stages=replace(SMALL, geometry_steps=1, appearance_steps=0)), shelf).results
    assert result.origin is None
