"""What a target's texture starts from, and which of its texels may change. Changes nothing."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportOptionalSubscript=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import bpy
import numpy as np
from numpy.typing import NDArray

from . import bake_checks, image_reading, texture_finding, udim, uv_checks
from ._protocol import errors, limits
from .mesh_reading import MeshArrays
from .refined import Floats, Ints
from .target_settings import MaquetteTarget
from .texture_finding import Source

Code = errors.ErrorCode
Bytes8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Paint:
    """How one target is painted."""

    corner_uvs: Floats | None
    """[F,3,2]; several UDIM tiles in one square. None: the backend makes new ones."""
    texture_size: int
    """Side of the whole square, pixels."""
    tiles: tuple[int, ...] = (udim.FIRST,)
    slots: tuple[int, ...] = ()
    """The material slots that change; none: all."""
    maps: Mapping[str, Bytes8] = field(default_factory=dict)
    """What it starts from, by kind: u1 [H,W,3] or [H,W]."""
    texel_mask: Bytes8 | None = None
    """[H,W]"""
    painted: Bytes8 | None = None
    """[F]"""


def read_paint(
    thing: bpy.types.Object, source: bpy.types.Mesh, target: MaquetteTarget, found: MeshArrays, scene_size: int
) -> Paint:
    """What the artist set for how the target looks. ``found``: what was read of ``source``.

    Raises:
        MaquetteError: a texture, mask or slot is not there, or does not fit the UVs.
    """
    paint = target.paint
    if target.mode == "remesh":
        return Paint(found.corner_uvs, _own_size(target) or scene_size)
    polygons = polygon_of(source)
    slots, painted = _painted(thing, source, target, polygons)
    uvs = None if paint.makes_uvs else found.corner_uvs
    starts = paint.starts_from_texture
    if paint.mask_image is not None and not starts:
        raise _bad(
            f"{thing.name} has a mask image, but no texture whose texels it could keep.",
            "Turn on Start from Texture, or take the mask image out.",
        )
    if starts:
        _check_sound(thing.name, source, found, polygons, uvs)
    tiles = (udim.FIRST,) if uvs is None else _tiles(uvs)
    size = _own_size(target) or (_side_of_start(thing, source, target, tiles[0]) if starts else 0) or scene_size
    whole = size * udim.side(tiles)
    if whole > limits.MAX_TEXTURE_SIZE:
        raise _bad(
            f"{thing.name} has {len(tiles)} UDIM tiles, which make {whole} × {whole} pixels; {limits.MAX_TEXTURE_SIZE} are possible.",
            "Choose a smaller texture, or split the object.",
        )
    packed = None if uvs is None else udim.packed(uvs, tiles)
    if not starts or packed is None:
        return Paint(packed, whole, tiles, slots, painted=painted)
    slot_of = _slot_of(thing, source)[polygons]
    maps = _read_maps(thing, source, target, packed, slot_of, tiles, size)
    mask = None if paint.mask_image is None else _grey(paint.mask_image, tiles, size)
    return Paint(packed, whole, tiles, slots, maps, mask, painted)


def polygon_of(source: bpy.types.Mesh) -> Ints:
    """The face [F] of each triangle."""
    source.calc_loop_triangles()
    polygons = np.zeros(len(source.loop_triangles), np.int32)
    source.loop_triangles.foreach_get("polygon_index", polygons)
    return polygons


def uv_faces(source: bpy.types.Mesh, found: MeshArrays, polygons: Ints) -> uv_checks.Faces:
    """The active UV map as ``uv_checks`` takes it; there must be one."""
    assert found.corner_uvs is not None
    corners = found.positions[found.triangles].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = (np.linalg.norm(normals, axis=1) / 2).astype(np.float32)
    return uv_checks.Faces(found.corner_uvs, areas, polygons, len(source.polygons))


# ---- which texels ---------------------------------------------------------------------------------
def _painted(
    thing: bpy.types.Object, source: bpy.types.Mesh, target: MaquetteTarget, polygons: Ints
) -> tuple[tuple[int, ...], Bytes8 | None]:
    """The chosen slots, and which triangles [F] may change by them and by the selected faces."""
    slots: tuple[int, ...] = ()
    allowed = np.ones(len(source.polygons), bool)
    if target.paint.slots == "CHOSEN" and len(thing.material_slots) > 1:
        count = len(thing.material_slots)
        slots = tuple(index for index, chosen in enumerate(target.paint.chosen_slots) if chosen and index < count)
        if not slots:
            raise _bad(f"No material slot of {thing.name} is chosen.", "Choose at least one, or set Materials to All Slots.")
        allowed &= np.isin(_slot_of(thing, source), slots)
        if not allowed.any():
            raise _bad(f"No face of {thing.name} has a chosen material.", "Choose a slot that is used.")
    if target.mode == "texture_only" and target.mask_source == "SELECTED":
        selected = np.zeros(len(source.polygons), bool)
        source.polygons.foreach_get("select", selected)
        allowed &= ~selected if target.mask_invert else selected
        if not allowed.any():
            raise _bad(
                f"{thing.name} refines its selected faces, but none is left to paint.",
                "Select faces in Edit Mode, or set Mask to Whole Object.",
            )
    return slots, None if allowed.all() else allowed[polygons].astype(np.uint8)


def _slot_of(thing: bpy.types.Object, source: bpy.types.Mesh) -> Ints:
    """Each face's material slot [P]."""
    slots = np.zeros(len(source.polygons), np.int32)
    source.polygons.foreach_get("material_index", slots)
    return np.clip(slots, 0, max(len(thing.material_slots) - 1, 0))


