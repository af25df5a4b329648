"""Strength is a hard bound: no push, however hard, gets a delivered surface farther from where it began."""

from __future__ import annotations

import pytest
import remesh_shapes
import torch
from maquette_backend.refine.finish import Mesh
from maquette_backend.refine.placement import place
from maquette_backend.refine.remesh import RemeshBody, RemeshSettings
from maquette_backend.refine.remeshed import delivered
from maquette_protocol.recipe import IDENTITY
from refine_shapes import Positions, Triangles, box_chair, box_sofa, closed_and_oriented, distances, samples

AT_VERTICES = 1e-4
BETWEEN = 4e-3
FAR_BELOW_A_CELL = 7e-3
"""Of the longest side: past the bound at most, at vertices and at points inside the triangles; so coarse a grid (cells of
0.095) cuts edges, and by several times a bound of 0.002."""


def unit(shape: tuple[Positions, Triangles]) -> tuple[Positions, Triangles]:
    return place("Shape", shape[0], IDENTITY).to_unit(shape[0]), shape[1]


SHAPES = {
    "sofa": unit(box_sofa()),
    "chair": unit(box_chair(leg=0.12)),
    "table": remesh_shapes.table(),
    "holes": remesh_shapes.two_holes(),
}


@pytest.mark.parametrize(
    ("name", "bound", "push", "budget"),
    [
        ("sofa", 0.05, "-1e4", 0),
        ("sofa", 0.02, "wild", 600),
        ("chair", 0.05, "wild", 0),
        ("chair", 0.02, "1e4", 0),
        ("table", 0.05, "wild", 2000),
        ("holes", 0.002, "wild", 0),
        ("holes", 0.08, "1e4", 0),
    ],
)
def test_no_point_is_farther_than_the_strength(name: str, bound: float, push: str, budget: int) -> None:
    start = SHAPES[name]
    body = RemeshBody(*start, RemeshSettings(grid_class=32, bound=bound))
    torch.manual_seed(4)
    with torch.no_grad():
        for level in body.field.levels:
            if push == "wild":
                level.normal_(std=0.5)
            else:
                level[:, :1] = float(push)
    mesh = delivered(body, Mesh(*start), budget)
    assert closed_and_oriented(mesh.triangles)
    moved = distances(mesh.positions, *start)
    inside = distances(samples(mesh.positions, mesh.triangles, 20_000), *start)
    assert moved.max() <= bound + AT_VERTICES
    assert moved.max() > 0.4 * bound  # the push did get somewhere, if only as far as half of a part's thickness
    assert inside.max() <= bound + (BETWEEN if bound > 0.01 else FAR_BELOW_A_CELL)
