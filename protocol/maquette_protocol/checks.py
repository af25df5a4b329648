"""What a recipe must be before a job is made of it: the add-on checks early, the backend again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from . import limits
from .codec import Envelope, encode
from .errors import ErrorCode, MaquetteError, ProtocolError
from .guidance_checks import check_guidance, check_priors
from .messages import SubmitJob
from .paint_checks import check_lighting, check_paint
from .recipe import RECIPE_FORMAT, ArrayRef, Camera, CameraRig, MeshRef, Recipe, Stages, Subject
from .value_checks import check_matrix, check_name, check_range, check_ref, invalid

UPSCALES = (1, 2, 4)
"""What ``Subject.upscale`` may be."""


def check_recipe(recipe: Recipe, known_priors: Collection[str], known_controls: Collection[str] = ()) -> None:
    """Raise a ``MaquetteError`` that names the thing, the value and the remedy, unless all is well.

    Meshes themselves are checked by ``mesh.check_mesh``, views by ``cameras.check_seen``.

    Args:
        known_priors: what the backend offers (``Welcome.priors``).
        known_controls: likewise (``Welcome.controls``).

    Raises:
        MaquetteError: ``no_target``, ``empty_prompt``, ``unknown_prior``, ``no_camera``,
            ``too_many_triangles`` or ``invalid_recipe``.
    """
    if not recipe.subjects:
        raise MaquetteError(ErrorCode.NO_TARGET, "There is nothing to refine.", "Tick at least one target.")
    _check_counts(recipe)
    for subject in recipe.subjects:
        _check_prompts(subject)
    _check_scene_prompt(recipe.scene_prompt)
    _check_encodable(recipe)
    _check_identity(recipe)
    for subject in recipe.subjects:
        _check_subject(subject)
    for context in recipe.context:
        check_name(context.name)
        _check_mesh_ref(context.name, context.mesh)
        check_matrix(context.name, context.world_from_object)
    _check_rig(recipe.rig)
    _check_stages(recipe.stages)
    check_guidance(recipe.guidance)
    check_lighting(recipe.lighting)
    check_priors(recipe, known_priors, known_controls)


def _check_encodable(recipe: Recipe) -> None:
    """Types, id forms and the byte bound, by encoding it as it would be sent."""
    try:
        size = len(encode(Envelope(SubmitJob("0" * 32, recipe), 1))[1])
    except ProtocolError as error:
        raise invalid(f"The recipe cannot be sent: {error.message}", error.remedy or "Correct that value.") from error
    if size > limits.MAX_RECIPE_BYTES:
        raise invalid(
            f"The recipe has {size} bytes; the limit is {limits.MAX_RECIPE_BYTES}.", "Use fewer context objects, or shorter prompts."
        )


def _check_counts(recipe: Recipe) -> None:
    counts = (
        ("targets", len(recipe.subjects), limits.MAX_SUBJECTS),
        ("context objects", len(recipe.context), limits.MAX_CONTEXT),
        ("cameras", len(recipe.rig.cameras), limits.MAX_CAMERAS),
        ("lamps", len(recipe.lighting.lamps), limits.MAX_LAMPS),
    )
    for what, count, limit in counts:
        if count > limit:
            raise invalid(f"The recipe has {count} {what}; the limit is {limit}.", f"Choose fewer {what}.")


def _check_identity(recipe: Recipe) -> None:
    if recipe.format != RECIPE_FORMAT:
        raise invalid(f"The recipe has format {recipe.format}, not {RECIPE_FORMAT}.", "Update Maquette.")
    twice = [one for one, times in Counter(subject.subject_id for subject in recipe.subjects).items() if times > 1]
    if twice:
        raise invalid(f"Two targets have the id {twice[0]}.", "Give each a new id (duplicate objects share theirs).")


def _check_subject(subject: Subject) -> None:
    name = subject.name
    check_name(name)
    if not subject.subject_id:
        raise invalid(f"“{name}” has no id.", "Make 32 hex digits for it.")
    check_range(f"The strength of “{name}”", subject.strength, 0, 1)
    check_range(
        f"The texture size of “{name}”", subject.texture_size, limits.MIN_TEXTURE_SIZE, limits.MAX_TEXTURE_SIZE
    )
    _check_upscale(subject)
    check_range(f"“Stay close” of “{name}”", subject.stay_close, 0, 1)
    if subject.triangle_budget != 0:
        budget = f"The triangle budget of “{name}”"
        check_range(budget, subject.triangle_budget, limits.MIN_TRIANGLE_BUDGET, limits.MAX_TRIANGLES)
    check_matrix(name, subject.world_from_object)
    _check_mesh_ref(name, subject.mesh)
    _check_controls(subject)
    check_paint(subject)


def _check_upscale(subject: Subject) -> None:
    name, times = subject.name, subject.upscale
    if times not in UPSCALES:
        known = ", ".join(map(str, UPSCALES))
        raise invalid(f"The upscaling of “{name}” is {times}.", f"Choose one of: {known}.")
    side = times * subject.texture_size
    if side > limits.MAX_TEXTURE_SIZE:
        raise invalid(
            f"The texture of “{name}”, {subject.texture_size} pixels upscaled {times} times, would have {side}.",
            f"Choose a smaller texture or upscaling; the limit is {limits.MAX_TEXTURE_SIZE}.",
        )


def _check_controls(subject: Subject) -> None:
    vertices = _rows(subject.mesh.positions)
    for what, ref, dtype, fits in (
        ("mask", subject.mask, "f4", lambda shape: shape == (vertices,)),
        ("sharp edges", subject.sharp_edges, "i4", lambda shape: len(shape) == 2 and shape[1] == 2),
    ):
        if ref is None:
            continue
        if ref.dtype != dtype or not fits(ref.shape):
            raise invalid(
                f"The {what} of “{subject.name}” is {ref.dtype} {list(ref.shape)}.",
                f"Send f4 [{vertices}] for a mask, i4 [n, 2] for sharp edges.",
            )
        check_ref(subject.name, ref)


def _check_prompts(subject: Subject) -> None:
    """First of all, for a text that is far too long should be called that, not a recipe that cannot be sent."""
    if not isinstance(subject.prompt, str) or not isinstance(subject.negative_prompt, str):
        return  # what is no text is named when the recipe is encoded
    if is_blank(subject.prompt):
        raise MaquetteError(
            ErrorCode.EMPTY_PROMPT, f"“{subject.name}” has no prompt.", "Say in words what it should become."
        )
    for what, text in (("prompt", subject.prompt), ("negative prompt", subject.negative_prompt)):
        if len(text) > limits.MAX_PROMPT_CHARS:
            raise invalid(
                f"The {what} of “{subject.name}” has {len(text)} characters; the limit is {limits.MAX_PROMPT_CHARS}.",
                "Shorten it.",
            )


def _check_scene_prompt(prompt: str) -> None:
    if isinstance(prompt, str) and len(prompt) > limits.MAX_PROMPT_CHARS:
        raise invalid(
            f"The scene's prompt has {len(prompt)} characters; the limit is {limits.MAX_PROMPT_CHARS}.", "Shorten it."
        )


def is_blank(text: str) -> bool:
    """True when nothing in it can be seen: blanks, line ends, control and zero-width characters."""
    return not any(char.isprintable() and not char.isspace() for char in text)


def _check_mesh_ref(name: str, mesh: MeshRef) -> None:
    vertices, triangles = _rows(mesh.positions), _rows(mesh.triangles)
    if triangles > limits.MAX_TRIANGLES or vertices > limits.MAX_VERTICES:
        raise MaquetteError(
            ErrorCode.TOO_MANY_TRIANGLES,
            f"“{name}” has {triangles:,} triangles and {vertices:,} vertices;"
            f" the limits are {limits.MAX_TRIANGLES:,} and {limits.MAX_VERTICES:,}.",
            "Reduce it, for example with a Decimate modifier.",
        )
    for what, ref, dtype, tail, rows in _parts(mesh, triangles):
        if ref.dtype != dtype or ref.shape[1:] != tail or (rows is not None and ref.shape[0] != rows):
            raise invalid(
                f"The {what} of “{name}” are {ref.dtype} {list(ref.shape)}.",
                f"They should be {dtype} [{'n' if rows is None else rows}, {', '.join(map(str, tail))}].",
            )
        check_ref(name, ref)


def _rows(ref: ArrayRef) -> int:
    return ref.shape[0] if ref.shape else 0


def _parts(mesh: MeshRef, triangles: int) -> Iterator[tuple[str, ArrayRef, str, tuple[int, ...], int | None]]:
    """Each array of a mesh with the type and shape that it must have."""
    yield "positions", mesh.positions, "f4", (3,), None
    yield "triangles", mesh.triangles, "i4", (3,), None
    if mesh.corner_uvs is not None:
        yield "corner UVs", mesh.corner_uvs, "f4", (3, 2), triangles


def _check_rig(rig: CameraRig) -> None:
    if not rig.cameras and not rig.orbit:
        raise MaquetteError(
            ErrorCode.NO_CAMERA, "No camera is chosen, and the automatic orbit is off.", "Add one, or turn it on."
        )
    check_range("The orbit's lowest elevation", rig.orbit_elevation_min, -math.pi / 2, math.pi / 2)
    check_range("The orbit's highest elevation", rig.orbit_elevation_max, rig.orbit_elevation_min, math.pi / 2)
    check_range("The cameras' jitter", rig.jitter, 0, math.pi)
    for camera in rig.cameras:
        _check_camera(camera)


def _check_camera(camera: Camera) -> None:
    check_name(camera.name)
    check_matrix(camera.name, camera.world_from_camera)
    check_range(f"The field of view of “{camera.name}”", camera.fov_y, 0.01, 3.1)
    check_range(f"The aspect of “{camera.name}”", camera.aspect, 0.01, 100)


def _check_stages(stages: Stages) -> None:
    bounds: Sequence[tuple[str, int, int, int]] = (
        ("geometry steps", stages.geometry_steps, 0, limits.MAX_STEPS),
        ("appearance steps", stages.appearance_steps, 0, limits.MAX_STEPS),
        ("grid resolution", stages.grid_resolution, limits.MIN_GRID_RESOLUTION, limits.MAX_GRID_RESOLUTION),
        ("views per step", stages.views_per_step, 1, limits.MAX_VIEWS_PER_STEP),
        ("render size", stages.render_size, limits.MIN_RENDER_SIZE, limits.MAX_RENDER_SIZE),
        ("steps between previews", stages.preview_every, 0, limits.MAX_STEPS),
        ("scene steps", stages.scene_steps, 0, limits.MAX_STEPS),
        ("finish steps", stages.finish_steps, 0, limits.MAX_FINISH_STEPS),
    )
    for what, value, low, high in bounds:
        check_range(f"The number for {what}", value, low, high)
