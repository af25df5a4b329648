"""Mask, symmetry, floor and anchor of a subject that gets a new topology: under the hardest pushes, and through jobs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from job_in_memory import SMALL, Shelf, run
from maquette_backend.refine.controls import controls_of
from maquette_backend.refine.finish import Mesh
from maquette_backend.refine.placement import Placement, place
from maquette_backend.refine.remesh import RemeshBody, RemeshSettings
from maquette_backend.refine.remesh_controls import remesh_start, settled
from maquette_backend.refine.remeshed import delivered
from maquette_protocol.recipe import IDENTITY, Locks, Matrix4, Recipe
from numpy.typing import NDArray
from refine_shapes import Positions, Triangles, boxes, closed_and_oriented, distances, samples
from test_refine_controls import TURNED, DiscPrior

GRID_CLASS = 48
CELL = 1.24 / 19
BOUND = 0.06
SETTINGS = RemeshSettings(grid_class=GRID_CLASS, bound=BOUND)
BOXES = (
    (-0.6, -0.4, 0.55, 0.6, 0.4, 0.75),
    *[(x, y, 0.0, x + 0.2, y + 0.2, 0.6) for x in (-0.6, 0.4) for y in (-0.4, 0.2)],
)
TABLE = boxes(*BOXES)
"""A top on four legs; symmetric in x and y."""
FREE = np.ones(len(TABLE[0]), np.float32)


def pushed(
    fill: object,
    locks: Locks,
    mask: NDArray[np.float32] = FREE,
    world: Matrix4 = IDENTITY,
    shape: tuple[Positions, Triangles] = TABLE,
) -> tuple[Positions, Triangles, Placement]:
    """The table in object space after its field was set by ``fill``, as a job would deliver it."""
    positions, triangles = shape
    subject = replace(Shelf().subject(positions, triangles, world_from_object=world), locks=locks)
    placement = place("Table", positions, world)
    controls = controls_of(subject, positions, triangles, mask, np.zeros((0, 2), np.int32))
    start = Mesh(placement.to_unit(positions), placement.wind(triangles))
    begun = remesh_start(start, positions, controls, locks, placement, SETTINGS)
    body = RemeshBody(begun.mesh.positions, begun.mesh.triangles, SETTINGS, controls=begun.controls)
    torch.manual_seed(5)
    with torch.no_grad():
        for level in body.field.levels:
            if fill == "wild":
                level.normal_(std=0.05)
            else:
                level[:, :1] = float(str(fill))
    mesh, result = settled(delivered(body, start, 0), begun.floor, placement)
    assert closed_and_oriented(mesh.triangles)
    return result, placement.wind(mesh.triangles), placement


def test_what_is_symmetric_by_halves_only_is_not_mirrored() -> None:
    """A table with a knob on one side: its table is symmetric, the knob is not doubled."""
    positions, triangles = boxes(*BOXES, (0.55, -0.05, 0.6, 0.7, 0.05, 0.7))
    found, _, _ = pushed("0", Locks(symmetry_x=True), np.ones(len(positions), np.float32), shape=(positions, triangles))
    assert found[:, 0].max() > 0.69
    assert found[:, 0].min() > -0.61


def in_cells(length: NDArray[np.floating], placement: Placement) -> NDArray[np.floating]:
    """Object-space lengths of an evenly scaled object, in cells of the grid."""
    return length * np.linalg.norm(placement.unit_from_object[:3, 0]) / CELL


ONLY_THE_TOP = np.where(TABLE[0][:, 2] > 0.7, 1, 0).astype(np.float32)


@pytest.mark.parametrize("fill", ["wild", "-1e4", "1e4"])
def test_a_masked_out_region_keeps_its_surface(fill: str) -> None:
    """New vertices there lie on the old surface, whose corners are cut by less than half a cell, as unmoved; the rest moves."""
    positions, triangles = TABLE
    result, faces, placement = pushed(fill, Locks(), ONLY_THE_TOP)
    leg = samples(positions, triangles, 6000)
    leg = leg[(leg[:, 2] < 0.5)]
    assert in_cells(distances(leg, result, faces), placement).max() < 0.5
    assert in_cells(distances(result[result[:, 2] < 0.5], positions, triangles), placement).max() < 1e-3
    assert in_cells(distances(result[(result[:, 2] > 0.65)], positions, triangles), placement).mean() > 0.2


@pytest.mark.parametrize("world", [IDENTITY, TURNED])
@pytest.mark.parametrize("locks", [Locks(symmetry_x=True), Locks(symmetry_x=True, symmetry_y=True)])
def test_a_symmetric_subject_is_its_own_mirror_image(locks: Locks, world: Matrix4) -> None:
    result, faces, _ = pushed("wild", locks, world=world)
    free, free_faces, placement = pushed("wild", Locks(), world=world)

    def off(positions: Positions, triangles: Triangles, axis: int) -> float:
        """The farthest that the surface's image is from the surface, in units of the longest side."""
        places = placement.to_unit(positions)
        image = np.concatenate([positions, samples(positions, triangles)]) * np.where(np.arange(3) == axis, -1, 1)
        return float(distances(placement.to_unit(image), places, triangles).max())

    for axis, on in enumerate((locks.symmetry_x, locks.symmetry_y)):
        assert off(free, free_faces, axis) > 1e-2
        assert not on or off(result, faces, axis) < 1e-6
    assert distances(placement.to_unit(result), placement.to_unit(TABLE[0]), TABLE[1]).max() < BOUND + 1e-4


