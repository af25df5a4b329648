"""Edges of four triangles are cut apart, slivers go, and closed stays closed."""

from __future__ import annotations

import numpy as np
import pytest
from maquette_backend.shape.clean import areas, is_closed
from maquette_backend.shape.manifold import is_edge_manifold, manifold
from maquette_backend.shape.slivers import without_slivers
from numpy.typing import NDArray

from tests.backend.render.surfaces import sphere

TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]


def two_on_one_edge() -> Mesh:
    """Two tetrahedra that share the edge from vertex 0 to vertex 1, and nothing else."""
    v = np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0.5], [1, 1, 0.5], [-1, 0, 0.5], [-1, -1, 0.5]], float)
    second = np.array([0, 1, 4, 5])[TETRAHEDRON]
    return v, np.concatenate([TETRAHEDRON, second])


def volume(v: NDArray[np.floating], f: NDArray[np.integer]) -> float:
    p = v[f].astype(float)
    return float(np.einsum("ij,ij->", p[:, 0], np.cross(p[:, 1], p[:, 2]))) / 6


def test_an_edge_of_four_triangles_is_cut_apart() -> None:
    v, f = two_on_one_edge()
    assert is_closed(f)
    assert not is_edge_manifold(f)
    cut_v, cut_f = manifold(v, f)
    assert is_closed(cut_f)
    assert is_edge_manifold(cut_f)
    assert (len(cut_v), len(cut_f)) == (8, 8)
    assert volume(cut_v, cut_f) == pytest.approx(volume(v, f))
    np.testing.assert_allclose(cut_v[cut_f], v[f])


def test_two_solids_that_touch_at_a_vertex_get_one_each() -> None:
    v = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0], [0, 0, -1]], float)
    f = np.concatenate([TETRAHEDRON, np.array([0, 4, 5, 6])[TETRAHEDRON][:, ::-1]])
    assert len(manifold(v, f)[0]) == 8


def test_a_sound_mesh_stays_as_it_is() -> None:
    v, f = two_on_one_edge()[0][:4], TETRAHEDRON
    got = manifold(v, f)
    assert len(got[0]) == 4
    np.testing.assert_allclose(got[0][got[1]], v[f])
    np.testing.assert_array_equal(without_slivers(v, f)[1], f)


@pytest.mark.parametrize("seed", range(8))
def test_a_ball_welded_at_random_is_cut_apart(seed: int) -> None:
    """So many welds that one fan meets an edge twice, where cutting alone does not help."""
    positions, triangles = sphere(6)
    random = np.random.default_rng(seed)
    into = np.arange(len(positions))
    for a, b in random.integers(len(positions), size=(40, 2)):
        into[into == into[a]] = into[b]
    faces = into[triangles.numpy()]
    faces = faces[[len(set(face)) == 3 for face in faces.tolist()]]
    assert is_closed(faces)
    v = positions.numpy().astype(float)
    cut_v, cut_f = manifold(v, faces)
    assert is_closed(cut_f)
    assert is_edge_manifold(cut_f)
    assert volume(cut_v, cut_f) == pytest.approx(volume(v, faces), abs=1e-5)


def test_an_open_mesh_is_refused() -> None:
    v, f = two_on_one_edge()
    with pytest.raises(ValueError, match="closed"):
        manifold(v, f[1:])


@pytest.mark.parametrize("kind", ["needle", "cap"])
def test_slivers_go_and_the_mesh_stays_closed(kind: str) -> None:
    """A box whose top has one vertex next to a corner (needles), or exactly on an edge (a cap)."""
    corner = np.array([[k & 1, k >> 1 & 1, k >> 2] for k in range(8)], float)
    faces = [0, 2, 3, 0, 3, 1, 0, 1, 5, 0, 5, 4, 2, 6, 7, 2, 7, 3, 0, 4, 6, 0, 6, 2, 1, 3, 7, 1, 7, 5]
    extra = [1e-8, 1e-8, 1] if kind == "needle" else [0.5, 0.0, 1]
    top = [4, 5, 8, 5, 7, 8, 7, 6, 8, 6, 4, 8]
    v, f = np.concatenate([corner, [extra]]), np.array(faces + top).reshape(-1, 3)
    assert is_closed(f)
    clean_v, clean_f = without_slivers(v, f)
    assert is_closed(clean_f)
    assert is_edge_manifold(clean_f)
    assert areas(clean_v, clean_f).min() > 0.1
    assert volume(clean_v, clean_f) == pytest.approx(1, rel=1e-6)
