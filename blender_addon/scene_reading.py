"""The scene → a recipe and the arrays it names. Changes nothing."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field, replace

import bpy
import numpy as np

from . import (
    camera_reading,
    controls,
    light_reading,
    look_settings,
    mesh_reading,
    mirror_halves,
    paint_reading,
    preflight,
    prior_settings,
    properties,
    quads,
    target_settings,
)
from ._protocol import arrays, checks, errors, limits, mesh, presets, recipe
from .target_settings import Delivery

Code = errors.ErrorCode


@dataclass(frozen=True)
class TargetKey:
    """How a target is found again: never by a reference, which undo and file load make dangling."""

    subject_id: str
    name: str
    session_uid: int
    how: Delivery = field(default_factory=Delivery)
    """How its result comes back."""


@dataclass(frozen=True)
class SceneReading:
    """All that a job needs from the scene."""

    recipe: recipe.Recipe
    blobs: dict[str, arrays.Bytes]
    """Every array that the recipe names, by hash."""
    targets: tuple[TargetKey, ...]


def read_scene(
    context: bpy.types.Context, known_priors: Collection[str] = (), known_controls: Collection[str] = ()
) -> SceneReading:
    """The recipe that the scene's Maquette settings describe, checked.

    Args:
        known_priors, known_controls: the backend's lists, once they are known.

    Raises:
        MaquetteError: anything the artist has to change first.
    """
    scene = context.scene
    settings = properties.settings(scene)
    if not len(settings.targets):
        raise _bad(Code.NO_TARGET, "There is nothing to refine.", "Select meshes and press Add Selected.")
    things = [_target_object(target) for target in settings.targets]
    _check_distinct(things)
    preflight.check_targets(tuple(zip(settings.targets, things, strict=True)))
    cameras = camera_reading.read_cameras(scene) if settings.cameras != "ORBIT" else ()
    blobs: dict[str, arrays.Bytes] = {}
    pairs = tuple(zip(settings.targets, things, strict=True))
    look = look_settings.settings(scene)
    read = tuple(_read_subject(context, target, thing, cameras, blobs) for target, thing in pairs)
    subjects = tuple(subject for subject, _ in read)
    whole = recipe.Recipe(
        subjects=subjects,
        rig=recipe.CameraRig(cameras=cameras, orbit=settings.cameras != "SCENE"),
        context=_read_context(context, things, blobs) if settings.include_context else (),
        stages=_stages(settings, look),
        guidance=_guidance(settings),
        prior=settings.prior,
        seed=settings.seed,
        lighting=_lighting(scene, blobs) if look.light == "SCENE" else recipe.Lighting(),
        scene_prompt=look.scene_prompt.strip(),
    )
    whole = prior_settings.with_priors(whole, prior_settings.settings(scene))
    if not known_priors:  # nothing is known yet: whatever is named may be there
        known_priors = (whole.prior, *(one.name for one in whole.further_priors))
        known_controls = [one.name for one in whole.controls]
    checks.check_recipe(whole, known_priors, known_controls)
    keys = tuple(
        TargetKey(subject.subject_id, thing.name, thing.session_uid, how)
        for (subject, how), (_, thing) in zip(read, pairs, strict=True)
    )
    return SceneReading(whole, blobs, keys)


def _target_object(target: properties.MaquetteTarget) -> bpy.types.Object:
    """A target's object, fit to be refined."""
    thing: bpy.types.Object | None = target.object
    if thing is None or not thing.users_scene:
        raise _bad(Code.TARGET_GONE, "A target's object was deleted.", "Remove the empty line from the targets.")
    if thing.library is not None:
        raise _bad(
            Code.NOT_EDITABLE,
            f"{thing.name} is linked from {thing.library.filepath} and cannot be changed here.",
            "Make it local or make a library override (Object > Relations).",
        )
    if thing.type != "MESH":
        raise _bad(Code.NOT_EDITABLE, f"{thing.name} is not a mesh.", "Convert it (Object > Convert > Mesh).")
    if checks.is_blank(target.prompt):
        raise _bad(Code.EMPTY_PROMPT, f"{thing.name} has no prompt.", "Say in words what it should become.")
    return thing


