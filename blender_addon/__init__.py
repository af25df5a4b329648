"""Maquette for Blender: registers what the artist sees, and nothing else."""

import bpy

from . import jobs, operators, panels, preferences, properties, pump

_CLASSES: tuple[type, ...] = (*preferences.CLASSES, *properties.CLASSES, *operators.CLASSES, *panels.CLASSES)


def register() -> None:
    """Called by Blender when the extension is enabled."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    properties.attach()
    pump.start()
    jobs.add_handlers()


def unregister() -> None:
    """Called by Blender when the extension is disabled; leaves nothing behind."""
    jobs.remove_handlers()
    pump.stop()
    properties.detach()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
