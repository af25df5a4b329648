"""Previews and results → the scene. With ``in_place`` and ``instances`` all that changes the artist's data."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import bpy

from . import (
    carrying,
    coloring,
    in_place,
    instances,
    mesh_building,
    properties,
    quads,
    result_notes,
    result_settings,
    same_topology,
    selecting,
)
from ._protocol import recipe_text
from .refined import Frame, Refined
from .target_settings import Delivery

_TRANSFORM = (
    "rotation_mode",
    "location",
    "rotation_euler",
    "rotation_quaternion",
    "rotation_axis_angle",
    "scale",
    "delta_location",
    "delta_rotation_euler",
    "delta_rotation_quaternion",
    "delta_scale",
    "parent",
    "parent_type",
    "parent_bone",
    "parent_vertices",
    "matrix_parent_inverse",
)
PREVIEW_SUFFIX = " (Maquette preview)"
RESULT_SUFFIX = " refined"
OWN_POLYGONS = -2
"""What a preview notes as its topology while it has the target's own polygons, below the same modifiers."""
SAID = "maquette_prompt_reading"
"""Custom property of a result: what the prior made of its prompt, and what else the artist should know."""
EDITED = "The mesh was edited while the job ran, so the result is a new object."
CARRIED = "Groups, rig, materials and colours were taken from the nearest points of the mesh as it is now."
EMPTIED = "It has no faces any more, so nothing of it could be carried over."


@dataclass(frozen=True)
class Origin:
    """Where a result comes from, stored on it."""

    job_id: str
    recipe_json: str
    versions: str
    said: Mapping[str, str] = field(default_factory=dict)
    """What the prior makes of each subject's prompt, by subject; told in the panel."""


@dataclass(frozen=True)
class _Made:
    """A result's object."""

    thing: bpy.types.Object
    fits: bool
    """It has the artist's own polygons, with all that is on them."""
    carried: bool = False
    """Else: it took over what hung on the original."""
    said: str = ""
    """What the artist should know of how it was made."""


# ---- previews -------------------------------------------------------------------------------------
def show_preview(
    context: bpy.types.Context,
    target: bpy.types.Object,
    frame: Frame,
    how: Delivery = Delivery(),  # noqa: B008 (immutable)
) -> bpy.types.Object:
    """Show a preview in the target's place. No undo step; ``drop_preview`` takes it back."""
    preview = find_preview(target, frame)
    if preview is None:
        preview = _new_preview(context, target, frame, how)
    mesh = preview.data
    assert isinstance(mesh, bpy.types.Mesh)
    held = properties.notes(preview)
    if held.topology == OWN_POLYGONS:
        same_topology.show_on(preview, frame.surface, how)
        return preview
    if held.topology != frame.topology or len(mesh.vertices) != len(frame.surface.positions):
        surface = frame.surface
        mesh_building.fill_mesh(mesh, surface.positions, surface.triangles, surface.corner_uvs)
        held.topology = frame.topology
    else:
        if frame.surface.corner_uvs is not None:
            mesh_building.set_uvs(mesh, mesh_building.UV_NAME, frame.surface.corner_uvs.reshape(-1, 2))
        mesh_building.set_positions(mesh, frame.surface.positions)
    coloring.color_surface(mesh, preview.name, frame.surface)
    return preview


def find_preview(target: bpy.types.Object, frame: Frame) -> bpy.types.Object | None:
    """The target's preview: by its name, which is fast, else by its notes, as artists may rename it."""
    named = bpy.data.objects.get(_short(target.name, PREVIEW_SUFFIX))
    for thing in (named, *bpy.data.objects) if named is None or not _is_preview(named, frame) else (named,):
        if thing is not None and _is_preview(thing, frame):
            return thing
    return None


def _is_preview(thing: bpy.types.Object, frame: Frame) -> bool:
    held = properties.notes(thing)
    return held.role == "PREVIEW" and (held.job_id, held.subject_id) == (frame.job_id, frame.subject_id)


def _new_preview(
    context: bpy.types.Context, target: bpy.types.Object, frame: Frame, how: Delivery
) -> bpy.types.Object:
    name = _short(target.name, PREVIEW_SUFFIX)
    own = same_topology.bare_copy(target, name, frame.surface, how) if how.base else None
    if own is not None:
        _link(own, target)
    preview = own or _stand_in(name, bpy.data.meshes.new(name), target)
    held = properties.notes(preview)
    held.topology = OWN_POLYGONS if own is not None else -1
    held.role, held.job_id, held.subject_id, held.original = "PREVIEW", frame.job_id, frame.subject_id, target
    held.was_selected = selecting.is_selected(context, target)
    held.was_visible = not target.hide_viewport
    older = properties.notes(target).result
    held.hid_result = older is not None and not older.hide_viewport
    if older is not None and held.hid_result:
        older.hide_viewport = True
    # an object that is being edited stays visible: hiding it would throw the artist out of the mode
    if target.mode != "EDIT":
        target.hide_viewport = True
    return preview


