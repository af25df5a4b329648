"""Bake a refined surface onto the UVs of the low-poly mesh it came from, with Blender's own baker.

Everything is baked in a scene of our own, with copies: the artist's scene, its engine, samples, selection and render
settings are never touched, so nothing has to be put back.
"""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from . import bake_checks, bake_material, mesh_reading, overriding, properties
from ._protocol import errors
from .refined import Floats, Ints

Code = errors.ErrorCode
BAKED_SUFFIX = " Baked"
_STAGE = ".maquette bake"
_PASSES = {"NORMAL": ("NORMAL", 8), "COLOR": ("DIFFUSE", 8), "AO": ("AO", 16)}
"""Blender's name of a map, and samples a texel."""


@dataclass(frozen=True)
class Order:
    """What to bake."""

    maps: tuple[str, ...]
    """Of NORMAL, COLOR, AO, DISPLACEMENT."""
    size: int
    """Side of the images in pixels."""
    normal_y: str
    """POS_Y or NEG_Y."""


@dataclass(frozen=True)
class Step:
    """What is done next, and how much was done before."""

    text: str
    done: float
    """0..1"""


@dataclass(frozen=True)
class _Stage:
    """The scene of our own."""

    scene: bpy.types.Scene
    low: bpy.types.Object
    high: bpy.types.Object
    node: bpy.types.Node
    uv_layer: str
    extrusion: float
    reach: float


def bake_back(
    context: bpy.types.Context, result: bpy.types.Object, order: Order
) -> Generator[Step, None, bpy.types.Object]:
    """Bake step by step; returns a copy of the original, "<name> Baked", that wears the maps.

    Closing it midway removes everything that it made. Raises MaquetteError when the original's UVs cannot take a
    picture or the surfaces cannot be read; nothing is changed then.
    """
    original = properties.notes(result).original
    images: dict[str, bpy.types.Image] = {}
    made: list[bpy.types.ID] = []
    whole = False
    try:
        yield Step("Measuring", 0.0)
        stage = _build_stage(context, original, result, order, made)
        for index, kind in enumerate(order.maps):
            yield Step(f"Baking {bake_material.LABELS[kind]}", (index + 0.5) / (len(order.maps) + 0.5))
            images[kind] = _new_image(original.name, kind, order.size)
            _bake_map(context, stage, kind, images[kind], order, made)
            images[kind].pack()
        baked = _dress(context, original, result, stage.uv_layer, images, order)
        whole = True
        return baked
    finally:
        for block in reversed(made):
            _delete(block)
        for image in images.values() if not whole else ():
            bpy.data.images.remove(image)


def _delete(block: bpy.types.ID) -> None:
    """Remove a datablock of ours. Objects go before their meshes, materials and scene: they were made after them."""
    bpy.data.batch_remove([block])


# ---- the stage ------------------------------------------------------------------------------------
def _build_stage(
    context: bpy.types.Context,
    original: bpy.types.Object,
    result: bpy.types.Object,
    order: Order,
    made: list[bpy.types.ID],
) -> _Stage:
    """Both surfaces, as their modifiers show them, in the original's object space: a cage is measured there."""
    low_read, high_read = mesh_reading.read_mesh(context, original), mesh_reading.read_mesh(context, result)
    uv_layer = _check_uvs(original, low_read.corner_uvs)
    low_mesh = mesh_reading.copy_evaluated(context, original)
    made.append(low_mesh)
    high_mesh = mesh_reading.copy_evaluated(context, result)
    made.append(high_mesh)
    _into_space_of(high_mesh, low_read.world_from_object, high_read.world_from_object)
    for index, slot in enumerate(result.material_slots):
        high_mesh.materials[index] = slot.material
    material, node = _target_material()
    made.append(material)
    _wear(low_mesh, material)
    scene = bpy.data.scenes.new(_STAGE)
    made.append(scene)
    low, high = (bpy.data.objects.new(_STAGE, mesh) for mesh in (low_mesh, high_mesh))
    made.extend((low, high))
    _light(scene, low, high)
    size = float(np.ptp(low_read.positions, axis=0).max())
    gap = bake_checks.surface_gap(_surface(low_mesh), _surface(high_mesh))
    extrusion, reach = bake_checks.cage(gap, _least_cosine(low_mesh), size)
    return _Stage(scene, low, high, node, uv_layer, extrusion, reach)


