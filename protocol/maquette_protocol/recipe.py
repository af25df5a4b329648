"""The recipe: everything that defines a job, and nothing that does not.

A recipe is plain frozen data. It is stored on the refined object, replayed headless by
``python -m maquette_backend refine``, hashed to recognise a repeated submission, and carries no
array itself: arrays are content-addressed blobs, named by ``ArrayRef``.

Conventions, stated once for the whole project: right-handed coordinates, Blender's Z up, metres;
matrices are row-major and named ``to_from`` (``world = world_from_object @ object``); a camera looks
along its own −Z with +Y up, as in Blender and OpenGL; angles here are radians (degrees exist only in
the interface); an object's front is its own −Y, as in Blender's front view.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

RECIPE_FORMAT = 1

Mode = Literal["keep_topology", "remesh", "texture_only"]
MaterialKind = Literal["color", "pbr"]
LampKind = Literal["sun", "point"]
Method = Literal["sds", "csd", "vsd", "ism", "sjc"]
Weighting = Literal["method", "one_minus_alpha_bar", "uniform", "fantasia_early", "fantasia_late", "fantasia_switch"]
TimeChange = Literal["linear", "switch", "square_root"]
Matrix4 = tuple[
    float, float, float, float, float, float, float, float,
    float, float, float, float, float, float, float, float,
]  # fmt: skip
IDENTITY: Matrix4 = (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)


@dataclass(frozen=True)
class ArrayRef:
    """An array held as one raw little-endian C-order blob, named by the hash of its bytes."""

    sha256: str
    """64 lower-case hex digits."""
    dtype: str
    """One of ``limits.DTYPES``: ``u1 i4 f4`` and so on, little-endian."""
    shape: tuple[int, ...]


@dataclass(frozen=True)
class MeshRef:
    """A triangle mesh as blobs."""

    positions: ArrayRef
    """f4 [vertices, 3], object space, metres."""
    triangles: ArrayRef
    """i4 [triangles, 3], counter-clockwise seen from outside."""
    corner_uvs: ArrayRef | None = None
    """f4 [triangles, 3, 2]: one UV per triangle corner, or none."""


@dataclass(frozen=True)
class SurfaceMaps:
    """Images on a mesh's ``corner_uvs``, any of them, row 0 at the bottom. What comes back is ``texture_size`` square: maps
    of another size are resampled, and only maps of that very size keep their masked texels bit for bit."""

    base_color: ArrayRef | None = None
    """u1 [height, width, 3], sRGB."""
    roughness: ArrayRef | None = None
    """u1 [height, width], linear; so is ``metallic``."""
    metallic: ArrayRef | None = None
    normal: ArrayRef | None = None
    """u1 [height, width, 3], tangent space, OpenGL (green is up); 128, 128, 255 is flat."""


@dataclass(frozen=True)
class Locks:
    """What the shape keeps while it moves. The planes are those of object space."""

    symmetry_x: bool = False
    """Mirror halves stay each other's mirror image across the plane x = 0; so for y and z."""
    symmetry_y: bool = False
    symmetry_z: bool = False
    flat_bottom: bool = False
    """What rests on the lowest plane of z rests there still, and nothing sinks below it."""


@dataclass(frozen=True)
class Subject:
    """One scene object to refine."""

    subject_id: str
    """32 lower-case hex digits, made by the client; stable over the job's life."""
    name: str
    """The object's name, for messages only."""
    prompt: str
    mesh: MeshRef
    world_from_object: Matrix4 = IDENTITY
    negative_prompt: str = ""
    mode: Mode = "remesh"
    strength: float = 0.5
    """0..1. How far the surface may move: 1 is 10 % of the object's longest side."""
    texture_size: int = 1024
    """Side of the square texture, pixels."""
    stay_close: float = 0.5
    """0..1. How strongly the surface is held where it was; 0 hardly, 1 so that it only moves where much speaks for it."""
    locks: Locks = field(default_factory=Locks)
    mask: ArrayRef | None = None
    """f4 [vertices] in 0..1: the share of ``strength`` that each vertex has; none: 1 everywhere. 0 keeps it in place."""
    sharp_edges: ArrayRef | None = None
    """i4 [edges, 2]: pairs of vertices whose edge keeps its angle."""
    triangle_budget: int = 0
    """Remesh: the most triangles of the result; 0: as many as the grid gives."""
    material: MaterialKind = "color"
    """``color``: base colour alone. ``pbr``: base colour, roughness, metallic and tangent-space normal."""
    seed: int | None = None
    """Of this subject's random numbers; none: the recipe's."""
    maps: SurfaceMaps | None = None
    """What appearance starts from, unless the mode makes a new topology."""
    keep_look: float = 0.0
    """0..1: how much of the look of ``maps.base_color`` is kept; 1 does not change it."""
    texel_mask: ArrayRef | None = None
    """u1 [height, width], on the mesh's UVs, row 0 at the bottom: 0 keeps a texel of ``maps`` as it is, 255 may change it."""
    painted_triangles: ArrayRef | None = None
    """u1 [triangles]: 1 where texels may change, 0 where they are kept (other material slots, unselected faces).
    In ``texture_only`` the vertex ``mask`` masks the texture in the same way."""
    upscale: int = 1
    """1, 2 or 4: the images that come back are so many times ``texture_size`` on a side, enlarged when all steps are done."""


