"""What stands around a subject: context objects and the other subjects, in any space that is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from maquette_protocol.mesh import check_mesh
from maquette_protocol.recipe import MeshRef, Recipe
from numpy.typing import NDArray

from maquette_backend.refine.canvas import transformed
from maquette_backend.refine.events import ArrayReader
from maquette_backend.refine.painting import Veil
from maquette_backend.refine.placement import Placement, place
from maquette_backend.render.scene_render import SceneObject


@dataclass(frozen=True)
class Thing:
    """A mesh of the scene, as it was sent."""

    positions: NDArray[np.float32]  # [V,3] object space
    triangles: NDArray[np.int32]  # [F,3]
    world_from_object: NDArray[np.float64]  # [4,4]

    def standing(self, picture_from_world: NDArray[np.floating], device: torch.device) -> SceneObject:
        """The thing as an object of a picture."""
        points = torch.from_numpy(self.positions.copy()).to(device)
        placed = transformed(points, picture_from_world @ self.world_from_object)
        return SceneObject(placed, torch.from_numpy(self.triangles.astype(np.int64)).to(device), placed)


@dataclass(frozen=True)
class Surroundings:
    """The whole scene as it was sent."""

    subjects: Mapping[str, Thing]
    """By the subjects' ids."""
    context: tuple[Thing, ...]

    def scene_placement(self) -> Placement:
        """All subjects as if they were one, standing as they do in the world."""
        world = [_world_points(thing) for thing in self.subjects.values()]
        return place("the scene", np.concatenate(world), (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1))

    def veil(self, subject_id: str, placement: Placement, device: torch.device) -> Veil | None:
        """All but one subject, in that subject's unit space."""
        others = [thing for name, thing in self.subjects.items() if name != subject_id]
        return joined([thing.standing(placement.unit_from_world, device) for thing in [*others, *self.context]])


def read_surroundings(recipe: Recipe, read: ArrayReader) -> Surroundings:
    """Everything in a recipe that stands somewhere; raises MaquetteError that names an object whose mesh is bad."""

    def thing(name: str, mesh: MeshRef, matrix: Sequence[float]) -> Thing:
        positions, triangles = np.asarray(read(mesh.positions), np.float32), np.asarray(read(mesh.triangles), np.int32)
        check_mesh(name, positions, triangles)
        return Thing(positions, triangles, np.array(matrix, np.float64).reshape(4, 4))

    return Surroundings(
        {one.subject_id: thing(one.name, one.mesh, one.world_from_object) for one in recipe.subjects},
        tuple(thing(one.name, one.mesh, one.world_from_object) for one in recipe.context),
    )


def joined(objects: Sequence[SceneObject]) -> Veil | None:
    """One mesh of several; None of none."""
    if not objects:
        return None
    starts = np.cumsum([0, *(len(one.positions) for one in objects)])
    triangles = [one.triangles + int(start) for one, start in zip(objects, starts, strict=False)]
    return Veil(torch.cat([one.positions for one in objects]), torch.cat(triangles))


def _world_points(thing: Thing) -> NDArray[np.float64]:
    shape = thing.positions[np.unique(thing.triangles)].astype(np.float64)
    return shape @ thing.world_from_object[:3, :3].T + thing.world_from_object[:3, 3]
