"""An artist's mask and locks for a subject that gets a new topology: before it is a field, and after it is a mesh again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from maquette_protocol.recipe import Locks
from numpy.typing import NDArray

from maquette_backend.refine.controls import Controls
from maquette_backend.refine.finish import Mesh
from maquette_backend.refine.placement import Placement
from maquette_backend.refine.remesh import RemeshSettings
from maquette_backend.refine.remesh_grid import GRID_SIDE, lattice_cells
from maquette_backend.shape.field_controls import (
    FieldControls,
    floor_in_unit_space,
    mirror_in_unit_space,
    standing,
)
from maquette_backend.shape.mirror import TOLERANCE
from maquette_backend.shape.ties import longest_side

ANCHOR = 200.0
"""Weight of the mean squared displacement where ``stay_close`` is ½; as Keep Topology's."""
STANDING = 1e-5
"""What ends up less than this above the floor, in units of the longest side, stands on it."""


@dataclass(frozen=True)
class RemeshStart:
    """What a Remesh begins with."""

    mesh: Mesh
    """In unit space; where the bottom is to stay flat, standing deeper than the floor, at which the field is cut."""
    controls: FieldControls
    floor: float | None
    """z in object space; None: not locked."""


def remesh_start(
    start: Mesh, positions: NDArray[np.float32], controls: Controls, locks: Locks, placement: Placement, settings: RemeshSettings
) -> RemeshStart:
    """``start`` is in unit space, ``positions`` [V,3] are the same in object space."""
    used: NDArray[np.bool_] = np.zeros(len(positions), bool)
    used[start.triangles.reshape(-1)] = True
    matrix = placement.unit_from_object
    axes = [axis for axis, on in enumerate((locks.symmetry_x, locks.symmetry_y, locks.symmetry_z)) if on]
    mirrors = tuple(mirror_in_unit_space(matrix, axis) for axis in axes)
    partly = bool((controls.share[used] < 1).any())
    masked = (start.positions, start.triangles, controls.share) if partly else None
    if not locks.flat_bottom:
        return RemeshStart(start, FieldControls(mirrors, masked), None)
    height = float(positions[used, 2].min())
    floor = floor_in_unit_space(matrix, height)
    resting = positions[:, 2] <= height + TOLERANCE * longest_side(positions, used)
    # farther than the surface can rise, and so near that the floor is within the band of the grid that is kept
    depth = settings.bound + 0.25 * GRID_SIDE / lattice_cells(settings.grid_class)
    deeper = Mesh(*standing(start.positions, start.triangles, resting, floor, depth))
    return RemeshStart(deeper, FieldControls(mirrors, masked, floor), height)


def settled(mesh: Mesh, floor: float | None, placement: Placement) -> tuple[Mesh, NDArray[np.float32]]:
    """The finished mesh in unit space, and its positions [V,3] in object space: what stands on the floor exactly there."""
    positions = placement.to_object(mesh.positions)
    if floor is None:
        return mesh, positions
    rise = float(np.linalg.norm(np.linalg.inv(placement.unit_from_object)[2, :3]))  # of object z over one unit
    positions[positions[:, 2] < floor + STANDING * rise, 2] = np.float32(floor)
    return Mesh(placement.to_unit(positions), mesh.triangles, mesh.corner_uvs), positions