def _grey(image: bpy.types.Image, tiles: tuple[int, ...], size: int) -> Bytes8:
    parts = {
        tile: image_reading.to_bytes(image_reading.pixels(image, size, tile)[..., :3].mean(axis=2)) for tile in tiles
    }
    return udim.packed_image(parts, tiles)


# ---- UVs and sizes --------------------------------------------------------------------------------
def _tiles(uvs: Floats) -> tuple[int, ...]:
    tiles, _, crosses = udim.tiles_of(uvs.astype(np.float64))
    # a map that is not on tiles is sent as it is: the backend judges it and makes another
    return (udim.FIRST,) if crosses.any() else tiles


def _check_sound(name: str, source: bpy.types.Mesh, found: MeshArrays, polygons: Ints, uvs: Floats | None) -> None:
    layer = source.uv_layers.active
    if uvs is None or layer is None:
        raise _bad(
            f"{name} starts from its texture, which needs the UV map that the texture lies on.",
            "Turn off New UV Map and unwrap the object, or turn off Start from Texture.",
        )
    report = uv_checks.check(uv_faces(source, found, polygons), 1024)
    if not report.is_sound:
        raise _bad(
            f"The UV map “{layer.name}” of {name} cannot be painted on: {uv_checks.sentences(report, name, layer.name, 1024)[0]}",
            "Press Check UVs to see which faces; mend them, or turn off Start from Texture.",
        )


def _own_size(target: MaquetteTarget) -> int:
    """0 when it is for others to say."""
    return 0 if target.paint.texture_size == "AUTO" else int(target.paint.texture_size)


def _side_of_start(thing: bpy.types.Object, source: bpy.types.Mesh, target: MaquetteTarget, tile: int) -> int:
    """Of the largest base colour that it starts from; 0 without any."""
    images = [one["COLOR"].image for one in _sources(thing, source).values() if "COLOR" in one]
    side = max((image_reading.side_of(image, tile) for image in images if image is not None), default=0)
    return min(side, limits.MAX_TEXTURE_SIZE) if side >= limits.MIN_TEXTURE_SIZE else 0


