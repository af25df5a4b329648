"""What the artist sets, stored with the scene, and what Maquette notes on objects."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ._protocol import presets, recipe
from .target_settings import MaquetteTarget

CAMERA_CHOICES = (
    ("ORBIT", "Orbit", "An automatic orbit around each target"),
    ("SCENE", "Scene Cameras", "The perspective cameras of this scene"),
    ("BOTH", "Both", "The scene's cameras and an automatic orbit"),
)
TEXTURE_SIZES = tuple((str(2**n), str(2**n), f"{2**n} × {2**n} pixels") for n in range(8, 13))


def _prior_names(_self: bpy.types.PropertyGroup, _context: bpy.types.Context, typed: str) -> list[str]:
    from . import pump

    welcome = pump.runtime().welcome
    return [name for name in (welcome.priors if welcome else ("starter",)) if typed.lower() in name.lower()]


def _preset_chosen(settings: bpy.types.PropertyGroup, _context: bpy.types.Context) -> None:
    """Its lengths and sizes into the panel, where they can be seen and changed."""
    names = ("geometry_steps", "appearance_steps", "grid_resolution", "views_per_step", "render_size")
    own = recipe.Stages(**{name: getattr(settings, name) for name in names})
    for name, value in vars(presets.stages_of(settings.preset, settings.prior, own)).items():
        if name in names:
            setattr(settings, name, value)


class MaquetteSceneSettings(bpy.types.PropertyGroup):
    """Settings of a refinement."""

    targets: CollectionProperty(type=MaquetteTarget)
    active_target: IntProperty(name="Active Target", description="Target shown below the list")
    cameras: EnumProperty(name="Views", description="Where the refinement looks from", items=CAMERA_CHOICES)
    geometry_steps: IntProperty(
        name="Shape Steps", description="Steps that refine the shape; 0 skips it", default=200, min=0, soft_max=2000
    )
    appearance_steps: IntProperty(
        name="Colour Steps", description="Steps that refine the colour; 0 skips it", default=250, min=0, soft_max=2000
    )
    grid_resolution: IntProperty(
        name="Grid", description="Cells along the longest side, for Remesh", default=64, min=8, max=256
    )
    views_per_step: IntProperty(
        name="Views per Step", description="Pictures judged in each step", default=4, min=1, max=64
    )
    render_size: IntProperty(
        name="Picture Size",
        description="Side of the judged pictures in pixels",
        default=64,
        min=16,
        max=2048,
        subtype="PIXEL",
    )
    preview_every: IntProperty(
        name="Preview Every", description="Steps between previews in the viewport; 0 for none", default=10, min=0
    )
    texture_size: EnumProperty(
        name="Texture", description="Side of the texture in pixels", items=TEXTURE_SIZES, default="1024"
    )
    seed: IntProperty(name="Seed", description="The same seed gives the same result", min=0)
    prior: StringProperty(
        name="Prior",
        description="Pretrained model that judges the pictures, from the backend's list",
        default="starter",
        search=_prior_names,
    )
    preset: EnumProperty(
        name="Guidance",
        description="How the prior's judgement moves the subject, and with models of your own how long and at what size: "
        "settings of published methods. Priors that come with Maquette keep their own strength and lengths",
        items=tuple((name, preset.title, preset.about) for name, preset in presets.PRESETS.items()),
        update=_preset_chosen,
    )
    geometry_scale: FloatProperty(
        name="Shape Guidance", description="How strictly the shape follows the prompt; 0 is the prior's own", min=0.0
    )
    appearance_scale: FloatProperty(
        name="Colour Guidance", description="How strictly the colour follows the prompt; 0 is the prior's own", min=0.0
    )
    include_context: BoolProperty(
        name="Send Surroundings", description="Let visible objects that are not targets hide parts of the view"
    )
    record: StringProperty(name="Running Job", description="The job that runs for this scene", options={"HIDDEN"})


class MaquetteSlotNotes(bpy.types.PropertyGroup):
    """The material that a slot had, or has, while the other one is shown."""

    material: PointerProperty(name="Material", description="The slot's other material", type=bpy.types.Material)


class MaquetteKeyNotes(bpy.types.PropertyGroup):
    """A result that was delivered as a shape key, and all that it takes to undo that."""

    key_name: StringProperty(name="Shape Key", description="The key that holds the refined positions")
    made_basis: BoolProperty(name="Made Basis", description="Whether the mesh had no shape keys before")
    active_index: IntProperty(name="Active Key", description="The shape key that was active before")
    muted: StringProperty(name="Muted", description="Older results' keys that were muted for this one, as JSON")
    shared_mesh: PointerProperty(
        name="Shared Mesh", description="The mesh that the object shared with others before", type=bpy.types.Mesh
    )
    slots: CollectionProperty(type=MaquetteSlotNotes)
    made_slot: BoolProperty(name="Made Slot", description="Whether the mesh had no material slot before")
    made_uv: StringProperty(name="Made UV Layer", description="The UV layer that was added for the texture")
    active_uv: StringProperty(name="Active UV Layer", description="The UV layer that was active before")
    render_uv: StringProperty(name="Render UV Layer", description="The UV layer that renders with the other materials")
    hid_result: BoolProperty(name="Hid Result", description="Whether an older result object was hidden for this one")
    job_id: StringProperty(name="Job", description="The job that made it")
    recipe: StringProperty(name="Recipe", description="The recipe that made it, as JSON")
    versions: StringProperty(name="Versions", description="The programs that made it")
    said: StringProperty(name="Prompt Reading", description="What the prior made of the prompt, and what else to know")
    seen: FloatProperty(name="Seen", description="Share of the surface that some view saw; −1: it has no images", default=-1.0)


class MaquetteObjectNotes(bpy.types.PropertyGroup):
    """What Maquette notes on an object."""

    role: EnumProperty(
        name="Role",
        description="What this object is to Maquette",
        items=(
            ("NONE", "None", "An ordinary object"),
            ("PREVIEW", "Preview", "A refinement in the making"),
            ("RESULT", "Result", "A refined object"),
        ),
    )
    job_id: StringProperty(name="Job", description="The job this object belongs to")
    subject_id: StringProperty(name="Subject", description="This object's identity within the job")
    original: PointerProperty(name="Original", description="What this was refined from", type=bpy.types.Object)
    result: PointerProperty(name="Result", description="The newest refinement of this object", type=bpy.types.Object)
    topology: IntProperty(name="Topology", description="Which triangles a preview holds", default=-1)
    was_selected: BoolProperty(name="Was Selected", description="Selection to restore with the original")
    was_visible: BoolProperty(name="Was Visible", description="Visibility to restore with the original", default=True)
    was_rendered: BoolProperty(name="Was Rendered", description="Rendering to restore with the original", default=True)
    hid_result: BoolProperty(name="Hid Result", description="Whether an older result is hidden meanwhile")
    for_all: BoolProperty(name="For All", description="Whether this result stands for all that shared the mesh")
    stands_for: PointerProperty(
        name="Stands For", description="The result whose mesh this object has meanwhile", type=bpy.types.Object
    )
    own_mesh: PointerProperty(name="Own Mesh", description="The mesh it had before that", type=bpy.types.Mesh)
    keys: CollectionProperty(type=MaquetteKeyNotes)


CLASSES = (MaquetteTarget, MaquetteSceneSettings, MaquetteSlotNotes, MaquetteKeyNotes, MaquetteObjectNotes)


def attach() -> None:
    """Add the settings to scenes and objects."""
    bpy.types.Scene.maquette = PointerProperty(type=MaquetteSceneSettings)
    bpy.types.Object.maquette = PointerProperty(type=MaquetteObjectNotes)


def detach() -> None:
    """Undo ``attach``."""
    del bpy.types.Object.maquette
    del bpy.types.Scene.maquette


def settings(scene: bpy.types.Scene) -> MaquetteSceneSettings:
    """A scene's settings, typed."""
    return scene.maquette


def notes(thing: bpy.types.Object) -> MaquetteObjectNotes:
    """An object's notes, typed."""
    return thing.maquette
