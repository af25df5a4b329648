"""Blender's cameras → the recipe's cameras, and whether they see a target."""

from __future__ import annotations

import math

import bpy
import numpy as np

from ._protocol import cameras, errors, limits, recipe
from .mesh_reading import MeshArrays, matrix4

Code = errors.ErrorCode


def read_cameras(scene: bpy.types.Scene) -> tuple[recipe.Camera, ...]:
    """The scene's cameras, in the order of their names.

    Raises:
        MaquetteError: there are none, too many, or one is not a perspective camera.
    """
    found = sorted((thing for thing in scene.objects if thing.type == "CAMERA"), key=lambda thing: thing.name)
    if not found:
        raise errors.MaquetteError(
            Code.NO_CAMERA, f"The scene {scene.name} has no camera.", "Add one, or set Views to Orbit."
        )
    if len(found) > limits.MAX_CAMERAS:
        raise errors.MaquetteError(
            Code.INVALID_RECIPE,
            f"The scene has {len(found)} cameras; {limits.MAX_CAMERAS} can be used.",
            "Delete some, or set Views to Orbit.",
        )
    return tuple(read_camera(scene, thing) for thing in found)


def read_camera(scene: bpy.types.Scene, thing: bpy.types.Object) -> recipe.Camera:
    """One camera. Its lens shift is not represented, so a shifted camera is refused."""
    lens = thing.data
    assert isinstance(lens, bpy.types.Camera)
    if lens.type != "PERSP":
        raise errors.MaquetteError(
            Code.NO_CAMERA,
            f"The camera {thing.name} is {lens.type.lower()}; only perspective cameras can be used.",
            "Set its lens to Perspective, delete it, or set Views to Orbit.",
        )
    if lens.shift_x or lens.shift_y:
        raise errors.MaquetteError(
            Code.NO_CAMERA,
            f"The camera {thing.name} has a lens shift, which cannot be used.",
            "Set Shift X and Y to 0, or set Views to Orbit.",
        )
    render = scene.render
    width = render.resolution_x * render.pixel_aspect_x
    height = render.resolution_y * render.pixel_aspect_y
    place, turn, _scale = thing.matrix_world.decompose()  # Blender's cameras ignore their scale
    world_from_camera = turn.to_matrix().to_4x4()
    world_from_camera.translation = place
    return recipe.Camera(thing.name, matrix4(world_from_camera), _fov_y(lens, width, height), width / height)


def _fov_y(lens: bpy.types.Camera, width: float, height: float) -> float:
    """Vertical field of view, radians. AUTO fits the sensor's width to the longer side of the picture."""
    if lens.sensor_fit == "VERTICAL":
        half = lens.sensor_height / 2
    elif lens.sensor_fit == "HORIZONTAL" or width >= height:
        half = lens.sensor_width / 2 * height / width
    else:
        half = lens.sensor_width / 2
    return 2 * math.atan(half / lens.lens)


def check_seen(name: str, mesh: MeshArrays, seen_by: tuple[recipe.Camera, ...]) -> None:
    """Raises ``no_camera_sees`` unless some camera sees part of the mesh's bounding box."""
    world = np.asarray(mesh.world_from_object).reshape(4, 4)
    cameras.check_seen(name, seen_by, mesh.positions @ world[:3, :3].T + world[:3, 3])
