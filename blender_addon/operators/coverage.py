"""Check Views, Select, Add Cameras: which faces of the chosen target no view sees, and what would.

From a button they are done bit by bit by the timer, with a bar in the panel; from a script at once.
"""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import bpy

from .. import pump, view_check
from .._protocol import errors
from .uv_tools import chosen_target, poll_target


class _Checking:
    """What the three operators share."""

    purpose: view_check.Purpose

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if pump.runtime().view_check is not None:
            cls.poll_message_set("The views are being checked")
            return False
        return poll_target(cls, context)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        check = self._begun(context)
        if check is None:
            return {"CANCELLED"}
        pump.runtime().view_check = check
        return {"FINISHED"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        check = self._begun(context)
        if check is None:
            return {"CANCELLED"}
        check.finish(context)
        self.report({"INFO"}, check.said)
        return {"FINISHED"} if check.has_found or self.purpose == "check" else {"CANCELLED"}

    def _begun(self, context: bpy.types.Context) -> view_check.ViewCheck | None:
        target = chosen_target(context)
        assert target is not None
        try:
            return view_check.ViewCheck(context, target.object, self.purpose)
        except errors.MaquetteError as error:
            self.report({"ERROR"}, str(error))
            return None


class MAQUETTE_OT_check_views(_Checking, bpy.types.Operator):
    """Look which faces of the chosen target no view will see: their texture is filled in from around them"""

    bl_idname = "maquette.check_views"
    bl_label = "Check Views"
    bl_options = {"REGISTER"}  # noqa: RUF012
    purpose = "check"


class MAQUETTE_OT_select_unseen(_Checking, bpy.types.Operator):
    """Select the faces that no view will see, in Edit Mode"""

    bl_idname = "maquette.select_unseen"
    bl_label = "Select Unseen Faces"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    purpose = "select"


class MAQUETTE_OT_add_cameras(_Checking, bpy.types.Operator):
    """Add cameras that see the unseen faces, to a collection “Maquette Cameras”, and let the refinement use them"""

    bl_idname = "maquette.add_cameras"
    bl_label = "Add Cameras"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    purpose = "add"