@dataclass(frozen=True)
class ContextObject:
    """An object that is visible but never changed."""

    name: str
    mesh: MeshRef
    world_from_object: Matrix4 = IDENTITY


@dataclass(frozen=True)
class Camera:
    """One of the artist's cameras (perspective)."""

    name: str
    world_from_camera: Matrix4
    fov_y: float
    """Vertical field of view, radians."""
    aspect: float = 1.0
    """Width over height."""


@dataclass(frozen=True)
class Lamp:
    """One of the scene's lamps. It shines along its own −Z (``sun``) or from its origin (``point``)."""

    kind: LampKind
    world_from_lamp: Matrix4 = IDENTITY
    color: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Linear red, green, blue."""
    strength: float = 1.0
    """As in Blender: W/m² on a surface that faces a ``sun``, W in all directions of a ``point``."""


@dataclass(frozen=True)
class Lighting:
    """The light in which materials are judged. Nothing given: studio light that varies."""

    environment: ArrayRef | None = None
    """f4 [height, width, 3], equirectangular, linear, world space, row 0 at the bottom (straight down). Columns as Blender
    has them: u = ½ − atan2(y, x) / 2π, so the middle of the picture is +X, a quarter of the width right of it −Y."""
    lamps: tuple[Lamp, ...] = ()


@dataclass(frozen=True)
class CameraRig:
    """Where a job looks from: the artist's cameras, an automatic orbit, or both."""

    cameras: tuple[Camera, ...] = ()
    orbit: bool = True
    orbit_elevation_min: float = 0.0873
    """Radians above the horizon (5°)."""
    orbit_elevation_max: float = 0.6981
    """Radians above the horizon (40°)."""
    jitter: float = 0.2618
    """Radians; views are drawn this far around the artist's cameras (15°)."""


@dataclass(frozen=True)
class Times:
    """The diffusion times a stage draws from: fractions of the prior's noise schedule, 0 clean and 1 pure noise."""

    start: tuple[float, float] = (0.02, 0.98)
    """Lowest and highest where the stage begins."""
    end: tuple[float, float] = (0.02, 0.98)
    """The same where it ends."""
    change: TimeChange = "linear"
    """``linear``: both bounds move evenly. ``switch``: at once, at ``Guidance.switch_at``. ``square_root``: one time a step,
    from the highest of ``start`` to the lowest of ``end``, as the square root of progress (HiFA)."""


