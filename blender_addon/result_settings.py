"""What the artist sets for results: what a new surface takes over from the original, and what is baked."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false

import bpy
from bpy.props import BoolProperty, EnumProperty, PointerProperty

from .carrying import Wishes

MAPS = (
    ("NORMAL", "Normal", "The refined surface's normals, in tangent space", 1),
    ("COLOR", "Base Colour", "The refined surface's colour", 2),
    ("AO", "Ambient Occlusion", "How much of the sky each point of the refined surface sees", 4),
    ("DISPLACEMENT", "Displacement", "How far the refined surface is from the original, in object units", 8),
)
SIZES = tuple((str(size), str(size), f"{size} × {size} pixels") for size in (512, 1024, 2048, 4096))
NORMAL_Y = (
    ("POS_Y", "Y+", "Green is up, as in Blender, Unity and OpenGL"),
    ("NEG_Y", "Y−", "Green is down, as in Unreal and DirectX"),
)


class MaquetteResultSettings(bpy.types.PropertyGroup):
    """Settings of results."""

    carry_uvs: BoolProperty(
        name="UV Maps",
        description="Give a new surface the original's UV maps too, with seams where its faces cross from one island "
        "to another",
    )
    carry_flat: BoolProperty(
        name="Flat Shading",
        description="Shade a new surface's faces flat where the original's are. Off, a new surface is smooth: its many "
        "small faces would show",
    )
    bake_maps: EnumProperty(
        name="Maps", description="What is baked", items=MAPS, options={"ENUM_FLAG"}, default={"NORMAL", "COLOR"}
    )
    bake_size: EnumProperty(name="Size", description="Side of the baked images in pixels", items=SIZES, default="2048")
    normal_y: EnumProperty(name="Normal", description="Which way green points in the normal map", items=NORMAL_Y)


CLASSES = (MaquetteResultSettings,)


def attach() -> None:
    """Add the settings to scenes."""
    bpy.types.Scene.maquette_results = PointerProperty(type=MaquetteResultSettings)


def detach() -> None:
    """Undo ``attach``."""
    del bpy.types.Scene.maquette_results


def settings(scene: bpy.types.Scene) -> MaquetteResultSettings:
    """A scene's settings of results, typed."""
    return scene.maquette_results


def wishes(scene: bpy.types.Scene) -> Wishes:
    """What the artist wants carried on to new surfaces."""
    found = settings(scene)
    return Wishes(uvs=found.carry_uvs, flat_shading=found.carry_flat)
