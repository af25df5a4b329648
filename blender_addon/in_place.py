"""A result as a shape key of the original itself, with a note of all that it takes to undo that."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false

from __future__ import annotations

import json

import bpy

from . import coloring, preflight, properties, same_topology
from .refined import Refined
from .target_settings import Delivery


def deliver(target: bpy.types.Object, refined: Refined, how: Delivery) -> properties.MaquetteKeyNotes | None:
    """Add the result to the target; the note on it. None when it cannot go there: the target was edited meanwhile."""
    if target.mode != "OBJECT":
        return None
    fitted = same_topology.fit(target, refined.surface, how)
    if fitted is None:
        return None
    surface, loops = fitted
    older = shown_key(target)
    note: properties.MaquetteKeyNotes = properties.notes(target).keys.add()
    note.active_index = target.active_shape_key_index
    _own_mesh(target, note, how)
    mesh = target.data
    note.muted = json.dumps(_mute(target, older))
    note.made_basis = mesh.shape_keys is None
    if note.made_basis:
        target.shape_key_add(name="Basis", from_mix=False)
    note.key_name = same_topology.add_key(target, surface.positions).name
    note.active_uv, note.render_uv = uv_layers(mesh)
    names = {layer.name for layer in mesh.uv_layers}
    surface, layer = same_topology.put_uvs(mesh, surface, loops, how)
    note.made_uv = layer if layer and layer not in names and surface.is_pictured else ""
    material = coloring.make_material(mesh, f"{target.name} refined", surface, pack=True) if layer else None
    if material is not None:
        _note_slots(target, note)
        coloring.use_only_on(target, material, how.slots)
    return note


def shown_key(thing: bpy.types.Object) -> bpy.types.ShapeKey | None:
    """The key of the newest result on an object; none without one, or when the artist removed it."""
    held = properties.notes(thing).keys
    keys = thing.data.shape_keys if thing.type == "MESH" else None
    return keys.key_blocks.get(held[-1].key_name) if len(held) and keys is not None else None


def has_result(thing: bpy.types.Object | None) -> bool:
    """Whether an object carries a result as a shape key."""
    return thing is not None and thing.type == "MESH" and len(properties.notes(thing).keys) > 0


def shows_original(thing: bpy.types.Object) -> bool:
    """Whether the result on it is switched off."""
    key = shown_key(thing)
    return key is not None and key.mute


def toggle(thing: bpy.types.Object) -> bool:
    """Swap the original's shape and materials with the result's; True when the original is shown now."""
    note, key = properties.notes(thing).keys[-1], shown_key(thing)
    if key is None:
        return False
    key.mute = not key.mute
    _swap_slots(thing, note)
    return key.mute


def discard(thing: bpy.types.Object) -> None:
    """Take the newest result off an object again, bit for bit."""
    held = properties.notes(thing).keys
    note, key = held[-1], shown_key(thing)
    made = [slot.material for slot in thing.material_slots] + [slot.material for slot in note.slots]
    if not shows_original(thing):
        _swap_slots(thing, note)
    if key is not None:
        _remove_key(thing, key, note)
    mesh = thing.data
    for name in json.loads(note.muted or "[]"):
        if mesh.shape_keys is not None and name in mesh.shape_keys.key_blocks:
            mesh.shape_keys.key_blocks[name].mute = False
    if note.made_slot and len(mesh.materials) == 1:
        mesh.materials.clear()
    _restore_uvs(mesh, note)
    if note.shared_mesh is not None:
        thing.data = note.shared_mesh
        if mesh.users == 0:
            bpy.data.meshes.remove(mesh)
    thing.active_shape_key_index = note.active_index
    held.remove(len(held) - 1)
    coloring.remove_unused(made)


def _own_mesh(target: bpy.types.Object, note: properties.MaquetteKeyNotes, how: Delivery) -> None:
    """A copy of a mesh that others have too, unless they are to change with it."""
    shared = target.data
    locked = shared.library is not None or shared.override_library is not None
    if locked or (len(preflight.users_of(shared)) > 1 and not how.all_users):
        note.shared_mesh = shared
        index = target.active_shape_key_index
        target.data = shared.copy()
        target.active_shape_key_index = index


def _mute(target: bpy.types.Object, older: bpy.types.ShapeKey | None) -> list[str]:
    """Switch an older result's key off: two would add up."""
    if older is None or older.mute:
        return []
    key = target.data.shape_keys.key_blocks[older.name]  # the mesh may be a copy by now
    key.mute = True
    return [key.name]


def _remove_key(thing: bpy.types.Object, key: bpy.types.ShapeKey, note: properties.MaquetteKeyNotes) -> None:
    if note.made_basis and len(thing.data.shape_keys.key_blocks) == 2:
        thing.shape_key_clear()
    else:
        thing.shape_key_remove(key)


def _note_slots(target: bpy.types.Object, note: properties.MaquetteKeyNotes) -> None:
    note.made_slot = not len(target.data.materials)
    for slot in target.material_slots:
        note.slots.add().material = slot.material


def _swap_slots(thing: bpy.types.Object, note: properties.MaquetteKeyNotes) -> None:
    """Exchange the shown materials, and the UV layer that renders, with those that the note holds."""
    if not len(note.slots) and not note.made_slot:
        return
    if note.made_slot and not len(note.slots):
        note.slots.add()  # the slot that the result brought: empty before
    for slot, kept in zip(thing.material_slots, note.slots, strict=False):
        slot.material, kept.material = kept.material, slot.material
    active, render = uv_layers(thing.data)
    for name, flag in ((note.active_uv, "active"), (note.render_uv, "active_render")):
        if name in thing.data.uv_layers:
            setattr(thing.data.uv_layers[name], flag, True)
    note.active_uv, note.render_uv = active, render


def _restore_uvs(mesh: bpy.types.Mesh, note: properties.MaquetteKeyNotes) -> None:
    """Called after ``_swap_slots``, which has made the artist's own layers the active ones."""
    if note.made_uv and note.made_uv in mesh.uv_layers:
        active, render = uv_layers(mesh)
        mesh.uv_layers.remove(mesh.uv_layers[note.made_uv])
        for name, flag in ((active, "active"), (render, "active_render")):
            if name in mesh.uv_layers:
                setattr(mesh.uv_layers[name], flag, True)


def uv_layers(mesh: bpy.types.Mesh) -> tuple[str, str]:
    """Names of the active UV layer and of the one that renders."""
    active = mesh.uv_layers.active
    render = next((layer.name for layer in mesh.uv_layers if layer.active_render), "")
    return (active.name if active is not None else ""), render