def _check_uvs(original: bpy.types.Object, corner_uvs: Floats | None) -> str:
    layer = original.data.uv_layers.active
    if layer is None or corner_uvs is None:
        raise errors.MaquetteError(
            Code.INVALID_RECIPE,
            f"{original.name} has no UV map to bake to.",
            "Unwrap it (UV > Unwrap, or Smart UV Project), then bake again.",
        )
    bake_checks.check_uvs(original.name, layer.name, corner_uvs)
    return layer.name


def _into_space_of(mesh: bpy.types.Mesh, low_world: tuple[float, ...], high_world: tuple[float, ...]) -> None:
    low, high = (Matrix(np.reshape(world, (4, 4)).tolist()) for world in (low_world, high_world))
    if low == high:
        return  # multiplying by an inverse would leave rounding behind
    across = low.inverted() @ high
    mesh.transform(across)
    if across.determinant() < 0:
        mesh.flip_normals()


def _target_material() -> tuple[bpy.types.Material, bpy.types.Node]:
    """The baker writes into the active image node of the low-poly's material."""
    material = bpy.data.materials.new(_STAGE)
    if material.node_tree is None:
        material.use_nodes = True
    node = material.node_tree.nodes.new("ShaderNodeTexImage")
    material.node_tree.nodes.active = node
    return material, node


def _wear(mesh: bpy.types.Mesh, material: bpy.types.Material) -> None:
    mesh.materials.clear()
    mesh.materials.append(material)
    mesh.polygons.foreach_set("material_index", np.zeros(len(mesh.polygons), np.int32))


def _light(scene: bpy.types.Scene, low: bpy.types.Object, high: bpy.types.Object) -> None:
    scene.collection.objects.link(low)
    scene.collection.objects.link(high)
    try:
        scene.render.engine = "CYCLES"
    except TypeError as error:
        raise errors.MaquetteError(
            Code.INVALID_RECIPE,
            "Baking needs the Cycles renderer, which is off.",
            "Turn on Cycles Render Engine (Preferences > Add-ons), then bake again.",
        ) from error
    scene.cycles.device = "CPU"
    scene.cycles.use_adaptive_sampling = False
    layer = scene.view_layers[0]
    layer.objects.active = low
    low.select_set(True, view_layer=layer)
    high.select_set(True, view_layer=layer)
    layer.update()


def _surface(mesh: bpy.types.Mesh) -> tuple[Floats, Ints]:
    positions = np.zeros((len(mesh.vertices), 3), np.float32)
    mesh.attributes["position"].data.foreach_get("vector", positions.ravel())
    return positions, mesh_reading.triangle_corners(mesh)[0]


