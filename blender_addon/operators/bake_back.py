"""Bake Back: the refined surface onto the original's UVs. In a window map by map, so that it can be stopped."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import sys
from collections.abc import Generator

import bpy

from .. import baking, properties, result_settings
from .._protocol import errors
from .results import active_result

_WAIT_SECS = 0.05
"""Between two maps, for the window to show how far it is."""


class MAQUETTE_OT_bake_back(bpy.types.Operator):
    """Bake the refined surface onto a copy of the original low-poly mesh, as maps for its UVs"""

    bl_idname = "maquette.bake_back"
    bl_label = "Bake Back"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    _steps: Generator[baking.Step, None, bpy.types.Object]
    _timer: bpy.types.Timer

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        result = active_result(context)
        if result is None:
            cls.poll_message_set("Make a refined object active first")
        elif context.mode != "OBJECT":
            cls.poll_message_set("Leave Edit Mode first")
        elif properties.notes(result).original.type != "MESH":
            cls.poll_message_set("The original is no mesh any more")
        elif not result_settings.settings(context.scene).bake_maps:
            cls.poll_message_set("Choose at least one map to bake")
        else:
            return True
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        self._begin(context)
        try:
            while True:
                self._tell(context, next(self._steps))
        except StopIteration as done:
            return self._finish(context, done.value)
        except errors.MaquetteError as error:
            return self._fail(context, error)
        finally:
            context.window_manager.progress_end()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if bpy.app.background:
            return self.execute(context)
        self._begin(context)
        self._timer = context.window_manager.event_timer_add(_WAIT_SECS, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """One step a tick; Esc stops between two."""
        if event.type == "ESC":
            self._steps.close()
            self._end_modal(context)
            self.report({"INFO"}, "Baking stopped; nothing was changed")
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"RUNNING_MODAL"}
        try:
            self._tell(context, next(self._steps))
        except StopIteration as done:
            self._end_modal(context)
            return self._finish(context, done.value)
        except errors.MaquetteError as error:
            self._end_modal(context)
            return self._fail(context, error)
        return {"RUNNING_MODAL"}

    def _begin(self, context: bpy.types.Context) -> None:
        chosen = result_settings.settings(context.scene)
        maps = tuple(kind for kind, *_ in result_settings.MAPS if kind in chosen.bake_maps)
        order = baking.Order(maps, int(chosen.bake_size), chosen.normal_y)
        self._steps = baking.bake_back(context, active_result(context), order)
        context.window_manager.progress_begin(0, 100)

    def _tell(self, context: bpy.types.Context, step: baking.Step) -> None:
        context.window_manager.progress_update(int(100 * step.done))
        if bpy.app.background:
            sys.stdout.write(f"Maquette: {step.text} ({step.done:.0%})\n")
            sys.stdout.flush()
        elif context.workspace is not None:
            context.workspace.status_text_set(f"{step.text} ({step.done:.0%})   Esc: stop")

    def _finish(self, context: bpy.types.Context, baked: bpy.types.Object) -> set[str]:
        self.report({"INFO"}, f"{baked.name} wears the maps; the refined object is hidden")
        return {"FINISHED"}

    def _fail(self, context: bpy.types.Context, error: errors.MaquetteError) -> set[str]:
        self.report({"ERROR"}, str(error))
        return {"CANCELLED"}

    def _end_modal(self, context: bpy.types.Context) -> None:
        context.window_manager.event_timer_remove(self._timer)
        context.window_manager.progress_end()
        if context.workspace is not None:
            context.workspace.status_text_set(None)