def _check_distinct(things: list[bpy.types.Object]) -> None:
    names = [thing.name for thing in things]
    for name in names:
        if names.count(name) > 1:
            raise _bad(Code.INVALID_RECIPE, f"{name} is a target twice.", "Remove one of the two.")


def _read_subject(
    context: bpy.types.Context,
    target: properties.MaquetteTarget,
    thing: bpy.types.Object,
    cameras: tuple[recipe.Camera, ...],
    blobs: dict[str, arrays.Bytes],
) -> tuple[recipe.Subject, Delivery]:
    found, paint = _read_half(context, target, thing)
    halves = _halves(target, thing)
    whole = mirror_halves.with_other_halves(found, halves)
    mesh.check_mesh(thing.name, whole.mesh.positions, whole.mesh.triangles)
    settings = properties.settings(context.scene)
    if settings.cameras == "SCENE":
        camera_reading.check_seen(thing.name, whole.mesh, cameras)
    subject = recipe.Subject(
        # from the name, not from chance: the same scene gives the same recipe, so a result can be repeated
        subject_id=hashlib.sha256(thing.name_full.encode()).hexdigest()[:32],
        name=thing.name,
        prompt=target.prompt.strip(),
        negative_prompt=target.negative_prompt.strip(),
        mesh=_mesh_ref(whole.mesh, blobs),
        world_from_object=whole.mesh.world_from_object,
        mode=target.mode,
        strength=target.strength,
        texture_size=paint.texture_size,
        stay_close=target.stay_close,
        locks=controls.read_locks(target, frozenset(halves.axes)),
        mask=None if whole.mask is None else _keep(whole.mask, blobs),
        sharp_edges=None if whole.sharp_edges is None else _keep(whole.sharp_edges, blobs),
        triangle_budget=_budget(target, thing.name),
        material=target.paint.material,
        seed=target.paint.seed if target.paint.has_seed else None,
        maps=_maps_ref(paint, blobs),
        keep_look=target.paint.keep_look if paint.maps else 0.0,
        texel_mask=None if paint.texel_mask is None else _keep(paint.texel_mask, blobs),
        painted_triangles=None if whole.painted is None else _keep(whole.painted, blobs),
        upscale=_upscale(target, paint.texture_size),
    )
    return subject, replace(_delivery(target, thing), slots=paint.slots, tiles=paint.tiles)


def _upscale(target: properties.MaquetteTarget, side: int) -> int:
    """How many times; bounded here, where the panel's own words can be used. ``side``: of all tiles together, pixels."""
    times = int(target.paint.upscale)
    if times > 1 and times * side > limits.MAX_TEXTURE_SIZE:
        raise _bad(
            Code.INVALID_RECIPE,
            f"The texture of {target.object.name}, {side} pixels upscaled {times} times, would have {times * side}; "
            f"{limits.MAX_TEXTURE_SIZE} are possible.",
            "Set Upscale lower, or choose a smaller texture.",
        )
    return times


def _maps_ref(paint: paint_reading.Paint, blobs: dict[str, arrays.Bytes]) -> recipe.SurfaceMaps | None:
    if not paint.maps:
        return None
    kept = {kind: _keep(np.ascontiguousarray(image), blobs) for kind, image in paint.maps.items()}
    return recipe.SurfaceMaps(kept.get("COLOR"), kept.get("ROUGHNESS"), kept.get("METALLIC"), kept.get("NORMAL"))


def _lighting(scene: bpy.types.Scene, blobs: dict[str, arrays.Bytes]) -> recipe.Lighting:
    light = light_reading.read_light(scene)
    return recipe.Lighting(None if light.environment is None else _keep(light.environment, blobs), light.lamps)


