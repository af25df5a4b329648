"""What is filled in goes on from what is known without a step, across UV seams and on the islands themselves."""

from __future__ import annotations

import numpy as np
import pytest
from maquette_backend.appearance.leans import Leans
from maquette_backend.appearance.seams import SharedEdges, seam_report, shared_edges
from maquette_backend.refine.finish import Mesh
from maquette_backend.refine.texel_map import TexelMap, texel_map
from maquette_backend.refine.unseen import FLAT, faded, filled
from numpy.typing import NDArray
from refine_shapes import box, box_uvs
from scipy.spatial import KDTree

SIZE = 256


def painted_box(size: int = SIZE) -> tuple[TexelMap, SharedEdges, NDArray[np.uint8]]:
    """A box with every side an island, and waves in space on it [P,2]."""
    positions, triangles = box()
    uvs = box_uvs(triangles)
    texels = texel_map(Mesh(positions, triangles, uvs), size)
    waves = [128 + 90 * np.sin(texels.points @ (25 * np.array(turn))) for turn in ((1, 0.5, -0.3), (0.2, 1, 0.7))]
    return texels, shared_edges(positions, triangles, uvs), np.stack(waves, -1).round().astype(np.uint8)


def image_of(values: NDArray[np.uint8], texels: TexelMap) -> NDArray[np.uint8]:
    return texels.image(values, np.zeros((texels.size, texels.size, values.shape[1]), np.uint8))


@pytest.mark.parametrize("mip", [0, 1, 2])
def test_seams_between_known_and_filled_sides_do_not_show(mip: int) -> None:
    texels, edges, truth = painted_box()
    known = texels.normals @ np.array([0.5, 0.6, 1.0]) > 0
    values = filled(np.where(known[:, None], truth, np.uint8(0)), texels, known)
    assert np.array_equal(values[known], truth[known])
    sides = np.array([known[texels.triangles == triangle].all() for triangle in range(len(texels.mesh.triangles))])
    half_known = sides[edges.sides].sum(1) == 1
    report = seam_report(image_of(values, texels), edges, mip, chosen=half_known)
    assert report.measured > 0.5
    assert report.ratio <= 1.1


def test_borders_inside_an_island_do_not_show() -> None:
    """Steps from a known texel to its filled neighbour are no larger than those between known ones."""
    texels, _, truth = painted_box()
    known = np.sin(texels.points @ np.array([5.0, 4.0, 3.0])) > -0.3
    values = filled(np.where(known[:, None], truth, np.uint8(0)), texels, known)
    image = image_of(values, texels).astype(float)
    seen, island = (texels.image(part, np.full((SIZE, SIZE), -1)) for part in (known, texels.triangles // 2))
    steps, together = np.abs(image[:, 1:] - image[:, :-1]).mean(-1), (island[:, 1:] == island[:, :-1]) & (island[:, 1:] >= 0)
    border = together & (seen[:, 1:] != seen[:, :-1])
    assert steps[border].mean() < 1.1 * steps[together & (seen[:, 1:] == 1) & (seen[:, :-1] == 1)].mean()


def test_a_fill_stays_within_what_is_known() -> None:
    texels, _, truth = painted_box()
    known = texels.normals[:, 2] > 0.5
    values = filled(np.where(known[:, None], truth, np.uint8(0)), texels, known)
    assert (values.min(0) >= truth[known].min(0)).all()
    assert (values.max(0) <= truth[known].max(0)).all()


@pytest.mark.parametrize("size", [SIZE, 1024])
def test_a_normal_map_fades_out_into_what_is_unseen_across_seams_too(size: int) -> None:
    """Leaning everywhere in the same direction in space where it is known, flat far from there, and nowhere a step."""
    texels, edges, _ = painted_box(size)
    mesh = texels.mesh
    assert mesh.corner_uvs is not None
    frames = Leans(mesh.positions, mesh.triangles, mesh.corner_uvs)
    waves = 0.3 * np.sin(texels.points @ np.array([20.0, 14.0, 17.0]))[:, None] * np.array([0.6, -0.5, 0.6])
    truth = frames.stored(waves, texels.triangles, texels.weights)
    known = texels.normals @ np.array([0.5, 0.6, 1.0]) > 0
    found = faded(truth, texels, known)
    assert np.array_equal(found[known], truth[known])
    sides = np.array([known[texels.triangles == triangle].all() for triangle in range(len(mesh.triangles))])
    half_known = sides[edges.sides].sum(1) == 1
    for mip in range(1 if size == SIZE else 4):
        assert seam_report(image_of(found, texels), edges, mip, chosen=half_known, leans=frames).ratio <= 1.1
    far = ~known & (np.asarray(KDTree(texels.points[known]).query(texels.points)[0]) > 0.5)
    assert far.any()
    assert (found[far] == FLAT).all()
    assert (faded(truth, texels, np.zeros_like(known)) == FLAT).all()