def previews(job_id: str | None = None) -> list[bpy.types.Object]:
    """All previews, or those of one job."""
    found = [thing for thing in bpy.data.objects if properties.notes(thing).role == "PREVIEW"]
    return [thing for thing in found if job_id is None or properties.notes(thing).job_id == job_id]


def drop_preview(context: bpy.types.Context, preview: bpy.types.Object) -> None:
    """Remove a preview and show again what it stood for."""
    held = properties.notes(preview)
    target, selected, visible, hid_result = held.original, held.was_selected, held.was_visible, held.hid_result
    _remove(preview)
    if target is None:
        return
    target.hide_viewport = not visible
    older = properties.notes(target).result
    if hid_result and older is not None:
        older.hide_viewport = False
    if selected:
        selecting.select(context, target)


# ---- results --------------------------------------------------------------------------------------
def accept(
    context: bpy.types.Context,
    target: bpy.types.Object,
    refined: Refined,
    origin: Origin,
    how: Delivery = Delivery(),  # noqa: B008 (immutable)
) -> bpy.types.Object:
    """Put a result where the artist wants it. No undo step of its own.

    As a new object in the target's place, which stays, hidden and linked to it; or as a shape key of the target itself,
    which is returned then. A target that was edited so that the result does not fit it any more gets a new object.
    """
    refined = as_asked(refined, origin.recipe_json)
    said = f"{origin.said.get(refined.subject_id, '')} {result_notes.of_images(refined)}".strip()
    if refined.same_topology and how.shape_key:
        note = in_place.deliver(target, refined, how)
        if note is not None:
            note.job_id, note.recipe, note.versions, note.said = origin.job_id, origin.recipe_json, origin.versions, said
            note.seen = refined.seen if refined.surface.maps is not None else -1.0
            _show_key(context, target, note)
            return target
    made = _result_object(context, target, refined, origin, how)
    result, fits = made.thing, made.fits
    result["maquette_recipe"] = origin.recipe_json
    result["maquette_job"] = origin.job_id
    result["maquette_versions"] = origin.versions
    if refined.surface.maps is not None:
        result[result_notes.SEEN] = refined.seen
    if refined.same_topology and (how.shape_key or not fits):
        said = f"{said} {EDITED}".strip()
    if not fits and (refined.same_topology or not made.carried):
        said = f"{said} {CARRIED if made.carried else EMPTIED}".strip()
    said = f"{said} {made.said}".strip()
    if said:
        result[SAID] = said
    held = properties.notes(result)
    held.role, held.job_id, held.subject_id, held.original = "RESULT", origin.job_id, refined.subject_id, target
    if fits and how.base and how.all_users:
        instances.take_along(target, result)
    _replace(context, target, result)
    return result


def as_asked(refined: Refined, recipe_json: str) -> Refined:
    """Without the colours that a backend makes up when none were asked for: the artist's materials stay then."""
    asked = recipe_text.recipe_from_json(recipe_json)
    paints = any(one.subject_id == refined.subject_id and one.mode == "texture_only" for one in asked.subjects)
    if asked.stages.appearance_steps or paints:
        return refined
    return replace(refined, surface=replace(refined.surface, texture=None, maps=None, colors=None, corner_uvs=None))


def _result_object(
    context: bpy.types.Context, target: bpy.types.Object, refined: Refined, origin: Origin, how: Delivery
) -> _Made:
    """The artist's own polygons, moved, where they correspond; else the triangles that came."""
    name = _short(target.name, RESULT_SUFFIX)
    if refined.same_topology and how.base:
        copy = same_topology.moved_copy(target, refined, name, how)
        if copy is not None:
            copy.data.name = name
            _link(copy, target)
            return _Made(copy, fits=True)
    mesh, surface = bpy.data.meshes.new(name), refined.surface
    applied = refined.same_topology and not how.base
    moved = same_topology.moved_evaluated(context, target, surface, how) if applied else None
    if moved is not None:
        bpy.data.meshes.remove(mesh)
        mesh, surface = moved
        mesh.name = name
    else:
        mesh_building.fill_mesh(mesh, surface.positions, surface.triangles, surface.corner_uvs)
    result = _stand_in(name, mesh, target)
    coloring.color_surface(mesh, name, surface, pack=True, slots=how.slots if moved is not None else ())
    if moved is not None:
        return _Made(result, fits=True)
    wishes = result_settings.wishes(context.scene)
    carried = carrying.carry(context, target, result, refined, origin.recipe_json, wishes, how)
    said = quads.make_quads(context, result, how.quads) if how.quads else ""
    if not refined.same_topology:
        mesh_building.mark_hard_edges(result.data)
    return _Made(result, fits=False, carried=carried, said=said)


def _show_key(context: bpy.types.Context, target: bpy.types.Object, note: properties.MaquetteKeyNotes) -> None:
    """The target shows its new key; an older result that stood in its place goes."""
    older = properties.notes(target).result
    if older is None or older.hide_viewport or not target.hide_viewport:
        return
    note.hid_result = True
    selected, active = selecting.is_selected(context, older), context.view_layer.objects.active == older
    older.hide_viewport = older.hide_render = True
    target.hide_viewport = target.hide_render = False
    selecting.take_selection(context, target, selected, active)