def _least_cosine(mesh: bpy.types.Mesh) -> float:
    """Between a vertex' normal, along which the cage grows, and the normals of its faces."""
    of_vertices, of_faces = np.zeros((len(mesh.vertices), 3), np.float32), np.zeros((len(mesh.polygons), 3), np.float32)
    mesh.vertex_normals.foreach_get("vector", of_vertices.ravel())
    mesh.polygon_normals.foreach_get("vector", of_faces.ravel())
    corners, totals = np.zeros(len(mesh.loops), np.int32), np.zeros(len(mesh.polygons), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    mesh.polygons.foreach_get("loop_total", totals)
    return float((of_vertices[corners] * np.repeat(of_faces, totals, axis=0)).sum(axis=1).min(initial=1.0))


# ---- the maps -------------------------------------------------------------------------------------
def _new_image(name: str, kind: str, size: int) -> bpy.types.Image:
    full = f"{name}{BAKED_SUFFIX} {bake_material.LABELS[kind]}"
    image = bpy.data.images.new(full, size, size, alpha=False, float_buffer=kind == "DISPLACEMENT")
    if kind != "COLOR":
        image.colorspace_settings.name = "Non-Color"
    return image


def _bake_map(
    context: bpy.types.Context,
    stage: _Stage,
    kind: str,
    image: bpy.types.Image,
    order: Order,
    made: list[bpy.types.ID],
) -> None:
    if kind == "DISPLACEMENT":
        height = _displacement(context, stage, order.size, made)
        pixels = np.ones((order.size, order.size, 4), np.float32)
        pixels[..., :3] = height[..., None]
        image.pixels.foreach_set(pixels.ravel())
        image.update()
        return
    baker, samples = _PASSES[kind]
    _run_baker(context, stage, image, baker, samples, normal_g=order.normal_y, onto_low=False)


def _run_baker(
    context: bpy.types.Context,
    stage: _Stage,
    image: bpy.types.Image,
    baker: str,
    samples: int,
    *,
    normal_g: str = "POS_Y",
    normal_space: str = "TANGENT",
    onto_low: bool,
) -> None:
    """``onto_low`` bakes the low-poly surface itself instead of the refined one."""
    layer = stage.scene.view_layers[0]
    stage.node.image = image
    stage.scene.cycles.samples = samples
    stage.high.hide_render = onto_low
    stage.high.select_set(not onto_low, view_layer=layer)
    layer.update()
    chosen = [stage.low] if onto_low else [stage.low, stage.high]
    override = overriding.overridden(
        context, scene=stage.scene, view_layer=layer, active_object=stage.low, object=stage.low, selected_objects=chosen
    )
    try:
        with override:
            bpy.ops.object.bake(
                type=baker,
                pass_filter={"COLOR"},
                use_selected_to_active=not onto_low,
                use_cage=True,
                cage_extrusion=stage.extrusion,
                max_ray_distance=stage.reach,
                normal_space=normal_space,
                normal_g=normal_g,
                uv_layer=stage.uv_layer,
                margin=max(4, image.size[0] // 64),
                margin_type="EXTEND",
                use_clear=True,
                save_mode="INTERNAL",
                target="IMAGE_TEXTURES",
            )
    except RuntimeError as error:  # what Blender's own operators raise, with their report as text
        raise errors.MaquetteError(
            Code.INTERNAL, f"Blender's baker stopped: {str(error).strip()}", "Bake fewer or smaller maps."
        ) from error


def _displacement(
    context: bpy.types.Context, stage: _Stage, size: int, made: list[bpy.types.ID]
) -> NDArray[np.float32]:
    """How far the refined surface is from the low-poly one, along the latter's normal: [size,size], object units.

    Cycles bakes no such map, but it bakes both surfaces' positions, and the low-poly's normals.
    """
    found: list[NDArray[np.float32]] = []
    for baker, onto_low in (("POSITION", False), ("POSITION", True), ("NORMAL", True)):
        image = bpy.data.images.new(_STAGE, size, size, alpha=False, float_buffer=True)
        made.append(image)
        image.colorspace_settings.name = "Non-Color"
        # one sample: Blender adds positions up over samples
        _run_baker(context, stage, image, baker, 1, normal_space="OBJECT", onto_low=onto_low)
        pixels = np.zeros((size, size, 4), np.float32)
        image.pixels.foreach_get(pixels.ravel())
        found.append(pixels[..., :3])
    refined, low, normals = found
    normals = normals * 2 - 1
    return ((refined - low) * normals).sum(axis=-1)


# ---- the baked object -----------------------------------------------------------------------------
def _dress(
    context: bpy.types.Context,
    original: bpy.types.Object,
    result: bpy.types.Object,
    uv_layer: str,
    images: dict[str, bpy.types.Image],
    order: Order,
) -> bpy.types.Object:
    """A copy of the original in the result's place, selected and active."""
    name = original.name + BAKED_SUFFIX
    baked = original.copy()
    baked.data = original.data.copy()
    baked.name = baked.data.name = name
    held = properties.notes(baked)
    for prop in held.bl_rna.properties:
        if not prop.is_readonly:
            held.property_unset(prop.identifier)
    for slot in baked.material_slots:
        slot.link = "DATA"
    _wear(baked.data, bake_material.baked_material(name, images, uv_layer, order.normal_y))
    for collection in original.users_collection:
        collection.objects.link(baked)
    baked.hide_viewport = baked.hide_render = False
    # both in one place would flicker
    result.hide_viewport = result.hide_render = True
    layer = context.view_layer
    layer.update()
    if layer.objects.get(baked.name) is not None:
        for thing in context.selected_objects:
            thing.select_set(False)
        baked.hide_set(False, view_layer=layer)
        baked.select_set(True, view_layer=layer)
        layer.objects.active = baked
    return baked
