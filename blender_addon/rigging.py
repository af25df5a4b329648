"""An armature on a new surface: the modifier, and the surface brought back from the pose in which it was refined."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportReturnType=false

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from .refined import Floats

_AT_REST = 1e-5
"""Largest entry of a bone's matrix less identity that still counts as no pose."""
_SETTINGS = (
    "object",
    "use_vertex_groups",
    "use_bone_envelopes",
    "use_deform_preserve_volume",
    "use_multi_modifier",
    "vertex_group",
    "invert_vertex_group",
    "show_viewport",
    "show_render",
    "show_in_editmode",
    "show_on_cage",
)


@dataclass(frozen=True)
class Pose:
    """A pose as matrices: a vertex goes to the mean of what each bone's matrix makes of it, by its weights."""

    groups: tuple[str, ...]
    """Vertex groups that bones move, by the bones' names."""
    matrices: NDArray[np.float64]
    """[B,4,4], object space to object space."""

    @property
    def at_rest(self) -> bool:
        """True when it moves nothing."""
        return bool(np.abs(self.matrices - np.eye(4)).max(initial=0.0) < _AT_REST)


def armature_modifiers(thing: bpy.types.Object) -> list[bpy.types.ArmatureModifier]:
    """The armature modifiers that have an armature."""
    return [one for one in thing.modifiers if one.type == "ARMATURE" and one.object is not None]


def copy_armatures(target: bpy.types.Object, result: bpy.types.Object) -> None:
    """The target's armature modifiers on the result, in order."""
    for modifier in armature_modifiers(target):
        copy = result.modifiers.new(modifier.name, "ARMATURE")
        for name in _SETTINGS:
            setattr(copy, name, getattr(modifier, name))


def copy_modifiers(target: bpy.types.Object, result: bpy.types.Object, but: Collection[str] = ()) -> None:
    """The target's modifiers on the result, with their settings, save those of some types."""
    for modifier in (one for one in target.modifiers if one.type not in but):
        copy = result.modifiers.new(modifier.name, modifier.type)
        for prop in modifier.bl_rna.properties:
            if not prop.is_readonly and prop.identifier != "name":
                setattr(copy, prop.identifier, getattr(modifier, prop.identifier))
        if modifier.type == "NODES":
            for key in list(modifier.keys()):  # the inputs of its group
                copy[key] = modifier[key]


def pose_of(thing: bpy.types.Object, world_from_object: Matrix) -> Pose | None:
    """The pose that deforms an object now, as its armature modifier and the armature say.

    None when it is not of the kind that can be undone exactly: more than one armature, an armature as deforming
    parent, preserved volume, envelopes, a masked modifier, bendy bones.
    """
    active = [one for one in armature_modifiers(thing) if one.show_viewport]
    deforming_parent = thing.parent is not None and thing.parent_type == "ARMATURE"
    if not active and not deforming_parent:
        return Pose((), np.zeros((0, 4, 4)))
    if len(active) != 1 or deforming_parent or not _is_linear(active[0]):
        return None
    armature = active[0].object
    if armature.data.pose_position == "REST":
        return Pose((), np.zeros((0, 4, 4)))
    bones = [one for one in armature.pose.bones if one.bone.use_deform]
    if any(one.bone.bbone_segments > 1 for one in bones):
        return None
    to_armature = armature.matrix_world.inverted() @ world_from_object
    matrices = [to_armature.inverted() @ one.matrix @ one.bone.matrix_local.inverted() @ to_armature for one in bones]
    return Pose(tuple(one.name for one in bones), np.array(matrices, np.float64).reshape(-1, 4, 4))


def _is_linear(modifier: bpy.types.ArmatureModifier) -> bool:
    odd = modifier.use_deform_preserve_volume or modifier.use_bone_envelopes or modifier.use_multi_modifier
    return modifier.use_vertex_groups and not odd and not modifier.vertex_group


def unposed(positions: Floats, pose: Pose, weights: NDArray[np.float64]) -> Floats:
    """Positions [V,3] from which the pose makes those given. weights [V,B] are the vertices' own, as on the mesh.

    Linear blend skinning moves a vertex by one matrix that only its own weights decide, so its inverse is exact.
    """
    total = weights.sum(axis=1)
    moved = total > 0
    blended = np.einsum("vb,bij->vij", weights[moved] / total[moved, None], pose.matrices)
    out = positions.copy()
    offsets = positions[moved] - blended[:, :3, 3]
    out[moved] = np.einsum("vij,vj->vi", np.linalg.inv(blended[:, :3, :3]), offsets)
    return out
