"""Cleaning keeps closed meshes closed and drops exactly what it should."""

import numpy as np
import pytest
import torch
from maquette_backend.shape import bcc, marching_tets
from maquette_backend.shape.clean import areas, compacted, is_closed, remove_degenerate, remove_floaters, simplify
from numpy.typing import NDArray

Mesh = tuple[NDArray[np.float32], NDArray[np.int32]]


def ball(radius: float = 0.4, center: tuple[float, float, float] = (0, 0, 0), cells: int = 12) -> Mesh:
    grid = bcc.grid(cells)
    sdf = (grid.vertices - torch.tensor(center)).norm(dim=1) - radius
    v, f = marching_tets.extract(grid.vertices, sdf, grid.tets, marching_tets.tet_edges(grid.tets))
    return v.numpy(), f.numpy().astype(np.int32)


def joined(a: Mesh, b: Mesh) -> Mesh:
    return np.concatenate([a[0], b[0]]), np.concatenate([a[1], b[1] + len(a[0])])


def volume(v: NDArray[np.float32], f: NDArray[np.int32]) -> float:
    p = v[f].astype(float)
    return float(np.einsum("ij,ij->i", p[:, 0], np.cross(p[:, 1], p[:, 2])).sum() / 6)


def test_degenerate_triangles_of_a_level_through_grid_points_go_and_the_mesh_stays_closed() -> None:
    grid = bcc.grid(8, -1.0, 1.0)
    sdf = grid.vertices.abs().amax(dim=1) - 0.5  # exactly zero on a whole layer of lattice points
    v, f = marching_tets.extract(grid.vertices, sdf, grid.tets, marching_tets.tet_edges(grid.tets))
    dirty = v.numpy(), f.numpy()
    assert (areas(*dirty) == 0).any()
    clean = remove_degenerate(*dirty)
    assert (areas(*clean) > 0).all()
    assert is_closed(clean[1])
    assert volume(*clean) == pytest.approx(volume(dirty[0], dirty[1]), rel=1e-5)
    assert len(np.unique(clean[0], axis=0)) == len(clean[0])


def test_fins_cancel_and_repeats_become_one() -> None:
    v, f = ball(cells=6)
    fin = np.array([[0, 1, 2], [1, 0, 2]], np.int32)
    again = remove_degenerate(v, np.concatenate([f, fin, f[3:4]]))
    np.testing.assert_array_equal(np.sort(again[1], axis=0), np.sort(f, axis=0))


def test_small_floaters_go_and_large_parts_stay() -> None:
    big, second, crumb = ball(0.25, (-0.3, 0, 0)), ball(0.15, (0.3, 0, 0)), ball(0.045, (0.1, 0.5, 0.5))
    everything = joined(joined(crumb, big), second)
    assert len(crumb[1]) > 0
    expected = joined(big, second)
    for got, want in zip(remove_floaters(*everything), expected, strict=True):
        np.testing.assert_array_equal(got, want)
    assert len(remove_floaters(*everything, keep=3)[1]) == len(everything[1])


def test_simplify_reaches_its_target_closed_and_near() -> None:
    v, f = ball(cells=16)
    small_v, small_f = simplify(v, f, 600)
    assert len(small_f) <= 600
    assert is_closed(small_f)
    assert volume(small_v, small_f) == pytest.approx(volume(v, f), rel=0.02)
    np.testing.assert_allclose(np.linalg.norm(small_v, axis=1), 0.4, atol=0.01)


def test_simplify_leaves_small_meshes_alone() -> None:
    v, f = ball(cells=6)
    same = simplify(v, f, 100_000)
    np.testing.assert_array_equal(same[0], v)
    np.testing.assert_array_equal(same[1], f)


def test_simplify_refuses_what_no_solid_can_be() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        simplify(*ball(cells=6), 3)


def test_closedness_counts_directions() -> None:
    _, f = ball(cells=6)
    assert is_closed(f)
    assert not is_closed(f[1:])
    turned = f.copy()
    turned[0] = turned[0, ::-1]
    assert not is_closed(turned)


def test_compacted_drops_only_unused_vertices() -> None:
    v = np.arange(15, dtype=np.float32).reshape(5, 3)
    got = compacted(v, np.array([[4, 1, 3]]))
    np.testing.assert_array_equal(got[0], v[[1, 3, 4]])
    np.testing.assert_array_equal(got[1], [[2, 0, 1]])


def test_nothing_in_nothing_out() -> None:
    nothing = np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)
    for function in (remove_degenerate, remove_floaters):
        assert [len(x) for x in function(*nothing)] == [0, 0]
    assert len(simplify(*nothing, 10)[1]) == 0