def discard_key(context: bpy.types.Context, thing: bpy.types.Object) -> None:
    """Take the newest result off the object that carries it as a shape key."""
    hid_result, older = properties.notes(thing).keys[-1].hid_result, properties.notes(thing).result
    in_place.discard(thing)
    if hid_result and older is not None:
        selected, active = selecting.is_selected(context, thing), context.view_layer.objects.active == thing
        thing.hide_viewport = thing.hide_render = True
        older.hide_viewport = older.hide_render = False
        selecting.take_selection(context, older, selected, active)


def _replace(context: bpy.types.Context, target: bpy.types.Object, result: bpy.types.Object) -> None:
    """Hide the target (and its older result) and let the result take its selection."""
    held, older = properties.notes(result), properties.notes(target).result
    before = properties.notes(older) if older is not None else None
    held.was_visible = before.was_visible if before else not target.hide_viewport
    held.was_rendered = before.was_rendered if before else not target.hide_render
    replaced = target if older is None else older
    held.was_selected = selecting.is_selected(context, replaced) or selecting.is_selected(context, target)
    active = context.view_layer.objects.active in (target, replaced)
    editing = target.mode == "EDIT"
    if older is not None:
        older.hide_viewport = older.hide_render = True
    target.hide_render = True
    if not editing:
        target.hide_viewport = True
    properties.notes(target).result = result
    if held.was_selected and not editing:
        selecting.select(context, result)
    if active and not editing and context.view_layer.objects.get(result.name) is not None:
        context.view_layer.objects.active = result


def toggle(context: bpy.types.Context, result: bpy.types.Object) -> bool:
    """Swap which of original and result is shown; True when the original is shown now."""
    original = properties.notes(result).original
    show = original.hide_viewport
    for thing, hidden in ((original, not show), (result, show)):
        thing.hide_viewport = thing.hide_render = hidden
    instances.show(result, original=show)
    selecting.select(context, original if show else result)
    context.view_layer.objects.active = original if show else result
    return show


def discard(context: bpy.types.Context, result: bpy.types.Object) -> None:
    """Remove a result and show again what it replaced: an older result, or the original."""
    held = properties.notes(result)
    original, visible, rendered, selected = held.original, held.was_visible, held.was_rendered, held.was_selected
    older = [thing for thing in bpy.data.objects if properties.notes(thing).role == "RESULT" and thing is not result]
    older = [thing for thing in older if properties.notes(thing).original is original]
    instances.give_back(result, older[-1] if older else None)
    active = context.view_layer.objects.active == result
    _remove(result)
    if original is None:
        return
    shown = older[-1] if older else original
    properties.notes(original).result = older[-1] if older else None
    shown.hide_viewport = not visible if shown is original else False
    shown.hide_render = not rendered if shown is original else False
    selecting.take_selection(context, shown, selected, active)


# ---- common ---------------------------------------------------------------------------------------
def _stand_in(name: str, mesh: bpy.types.Mesh, target: bpy.types.Object) -> bpy.types.Object:
    """A new object with the target's transform, parent and collections."""
    thing = bpy.data.objects.new(name, mesh)
    for attribute in _TRANSFORM:
        setattr(thing, attribute, getattr(target, attribute))
    _link(thing, target)
    if len(target.constraints):
        thing.matrix_world = target.matrix_world
    return thing


def _link(thing: bpy.types.Object, target: bpy.types.Object) -> None:
    for collection in target.users_collection:
        collection.objects.link(thing)


def _remove(thing: bpy.types.Object) -> None:
    """Remove an object of ours with its mesh, materials and images, as far as nobody else uses them."""
    mesh = thing.data
    assert isinstance(mesh, bpy.types.Mesh)
    materials = {material.name: material for material in mesh.materials if material is not None}
    images = {image.name: image for material in materials.values() for image in coloring.images_of(material)}
    bpy.data.objects.remove(thing)
    if mesh.users == 0:
        bpy.data.meshes.remove(mesh)
    for material in materials.values():
        if material.users == 0:
            bpy.data.materials.remove(material)
    for image in images.values():
        if image.users == 0:
            bpy.data.images.remove(image)


def _short(name: str, suffix: str) -> str:
    """A name with a suffix that Blender (63 bytes up to 4.x) does not cut off."""
    return name.encode()[: 63 - len(suffix)].decode(errors="ignore") + suffix


def result_name(name: str) -> str:
    """What the refined object of a target is called."""
    return _short(name, RESULT_SUFFIX)


# ---- notes and undo -------------------------------------------------------------------------------
def stamp(things: Iterable[tuple[bpy.types.Object, str]], job_id: str) -> None:
    """Note on objects that they belong to a job, so that they are found again after a reload."""
    for thing, subject_id in things:
        held = properties.notes(thing)
        held.job_id, held.subject_id = job_id, subject_id


def unstamp(job_id: str) -> None:
    """Forget a job on all its targets."""
    for thing in bpy.data.objects:
        held = properties.notes(thing)
        if held.role == "NONE" and held.job_id == job_id:
            held.property_unset("job_id")
            held.property_unset("subject_id")