# ---- what it starts from --------------------------------------------------------------------------
def _sources(thing: bpy.types.Object, source: bpy.types.Mesh) -> dict[int, dict[str, Source]]:
    """By used slot and kind."""
    layers = source.uv_layers
    layer = layers.active.name if layers.active is not None else ""
    render = next((one.name for one in layers if one.active_render), layer)
    used = np.unique(_slot_of(thing, source)).tolist()
    slots = thing.material_slots
    return {
        index: texture_finding.sources_of(slots[index].material, thing.name, layer, render)
        for index in used
        if index < len(slots)
    }


def _read_maps(
    thing: bpy.types.Object,
    source: bpy.types.Mesh,
    target: MaquetteTarget,
    packed: Floats,
    slot_of: Ints,
    tiles: tuple[int, ...],
    size: int,
) -> dict[str, Bytes8]:
    """The maps of all slots, each slot's on its own texels: u1 [whole,whole,3] or [whole,whole] by kind."""
    sources = _sources(thing, source)
    if not any("COLOR" in one and one["COLOR"].image is not None for one in sources.values()):
        raise _bad(
            f"No material of {thing.name} has an image in its Base Color to start from.",
            "Add one to its Principled BSDF, or turn off Start from Texture.",
        )
    kinds = ("COLOR", "ROUGHNESS", "METALLIC", "NORMAL") if target.paint.material == "pbr" else ("COLOR",)
    found: dict[str, Bytes8] = {}
    for kind in kinds:
        by_slot = {index: one[kind] for index, one in sources.items() if kind in one}
        if by_slot and (kind != "NORMAL" or all(kind in one for one in sources.values())):
            found[kind] = _composed(by_slot, kind, packed, slot_of, tiles, size)
    return found


def _composed(
    sources: Mapping[int, Source], kind: str, packed: Floats, slot_of: Ints, tiles: tuple[int, ...], size: int
) -> Bytes8:
    distinct = list(dict.fromkeys(sources.values()))
    whole = _picture(distinct[0], kind, tiles, size)
    side = whole.shape[0]
    for other in distinct[1:]:
        slots = [index for index, one in sources.items() if one == other]
        texels = np.zeros(side * side, bool)
        for _, samples in bake_checks.samples_inside(packed[np.isin(slot_of, slots)], side):
            texels[samples] = True
        texels = _grown(texels.reshape(side, side))
        whole[texels] = _picture(other, kind, tiles, size)[texels]
    return whole


def _grown(texels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """By one texel to each side: bilinear look-ups at an island's rim reach so far."""
    grown = texels.copy()
    grown[1:] |= texels[:-1]
    grown[:-1] |= texels[1:]
    across = grown.copy()
    grown[:, 1:] |= across[:, :-1]
    grown[:, :-1] |= across[:, 1:]
    return grown


def _picture(source: Source, kind: str, tiles: tuple[int, ...], size: int) -> Bytes8:
    """One source at full size."""
    image = source.image
    if image is None:
        value = np.asarray(source.value, np.float32)
        shown = image_reading.to_bytes(image_reading.encoded(value) if kind == "COLOR" else value)
        shape = (udim.side(tiles) * size,) * 2
        return np.tile(shown, (*shape, 1)) if kind == "COLOR" else np.full(shape, shown[0], np.uint8)
    parts: dict[int, Bytes8] = {}
    for tile in tiles:
        values = image_reading.pixels(image, size, tile)
        if kind == "COLOR":
            parts[tile] = image_reading.as_color(image, values)
            continue
        data = image_reading.as_data(image, values)
        if kind == "NORMAL":
            parts[tile] = image_reading.to_bytes(data[..., :3])
        else:
            grey = data[..., :3] @ np.float32([0.2126, 0.7152, 0.0722]) if source.channel is None else data[..., source.channel]
            parts[tile] = image_reading.to_bytes(grey)
    return udim.packed_image(parts, tiles)


def _bad(message: str, remedy: str) -> errors.MaquetteError:
    return errors.MaquetteError(Code.INVALID_RECIPE, message, remedy)