@dataclass(frozen=True)
class Guidance:
    """How a prior's score becomes a gradient. ``None`` means the prior's own recommended value.

    Named combinations from the literature are in ``presets``.
    """

    geometry_scale: float | None = None
    """Classifier-free guidance scale while geometry is refined."""
    appearance_scale: float | None = None
    """Classifier-free guidance scale while appearance is refined."""
    view_dependent_prompts: bool = True
    """Add "front / side / back view" where the prior was not itself trained on cameras."""
    method: Method = "sds"
    """The way of distilling. ``vsd`` needs a prior that lets adapters into its network."""
    geometry_method: Method | None = None
    """The way while geometry is refined; none: ``method`` (ProlificDreamer refines a mesh's shape by another than its looks)."""
    rescale: float = 0.5
    """0..1: how much of the guided estimate's contrast is pulled back to the unguided one's."""
    geometry_times: Times | None = None
    appearance_times: Times | None = None
    geometry_weighting: Weighting = "method"
    """What a diffusion time counts for; ``method``: as the method's paper has it. So for ``appearance_weighting``."""
    appearance_weighting: Weighting = "method"
    switch_at: float = 0.5
    """0..1, share of a stage: where times that ``switch`` and the weighting ``fantasia_switch`` change."""
    perp_neg: bool = False
    """Push sides that are not seen away (Perp-Neg). For priors that take no camera; not with ``csd``."""
    image_loss: float = 0.0
    """0..1: what the distance in the picture itself counts for besides the one in the prior's encoding (HiFA)."""
    cg_lora: bool = False
    """Adapters in the prior's cross-attention that hear the camera (X-Dreamer). They learn from what has a weight below."""
    cg_lora_denoising: float = 0.0
    """Weight of the renders' own denoising loss; 0: off. It teaches ``cg_lora`` and moves nothing else."""
    ama: float = 0.0
    """Weight of attention-mask alignment; 0: off. It teaches ``cg_lora`` and moves nothing else."""
    ama_start: float = 0.0
    """0..1, share of a stage before ``cg_lora`` begins to learn."""
    geometry_scale_end: float | None = None
    """The scale at the end of the geometry, towards which it moves evenly; none: it stays. So for ``appearance_scale_end``."""
    appearance_scale_end: float | None = None
    latent_normals: float = 0.0
    """0..1, share of the geometry, at its beginning, in which normals and coverage are shown as if they were latents (Fantasia3D,
    X-Dreamer). For latent diffusion priors with four channels."""
    normal_share: float | None = None
    """0..1, share of the geometry's steps that look at normals, the others at colour; none: as the backend advises. Of no
    account for a prior that sees both together."""


@dataclass(frozen=True)
class FurtherPrior:
    """A prior that is asked in every step besides the recipe's own. CG-LoRA, Perp-Neg and the image loss are not its concern."""

    name: str
    """As ``Recipe.prior``."""
    weight: float = 1.0
    """What its pull counts for."""
    method: Method = "sds"
    geometry_scale: float | None = None
    """Classifier-free guidance scale while geometry is refined; none: the prior's own advice. So for ``appearance_scale``."""
    appearance_scale: float | None = None


@dataclass(frozen=True)
class Control:
    """A ControlNet that shows the recipe's own prior the subject's depth or normals while appearance is refined."""

    name: str
    """From the backend's list (``Welcome.controls``)."""
    weight: float = 1.0
    """What its share in the prior's network counts for."""


@dataclass(frozen=True)
class Stages:
    """How long each stage runs and at what size. 0 steps skips a stage."""

    geometry_steps: int = 200
    appearance_steps: int = 250
    grid_resolution: int = 64
    """DMTet: cells along the longest side of the tetrahedral grid."""
    views_per_step: int = 4
    render_size: int = 64
    """Pixels; a prior may round it to what it was trained on."""
    preview_every: int = 10
    """Steps between previews; 0 for none."""
    scene_steps: int = 0
    """After each subject's own steps: appearance of all together, the whole scene in view."""
    finish_steps: int = 0
    """Last: steps towards sharpened pictures of the finished texture, in UV space."""


@dataclass(frozen=True)
class Recipe:
    """All that defines a job. Equal recipes give equal results on the same machine."""

    subjects: tuple[Subject, ...]
    rig: CameraRig = field(default_factory=CameraRig)
    context: tuple[ContextObject, ...] = ()
    stages: Stages = field(default_factory=Stages)
    guidance: Guidance = field(default_factory=Guidance)
    prior: str = "starter"
    """A name from the backend's list (``Welcome.priors``), never a path or repository id."""
    seed: int = 0
    lighting: Lighting = field(default_factory=Lighting)
    scene_prompt: str = ""
    """What the whole scene is; empty: the subjects' prompts in a row."""
    format: int = RECIPE_FORMAT
    prior_weight: float = 1.0
    """What the pull of ``prior`` counts for beside those of ``further_priors``."""
    further_priors: tuple[FurtherPrior, ...] = ()
    """Asked in every step, too (Magic123's trade-off between a 2D and a 3D prior)."""
    controls: tuple[Control, ...] = ()