@pytest.mark.parametrize("world", [IDENTITY, TURNED])
@pytest.mark.parametrize("fill", ["wild", "-1e4", "1e4"])
def test_what_stands_on_the_floor_stands_there_still(fill: str, world: Matrix4) -> None:
    """Four feet, flat, none below; while without the lock the same push lifts or sinks them."""
    result, faces, _ = pushed(fill, Locks(flat_bottom=True), world=world)
    assert result[:, 2].min() == 0
    on_floor = (result[faces][..., 2] == 0).all(axis=1)
    a, b, c = np.moveaxis(result[faces[on_floor]].astype(np.float64), 1, 0)
    normal = np.cross(b - a, c - a) * np.sign(np.linalg.det(np.reshape(world, (4, 4))[:3, :3]))
    middle = (a + b + c) / 3
    for side_x in (-1, 1):
        for side_y in (-1, 1):
            here = (middle[:, 0] * side_x > 0) & (middle[:, 1] * side_y > 0)
            assert 0.004 < np.abs(normal[here, 2]).sum() / 2 < 0.16  # a foot is 0.04 at first, 0.01 where it shrank most
    if fill != "wild":
        free, _, _ = pushed(fill, Locks(), world=world)
        assert abs(free[:, 2].min()) > 0.2 * BOUND


def test_stay_close_holds_a_new_surface_the_more_the_higher_it_is() -> None:
    shelf, drifts = Shelf(), []
    stages = replace(SMALL, geometry_steps=40, appearance_steps=0, preview_every=0)
    for stay_close in (0.0, 0.5, 0.75, 1.0):
        subject = replace(shelf.subject(*TABLE, strength=0.6), stay_close=stay_close)
        (result,) = run(Recipe((subject,), stages=stages), shelf, priors=DiscPrior()).results
        drifts.append(float(distances(result.positions, *TABLE).mean()))
    assert all(one > two for one, two in pairwise(drifts))
    assert drifts[-1] < 0.7 * drifts[0]


def test_locks_and_a_mask_hold_through_a_whole_job() -> None:
    shelf = Shelf()
    subject = replace(
        shelf.subject(*TABLE, strength=0.6), mask=shelf.put(ONLY_THE_TOP), locks=Locks(symmetry_x=True, flat_bottom=True)
    )
    stages = replace(SMALL, geometry_steps=10, appearance_steps=2, preview_every=0)
    (result,) = run(Recipe((subject,), stages=stages), shelf, priors=DiscPrior()).results
    assert not result.same_topology
    assert result.positions[:, 2].min() == 0
    assert closed_and_oriented(result.triangles)
    legs = result.positions[result.positions[:, 2] < 0.5]
    assert distances(legs, *TABLE).max() < 0.25 * 1.2 * 1.24 / 13
