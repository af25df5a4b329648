"""Maquette for Blender: registers what the artist sees, and nothing else."""

import bpy

from . import (
    jobs,
    look_settings,
    operators,
    panels,
    preferences,
    prior_settings,
    properties,
    pump,
    result_settings,
    undo_steps,
)
from .operators import add_start

_CLASSES: tuple[type, ...] = (
    *preferences.CLASSES,
    *look_settings.CLASSES,
    *prior_settings.CLASSES,
    *properties.CLASSES,
    *result_settings.CLASSES,
    *operators.CLASSES,
    *undo_steps.CLASSES,
    *panels.CLASSES,
)


def register() -> None:
    """Called by Blender when the extension is enabled."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    properties.attach()
    look_settings.attach()
    prior_settings.attach()
    result_settings.attach()
    add_start.attach()
    pump.start()
    jobs.add_handlers()


def unregister() -> None:
    """Called by Blender when the extension is disabled; leaves nothing behind."""
    jobs.remove_handlers()
    pump.stop()
    add_start.detach()
    result_settings.detach()
    prior_settings.detach()
    look_settings.detach()
    properties.detach()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
