"""What Remesh hands back: closed, manifold, none of the start's parts lost, thin parts as thick as they were."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import remesh_shapes
import torch
from maquette_backend.refine.finish import Mesh
from maquette_backend.refine.remesh import RemeshBody, RemeshSettings
from maquette_backend.refine.remeshed import FACE_BUDGET, delivered
from maquette_backend.shape.clean import areas, is_closed
from maquette_backend.shape.manifold import is_edge_manifold
from refine_shapes import Positions, Triangles, boxes, component_count, distances, samples, volume

BOUND = 0.05
SHAPES = ("table", "plate", "two_apart", "nested", "hollow", "two_holes")
PARTS = {"two_apart": 2, "nested": 2}
HOLES = {"two_holes": 2}


@cache
def start(name: str) -> tuple[Positions, Triangles]:
    return getattr(remesh_shapes, name)()


@cache
def remeshed(name: str, push: float = 0.0, budget: int = 0) -> Mesh:
    """At 64-class, the field at ``push`` everywhere: positive shrinks."""
    body = RemeshBody(*start(name), RemeshSettings(grid_class=64, bound=BOUND))
    with torch.no_grad():
        for each in body.field.levels:
            each[:, 0] = push
    return delivered(body, Mesh(*start(name)), budget)


@pytest.mark.parametrize("name", SHAPES)
def test_results_are_closed_manifold_and_of_one_piece_per_part(name: str) -> None:
    mesh = remeshed(name)
    assert is_closed(mesh.triangles)
    assert is_edge_manifold(mesh.triangles)
    assert len(np.unique(np.sort(mesh.triangles, axis=1), axis=0)) == len(mesh.triangles)
    assert areas(mesh.positions, mesh.triangles).min() > 1e-10
    assert 0 < len(mesh.triangles) <= FACE_BUDGET
    parts = component_count(mesh.triangles)
    assert parts == PARTS.get(name, 1)
    euler = len(mesh.positions) - len(mesh.triangles) // 2
    assert euler == 2 * parts - 2 * HOLES.get(name, 0)


@pytest.mark.parametrize("name", ["table", "plate", "two_apart", "two_holes"])
def test_an_unmoved_surface_is_where_it_was_however_thin(name: str) -> None:
    """Legs 0.03 thick and a plate of 0.012, on a grid whose cells are 0.048."""
    mesh, old = remeshed(name), start(name)
    assert distances(mesh.positions, *old).mean() < 2e-4
    assert distances(samples(mesh.positions, mesh.triangles), *old).mean() < 2e-3
    expected = {"table": 0.64 * 0.04 + 4 * 0.03**2 * 0.66, "plate": 0.8 * 0.012, "two_apart": 0.32 + 0.05**3}
    truth = expected.get(name, volume(*old))
    assert volume(mesh.positions, mesh.triangles) == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize("push", [-1e4, 1e4])
def test_thin_legs_outlast_the_hardest_push(push: float) -> None:
    """Four feet on the floor, one piece, and nothing past the bound."""
    mesh = remeshed("table", push)
    assert component_count(mesh.triangles) == 1
    assert is_closed(mesh.triangles)
    assert is_edge_manifold(mesh.triangles)
    feet = mesh.positions[mesh.positions[:, 2] < -0.3]
    assert len({(bool(x > 0), bool(y > 0)) for x, y, _ in feet}) == 4
    assert distances(mesh.positions, *start("table")).max() < BOUND + 2e-3


@pytest.mark.parametrize("budget", [100, 1000])
def test_a_budget_is_kept_and_edges_with_it(budget: int) -> None:
    """A box with a hundred triangles is still a box: its volume and its corners."""
    whole = boxes((-0.5, -0.3, -0.4, 0.5, 0.3, 0.4))
    body = RemeshBody(*whole, RemeshSettings(grid_class=32, bound=BOUND))
    mesh = delivered(body, Mesh(*whole), budget)
    assert len(mesh.triangles) <= budget
    assert is_closed(mesh.triangles)
    assert is_edge_manifold(mesh.triangles)
    assert volume(mesh.positions, mesh.triangles) == pytest.approx(0.48, rel=0.03)
    assert distances(samples(mesh.positions, mesh.triangles), *whole).max() < 0.5 * 1.24 / 13


def test_coarse_to_fine_is_a_matter_of_progress_alone() -> None:
    """A body set anew to a late state is what the first one is: the grid follows from the progress, the rest is state."""
    ball = start("two_holes")
    first = RemeshBody(*ball, RemeshSettings(grid_class=96))
    torch.manual_seed(2)
    with torch.no_grad():
        for each in first.field.levels:
            each.normal_(std=0.01)
    first.at(0.0)
    coarse = len(first.surface().triangles)
    first.at(0.9)
    fine = first.surface()
    assert len(fine.triangles) > 3 * coarse
    again = RemeshBody(*ball, RemeshSettings(grid_class=96))
    again.load_state_dict(first.state_dict())
    again.at(0.9)
    assert torch.equal(again.surface().positions, fine.positions)


def test_a_small_class_has_no_coarser_one() -> None:
    body = RemeshBody(*start("two_holes"), RemeshSettings(grid_class=64))
    before = body.grid
    body.at(0.0)
    assert body.grid is before


@pytest.mark.parametrize("grid_class", [16, 48])
@pytest.mark.parametrize("push", [0.0, pytest.param(-1e4, marks=pytest.mark.slow)])
def test_a_broken_box_becomes_a_closed_solid(grid_class: int, push: float) -> None:
    """However coarse the grid: what is thickened does not grow out of it, and nothing is inside beyond the box."""
    broken = remesh_shapes.broken_cube()
    body = RemeshBody(*broken, RemeshSettings(grid_class=grid_class, bound=BOUND))
    with torch.no_grad():
        for each in body.field.levels:
            each[:, 0] = push
    mesh = delivered(body, Mesh(*broken), 0)
    assert is_closed(mesh.triangles)
    assert is_edge_manifold(mesh.triangles)
    assert 0.5 < volume(mesh.positions, mesh.triangles) < 1.5
    assert np.abs(mesh.positions).max() < 0.62
