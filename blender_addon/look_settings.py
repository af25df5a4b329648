"""What the artist sets for how things look: of the scene, and of each target."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import (
    BoolProperty,
    BoolVectorProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

MOST_SLOTS = 32
"""Of which one can be chosen each by itself: what Blender's vector properties hold."""
IMAGE_FOLDER = "textures"
MATERIALS = (
    ("color", "Base Colour", "A texture of the colour alone"),
    ("pbr", "Full Material", "Base colour, roughness, metallic and normal maps"),
)
SLOTS = (
    ("ALL", "All Slots", "One material covers the whole object"),
    ("CHOSEN", "Chosen Slots", "Only the chosen material slots change; the others keep their materials and texels"),
)
LIGHTS = (
    ("STUDIO", "Varied Studio", "Light that changes from step to step, so that none of it is painted into the colour"),
    ("SCENE", "Scene's World and Lamps", "The light of this scene: its world, sun and point lamps"),
)
IMAGES = (
    ("PACK", "Packed", "The images are kept in the .blend file"),
    ("BESIDE", "Beside the File", "The images are written to the folder “textures” beside the .blend file"),
)
UPSCALES = (
    ("1", "1×", "The images have the size of the texture that is painted"),
    ("2", "2×", "The finished images have twice the side"),
    ("4", "4×", "The finished images have four times the side"),
)
SIZES = (
    ("AUTO", "Automatic", "The side of the texture it starts from, else the scene's setting"),
    *((str(2**n), str(2**n), f"{2**n} × {2**n} pixels") for n in range(8, 14)),
)


class MaquettePaint(bpy.types.PropertyGroup):
    """How one target is painted."""

    material: EnumProperty(name="Maps", description="What is made", items=MATERIALS)
    texture_size: EnumProperty(name="Texture", description="Side of this target's texture in pixels", items=SIZES)
    upscale: EnumProperty(
        name="Upscale",
        description="Enlarge the finished images: by Real-ESRGAN, which adds likely detail, where the backend has it; else by "
        "Lanczos, which keeps sharp what is there, in seconds",
        items=UPSCALES,
    )
    has_seed: BoolProperty(name="Own Seed", description="Use a seed for this target alone")
    seed: IntProperty(name="Seed", description="Seed of this target; the same seed gives the same result", min=0)
    starts_from_texture: BoolProperty(
        name="Start from Texture",
        description="Begin with the images of the target's Principled materials in place of a plain colour",
    )
    keep_look: FloatProperty(
        name="Keep Look",
        description="How much of the existing texture's look is kept: 0 follows the prompt alone, 1 changes nothing",
        default=0.5,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    mask_image: PointerProperty(
        name="Mask Image",
        description="Painted on the active UV map: black keeps the existing texture, white may change it",
        type=bpy.types.Image,
    )
    slots: EnumProperty(name="Materials", description="Which material slots change", items=SLOTS)
    chosen_slots: BoolVectorProperty(
        name="Chosen Slots", description="Whether the material in this slot changes", size=MOST_SLOTS
    )
    makes_uvs: BoolProperty(
        name="New UV Map", description="Make a new UV map, also where the active one is sound. Yours are kept either way"
    )
    uv_report: StringProperty(name="UV Report", description="What Check UVs found", options={"SKIP_SAVE"})
    has_bad_faces: BoolProperty(name="Bad Faces", description="Whether Check UVs found faults", options={"SKIP_SAVE"})
    unseen_report: StringProperty(name="Coverage", description="What Check Views found", options={"SKIP_SAVE"})
    has_unseen: BoolProperty(name="Unseen Faces", description="Whether no view sees some faces", options={"SKIP_SAVE"})


class MaquetteLook(bpy.types.PropertyGroup):
    """How a scene's targets are lit and finished, and where images go."""

    light: EnumProperty(name="Light", description="The light in which materials are judged", items=LIGHTS)
    scene_prompt: StringProperty(
        name="Scene", description="What the whole scene is, in words; empty: the targets' prompts in a row"
    )
    scene_steps: IntProperty(
        name="Scene Steps",
        description="Steps that refine all targets' colours together, the whole scene in view; 0 skips it",
        min=0,
        soft_max=1000,
    )
    finish_steps: IntProperty(
        name="Finish Steps", description="Last steps, which sharpen the texture; 0 skips them", min=0, max=50
    )
    images: EnumProperty(name="Images", description="Where the images of results are kept", items=IMAGES)


CLASSES = (MaquettePaint, MaquetteLook)


def attach() -> None:
    """Add the settings to scenes."""
    bpy.types.Scene.maquette_look = PointerProperty(type=MaquetteLook)


def detach() -> None:
    """Undo ``attach``."""
    del bpy.types.Scene.maquette_look


def settings(scene: bpy.types.Scene) -> MaquetteLook:
    """A scene's settings of the look, typed."""
    return scene.maquette_look


def image_folder(scene: bpy.types.Scene) -> Path | None:
    """Where images' files go; none: into the .blend, also of a file that was never saved and has no place yet."""
    if settings(scene).images == "PACK" or not bpy.data.filepath:
        return None
    return Path(bpy.data.filepath).parent / IMAGE_FOLDER
