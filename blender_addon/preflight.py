"""What must be so before a result can come back the way that is asked for: said before anything starts."""

# bpy's stubs know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

from collections.abc import Sequence

import bpy

from . import target_settings
from ._protocol import errors
from .target_settings import MaquetteTarget

Code = errors.ErrorCode


def check_targets(pairs: Sequence[tuple[MaquetteTarget, bpy.types.Object]]) -> None:
    """Raises MaquetteError for the first target whose result could not come back as asked."""
    for target, thing in pairs:
        how = target_settings.delivery_of(target)
        if target_settings.reads_base(target):
            _check_edited_key(thing)
        if how.shape_key:
            _check_shape_key(thing, how)
        if how.base and target.mode == "keep_topology":
            _check_relative(thing)
        if how.all_users:
            _check_shared(thing, [other for _, other in pairs if other is not thing])


def users_of(mesh: bpy.types.Mesh) -> list[bpy.types.Object]:
    """The objects that have a mesh, fewest steps where it is only one."""
    return [thing for thing in bpy.data.objects if thing.data is mesh] if mesh.users > 1 else []


def _check_edited_key(thing: bpy.types.Object) -> None:
    """In Edit Mode an artist sees the active key; what is refined is the Basis."""
    key = thing.active_shape_key
    if thing.mode == "EDIT" and key is not None and key != thing.data.shape_keys.reference_key:
        raise _bad(
            f"{thing.name} is in Edit Mode on its shape key “{key.name}”; what is refined is the Basis.",
            "Leave Edit Mode, or make the Basis the active shape key.",
        )


def _check_shape_key(thing: bpy.types.Object, how: target_settings.Delivery) -> None:
    if not how.base:
        raise _bad(
            f"{thing.name} is read as displayed, with its modifiers applied: a shape key of it would not fit.",
            "Set Read to Base Mesh or Automatic, or Result to New Object.",
        )
    if thing.mode != "OBJECT":
        raise _bad(
            f"{thing.name} is in {thing.mode.replace('_', ' ').title()} Mode, where a shape key cannot be added.",
            "Switch to Object Mode, or set Result to New Object.",
        )


def _check_relative(thing: bpy.types.Object) -> None:
    keys = thing.data.shape_keys
    if keys is not None and not keys.use_relative:
        raise _bad(
            f"The shape keys of {thing.name} are absolute (Relative is off): one more would change its animation.",
            "Turn Relative on (Object Data ▸ Shape Keys), or set Read to As Displayed.",
        )


def _check_shared(thing: bpy.types.Object, targets: Sequence[bpy.types.Object]) -> None:
    """All that share a mesh can get only one result."""
    for other in targets:
        if other.data == thing.data:
            raise _bad(
                f"{thing.name} and {other.name} are targets that share the mesh {thing.data.name}, which all get changed.",
                "Remove one of the two from the targets, or set Shared Mesh to Make Single-User.",
            )
    if thing.data.library is not None:
        raise errors.MaquetteError(
            Code.NOT_EDITABLE,
            f"The mesh of {thing.name} is linked from {thing.data.library.filepath} and cannot be changed for all.",
            "Set Shared Mesh to Make Single-User, or make the mesh local.",
        )


def _bad(message: str, remedy: str) -> errors.MaquetteError:
    return errors.MaquetteError(Code.INVALID_RECIPE, message, remedy)