def _read_half(
    context: bpy.types.Context, target: properties.MaquetteTarget, thing: bpy.types.Object
) -> tuple[mirror_halves.Half, paint_reading.Paint]:
    """The mesh that is refined, with what the artist laid on its vertices and faces; and how it is painted."""
    base = target_settings.reads_base(target)
    world = mesh_reading.world_from_object(context, thing)
    with mesh_reading.source_mesh(context, thing, base=base) as source:
        found = mesh_reading.checked(thing.name, source, world)
        size = int(properties.settings(context.scene).texture_size)
        paint = paint_reading.read_paint(thing, source, target, found, size)
        paints_only = target.mode == "texture_only"
        by_faces = paints_only and target.mask_source == "SELECTED"  # whose borders are the selection's, to the texel
        mask = None if by_faces else controls.read_mask(thing, source, target, found.positions)
        edges = controls.read_sharp_edges(source) if target.keep_sharp and not paints_only else None
        found = replace(found, corner_uvs=paint.corner_uvs)
        return mirror_halves.Half(found, mask, edges, paint.painted), paint


def _halves(target: properties.MaquetteTarget, thing: bpy.types.Object) -> mirror_halves.Halves:
    """Of Keep Topology, whose result goes below the modifiers; what is read evaluated has its halves already."""
    if target.mode != "keep_topology" or not target_settings.reads_base(target):
        return mirror_halves.Halves()
    return mirror_halves.halves_of(thing)


def _delivery(target: properties.MaquetteTarget, thing: bpy.types.Object) -> Delivery:
    return replace(target_settings.delivery_of(target), mirrored=bool(_halves(target, thing).axes))


def _budget(target: properties.MaquetteTarget, name: str) -> int:
    """Of Remesh; other modes make no triangles."""
    budget: int = target.triangle_budget if target.mode == "remesh" else 0
    if 0 < budget < limits.MIN_TRIANGLE_BUDGET:
        raise _bad(
            Code.INVALID_RECIPE,
            f"The triangle budget of {name} is {budget}.",
            f"Set it to {limits.MIN_TRIANGLE_BUDGET} or more, or to 0 for no bound.",
        )
    if target_settings.delivery_of(target).quads:
        return min(budget or quads.MOST_TRIANGLES, quads.MOST_TRIANGLES)
    return budget


def _mesh_ref(found: mesh_reading.MeshArrays, blobs: dict[str, arrays.Bytes]) -> recipe.MeshRef:
    return recipe.MeshRef(
        _keep(found.positions, blobs),
        _keep(found.triangles, blobs),
        None if found.corner_uvs is None else _keep(found.corner_uvs, blobs),
    )


def _keep(array: arrays.Array, blobs: dict[str, arrays.Bytes]) -> recipe.ArrayRef:
    ref = arrays.array_ref(array)
    blobs[ref.sha256] = arrays.array_bytes(array)
    return ref


def _read_context(
    context: bpy.types.Context, targets: list[bpy.types.Object], blobs: dict[str, arrays.Bytes]
) -> tuple[recipe.ContextObject, ...]:
    """Visible meshes that are no targets; one that cannot be refined cannot hide anything either, and is left out."""
    found: list[recipe.ContextObject] = []
    for thing in context.scene.objects:
        if thing.type != "MESH" or thing in targets or not thing.visible_get(view_layer=context.view_layer):
            continue
        try:
            seen = mesh_reading.read_mesh(context, thing)
        except errors.MaquetteError as error:
            if error.code == Code.TOO_MANY_TRIANGLES:
                raise
            continue
        found.append(recipe.ContextObject(thing.name, _mesh_ref(seen, blobs), seen.world_from_object))
    return tuple(found)


def _guidance(settings: properties.MaquetteSceneSettings) -> recipe.Guidance:
    """The preset's, at the panel's scales where it has any."""
    own = presets.guidance_of(settings.preset, settings.prior)
    scales = (settings.geometry_scale or own.geometry_scale, settings.appearance_scale or own.appearance_scale)
    return replace(own, geometry_scale=scales[0], appearance_scale=scales[1])


def _stages(settings: properties.MaquetteSceneSettings, look: look_settings.MaquetteLook) -> recipe.Stages:
    return recipe.Stages(
        geometry_steps=settings.geometry_steps,
        appearance_steps=settings.appearance_steps,
        grid_resolution=settings.grid_resolution,
        views_per_step=settings.views_per_step,
        render_size=settings.render_size,
        preview_every=settings.preview_every,
        scene_steps=look.scene_steps,
        finish_steps=look.finish_steps,
    )


def _bad(code: errors.ErrorCode, message: str, remedy: str) -> errors.MaquetteError:
    return errors.MaquetteError(code, message, remedy)
