"""Undo steps for what is done from the timer, where no operator does it.

``ed.undo_push`` wants a window, which a timer has not, and a window by ``temp_override`` is not safe beside a thread
(see ``overriding``). An operator that does nothing but end makes the same step, and wants nothing.
"""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import bpy


class _Step:
    """What the steps have in common; each has a name of its own in the undo history."""

    bl_options = {"UNDO", "INTERNAL"}  # noqa: RUF012

    def execute(self, context: bpy.types.Context) -> set[str]:
        """What it is for was done already."""
        return {"FINISHED"}


class MAQUETTE_OT_step_refine(_Step, bpy.types.Operator):
    """Make one step of results that were put into the scene"""

    bl_idname = "maquette.step_refine"
    bl_label = "Maquette: Refine"


class MAQUETTE_OT_step_add_cameras(_Step, bpy.types.Operator):
    """Make one step of cameras that were added"""

    bl_idname = "maquette.step_add_cameras"
    bl_label = "Maquette: Add Cameras"


class MAQUETTE_OT_step_select_unseen(_Step, bpy.types.Operator):
    """Make one step of faces that were selected"""

    bl_idname = "maquette.step_select_unseen"
    bl_label = "Maquette: Select Unseen"


CLASSES = (MAQUETTE_OT_step_refine, MAQUETTE_OT_step_add_cameras, MAQUETTE_OT_step_select_unseen)


def refine() -> None:
    """After results were put into the scene."""
    _push("step_refine")


def add_cameras() -> None:
    """After cameras were added."""
    _push("step_add_cameras")


def select_unseen() -> None:
    """After faces were selected."""
    _push("step_select_unseen")


def _push(name: str) -> None:
    getattr(bpy.ops.maquette, name)("EXEC_DEFAULT", True)
