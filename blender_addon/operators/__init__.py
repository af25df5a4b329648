"""What the artist can do, one operator a file."""

from . import (
    add_start,
    add_targets,
    backend_process,
    bake_back,
    cancel,
    discard_result,
    reconnect,
    refine,
    remove_target,
    stop_and_keep,
    switch_materials,
    toggle_original,
)

CLASSES: tuple[type, ...] = (
    add_targets.MAQUETTE_OT_add_targets,
    remove_target.MAQUETTE_OT_remove_target,
    backend_process.MAQUETTE_OT_start_backend,
    backend_process.MAQUETTE_OT_stop_backend,
    reconnect.MAQUETTE_OT_reconnect,
    refine.MAQUETTE_OT_refine,
    cancel.MAQUETTE_OT_cancel,
    stop_and_keep.MAQUETTE_OT_stop_and_keep,
    toggle_original.MAQUETTE_OT_toggle_original,
    discard_result.MAQUETTE_OT_discard_result,
    switch_materials.MAQUETTE_OT_switch_materials,
    bake_back.MAQUETTE_OT_bake_back,
    add_start.MAQUETTE_OT_add_start,
    add_start.MAQUETTE_MT_start,
)
