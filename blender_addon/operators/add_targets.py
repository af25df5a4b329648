"""Add Selected: the selected meshes become targets."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false

import bpy

from .. import properties


class MAQUETTE_OT_add_targets(bpy.types.Operator):
    """Add the selected meshes to the list of objects to refine"""

    bl_idname = "maquette.add_targets"
    bl_label = "Add Selected"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012 (Blender reads a plain set)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if any(_fits(thing) for thing in context.view_layer.objects.selected):
            return True
        cls.poll_message_set("Select one or more meshes first")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = properties.settings(context.scene)
        known = [target.object for target in settings.targets]
        added = [thing for thing in context.view_layer.objects.selected if _fits(thing) and thing not in known]
        for thing in added:
            settings.targets.add().object = thing
        settings.active_target = len(settings.targets) - 1
        self.report({"INFO"}, f"{len(added)} added")
        return {"FINISHED"}


def _fits(thing: bpy.types.Object) -> bool:
    return thing.type == "MESH" and properties.notes(thing).role == "NONE"
