"""The scene's world and lamps → the recipe's lighting. Changes nothing."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportOptionalSubscript=false

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

from . import image_reading, mesh_reading
from ._protocol import errors, limits, recipe
from .refined import Floats

Code = errors.ErrorCode
_WIDTH = 512
"""Pixels; materials are judged in blurred light."""
_KINDS = {"SUN": "sun", "POINT": "point"}


@dataclass(frozen=True)
class Light:
    """A scene's light, as far as it can be told."""

    environment: Floats | None
    """[h,w,3], linear, row 0 at the bottom."""
    lamps: tuple[recipe.Lamp, ...]
    left_out: tuple[str, ...]
    """Lamps of other kinds, by name."""


def read_light(scene: bpy.types.Scene) -> Light:
    """The world as an equirectangular picture, and the sun and point lamps that are rendered.

    Raises:
        MaquetteError: the world's nodes are of a kind that cannot be told, or there is no light at all.
    """
    shining = [thing for thing in scene.objects if thing.type == "LIGHT" and not thing.hide_render]
    told = [thing for thing in shining if thing.data.type in _KINDS]
    if len(told) > limits.MAX_LAMPS:
        raise _bad(
            f"The scene has {len(told)} sun and point lamps; {limits.MAX_LAMPS} can be told.",
            "Disable some in renders, or set Light to Varied Studio.",
        )
    environment = _environment(scene.world)
    if environment is None and not told:
        raise _bad("The scene has neither a world that shines nor sun or point lamps.", "Add light, or set Light to Varied Studio.")
    left_out = tuple(sorted(thing.name for thing in shining if thing not in told))
    return Light(environment, tuple(_lamp(thing) for thing in told), left_out)


def _lamp(thing: bpy.types.Object) -> recipe.Lamp:
    lamp = thing.data
    place, turn, _scale = thing.matrix_world.decompose()  # a lamp's scale does not change its light
    world_from_lamp = turn.to_matrix().to_4x4()
    world_from_lamp.translation = place
    color = tuple(float(part) for part in lamp.color)
    strength = float(lamp.energy) * 2.0 ** float(getattr(lamp, "exposure", 0.0))
    return recipe.Lamp(_KINDS[lamp.type], mesh_reading.matrix4(world_from_lamp), color, max(strength, 0.0))


def _environment(world: bpy.types.World | None) -> Floats | None:
    """None where it is black, or there is none."""
    if world is None:
        return None
    tree = world.node_tree
    if tree is None or not getattr(world, "use_nodes", True):
        return _even(tuple(world.color), 1.0)
    outputs = [node for node in tree.nodes if node.bl_idname == "ShaderNodeOutputWorld" and node.is_active_output]
    link = next((link for output in outputs for link in output.inputs["Surface"].links or ()), None)
    if link is None:
        return None
    background = link.from_node
    if background.bl_idname != "ShaderNodeBackground" or background.inputs["Strength"].is_linked:
        raise _cannot(world, background.name)
    strength = float(background.inputs["Strength"].default_value)
    color = background.inputs["Color"]
    if not color.is_linked:
        return _even(tuple(color.default_value[:3]), strength)
    source = color.links[0].from_node
    if source.bl_idname != "ShaderNodeTexEnvironment" or source.image is None or source.projection != "EQUIRECTANGULAR":
        raise _cannot(world, source.name)
    return _picture(source, world) * np.float32(strength)


def _even(color: tuple[float, ...], strength: float) -> Floats | None:
    light = np.asarray(color, np.float32) * np.float32(strength)
    return np.tile(light, (2, 4, 1)).astype(np.float32) if light.any() else None


def _picture(node: bpy.types.Node, world: bpy.types.World) -> Floats:
    """[h,w,3] linear, turned as a Mapping node turns it."""
    image = node.image
    copy = image.copy()
    try:
        if not copy.size[0] * copy.size[1]:
            raise _bad(f"The image {image.name} of the world {world.name} cannot be read.", "Find the missing file, or set Light to Varied Studio.")
        copy.scale(_WIDTH, _WIDTH // 2)
        values = np.zeros((_WIDTH // 2, _WIDTH, 4), np.float32)
        copy.pixels.foreach_get(values.ravel())
    finally:
        bpy.data.images.remove(copy)
    linear = np.maximum(np.nan_to_num(image_reading.as_data(image, values)[..., :3]), 0)
    return np.ascontiguousarray(np.roll(linear, _shift(node, world), axis=1), np.float32)


def _shift(node: bpy.types.Node, world: bpy.types.World) -> int:
    """Columns by which a Mapping node's turn about Z moves the picture."""
    vector = node.inputs["Vector"]
    if not vector.is_linked:
        return 0
    mapping = vector.links[0].from_node
    if mapping.bl_idname == "ShaderNodeTexCoord":
        return 0
    if mapping.bl_idname != "ShaderNodeMapping" or mapping.vector_type != "POINT":
        raise _cannot(world, mapping.name)
    turn = tuple(mapping.inputs["Rotation"].default_value)
    moved = tuple(mapping.inputs["Location"].default_value)
    scale = tuple(mapping.inputs["Scale"].default_value)
    if any(mapping.inputs[name].is_linked for name in ("Rotation", "Location", "Scale")) or any(turn[:2]) or any(moved) or len(set(scale)) > 1:
        raise _cannot(world, mapping.name)
    # the picture is looked up at a direction that is turned by +z, whose column is less by z / 2π of the width
    return round(turn[2] / (2 * np.pi) * _WIDTH)


def _cannot(world: bpy.types.World, node: str) -> errors.MaquetteError:
    return _bad(
        f"The world {world.name} has the node “{node}”, whose light cannot be told to the backend.",
        "Use a Background of one colour or one environment image, turned about Z at most; or set Light to Varied Studio.",
    )


def _bad(message: str, remedy: str) -> errors.MaquetteError:
    return errors.MaquetteError(Code.INVALID_RECIPE, message, remedy)
