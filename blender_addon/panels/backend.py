"""The backend's state, and what to do about it."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false

import bpy

from .. import preferences, pump
from .text import draw_lines


class MAQUETTE_PT_backend(bpy.types.Panel):
    """The backend that computes"""

    bl_label = "Backend"
    bl_parent_id = "MAQUETTE_PT_main"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Maquette"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        now = pump.runtime()
        if now.welcome is not None:
            layout.label(text=f"Connected: {now.welcome.backend}", icon="CHECKMARK")
            layout.label(text=now.welcome.device, icon="MEMORY")
        elif now.backend_is_starting:
            layout.label(text="Starting", icon="TIME")
        else:
            layout.label(text="Not connected", icon="UNLINKED")
            if now.offline is not None:
                draw_lines(layout, context, str(now.offline), icon="BLANK1")
        row = layout.row(align=True)
        row.operator("maquette.start_backend", text="Start", icon="PLAY")
        row.operator("maquette.stop_backend", text="Stop", icon="PAUSE")
        row.operator("maquette.reconnect", text="", icon="FILE_REFRESH")
        chosen = preferences.get(context)
        column = layout.column()
        column.prop(chosen, "backend_python", text="Python")
        column.prop(chosen, "connection_file", text="Connection")
