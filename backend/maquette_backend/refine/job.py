"""A whole job: the shape of each subject, its appearance, then all of them together; resumable at any step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from maquette_protocol.cameras import check_seen
from maquette_protocol.mesh import check_mesh
from maquette_protocol.recipe import Recipe, Subject
from numpy.typing import NDArray

from maquette_backend.priors.notices import heard
from maquette_backend.priors.prior import Prior
from maquette_backend.refine.appearance_run import AppearanceRun, Studio, color_run
from maquette_backend.refine.canvas import Canvas
from maquette_backend.refine.company import gather
from maquette_backend.refine.controls import Controls, read_controls
from maquette_backend.refine.events import ArrayReader, CheckpointStore, JobEvents, RefinedSubject
from maquette_backend.refine.finish_run import finish_base_color
from maquette_backend.refine.given import Given, read_given
from maquette_backend.refine.light import read_light
from maquette_backend.refine.material_run import material_run
from maquette_backend.refine.memory import JobMemory
from maquette_backend.refine.placement import Placement, place
from maquette_backend.refine.plan import BAKING_STEPS, SubjectPlan, plan_subject
from maquette_backend.refine.progress import ProgressReporter
from maquette_backend.refine.prompts_read import prompts_read
from maquette_backend.refine.scene_run import paint_scene
from maquette_backend.refine.shape_run import ShapeRun, wound
from maquette_backend.refine.stage_loop import Cancelled, StageLoop
from maquette_backend.refine.surroundings import Surroundings, read_surroundings
from maquette_backend.refine.upscaled import upscaled
from maquette_backend.render.choose import choose_rasterizer


@dataclass(frozen=True)
class _Loaded:
    """One subject's arrays, checked, in object space."""

    positions: NDArray[np.float32]
    triangles: NDArray[np.int32]
    corner_uvs: NDArray[np.float32] | None
    placement: Placement
    controls: Controls
    given: Given


@dataclass(frozen=True)
class _Begun:
    """A subject whose shape is settled and whose appearance is being painted."""

    loaded: _Loaded
    shape: ShapeRun
    paint: AppearanceRun


def refine_job(
    recipe: Recipe,
    read: ArrayReader,
    events: JobEvents,
    checkpoints: CheckpointStore,
    priors: Callable[[str], Prior],
) -> None:
    """Refine every subject of ``recipe`` and report through ``events``.

    Everything is checked before anything is computed: a bad mesh or rig raises MaquetteError that names the object.
    Interrupted at any step, the same call goes on from the newest checkpoint; finished subjects are reported again.
    On the wish "cancel" it returns at the next step and leaves its checkpoint where it is; on "stop_and_keep" it
    finishes the subjects it has begun from the state they are in, and leaves those not yet begun as they were.
    """
    loaded = {subject.subject_id: _load(recipe, subject, read) for subject in recipe.subjects}
    surroundings = read_surroundings(recipe, read)
    plans = [plan_subject(recipe, subject) for subject in recipe.subjects]
    reporter = ProgressReporter(events, sum(plan.steps for plan in plans) + recipe.stages.scene_steps)
    reporter.begin("preparing", recipe.subjects[0].subject_id)
    memory = JobMemory(checkpoints)
    company = gather(recipe, priors)
    readings = prompts_read(company.prior, recipe, {one.name: prior for one, prior in company.further})
    if readings:
        events.prompts_read(readings)
    loop = StageLoop(events, reporter, memory, recipe.stages.preview_every, company)
    device = company.prior.settings.device
    studio = Studio(recipe, company, choose_rasterizer(device), loop, events, read_light(recipe, read))
    with heard(company.speakers, events.notice), suppress(Cancelled):
        _refine(studio, plans, loaded, surroundings)


def _refine(
    studio: Studio, plans: list[SubjectPlan], loaded: dict[str, _Loaded], surroundings: Surroundings
) -> None:
    """One after the other; where there are scene steps, all are painted before any is finished."""
    loop, together = studio.loop, studio.recipe.stages.scene_steps > 0
    begun: list[_Begun] = []
    for plan in plans:
        result = loop.memory.finished(plan.subject.subject_id)
        if result is not None:
            loop.skip(plan.steps)
            studio.events.finished(result)
            continue
        begun.append(_begin(studio, plan, loaded[plan.subject.subject_id], surroundings))
        if not together:
            _finish(studio, begun.pop())
            loop.keeping = loop.keeping or studio.events.wish() == "stop_and_keep"
        if loop.keeping:
            break
    if begun:
        paint_scene(studio, [one.paint for one in begun], surroundings)
    for one in begun:
        _finish(studio, one)


def _begin(studio: Studio, plan: SubjectPlan, mesh: _Loaded, surroundings: Surroundings) -> _Begun:
    """Shape and own appearance."""
    device, given = studio.prior.settings.device, mesh.given
    shape = ShapeRun(
        studio.recipe, plan, mesh.placement, mesh.controls, studio.company, studio.rasterizer, studio.events, studio.loop,
        keeps_uvs=given.starts,
    )  # fmt: skip
    moved, field = shape.moved(mesh.positions, mesh.triangles, mesh.corner_uvs)
    canvas = Canvas(plan, mesh.placement, moved, given, device)
    veil = surroundings.veil(plan.subject.subject_id, mesh.placement, device)
    paint = (material_run if plan.subject.material == "pbr" else color_run)(studio, canvas, field, veil)
    paint.paint()
    return _Begun(mesh, shape, paint)


def _finish(studio: Studio, begun: _Begun) -> None:
    """Images, and the result told."""
    subject_id, mesh = begun.paint.canvas.subject_id, begun.loaded
    moved = begun.paint.canvas.moved
    studio.loop.reporter.begin("baking", subject_id)
    seen = begun.paint.seen()
    maps = begun.paint.images(seen)
    maps = replace(maps, base_color=finish_base_color(begun.paint, maps.base_color))
    maps, upscaled_by = upscaled(maps, begun.paint.canvas.plan.subject, studio.events.wish)
    start = begun.shape.start(mesh.positions, mesh.triangles, mesh.corner_uvs)
    result = RefinedSubject(
        subject_id,
        same_topology=begun.shape.same_topology,
        positions=moved.positions,
        triangles=mesh.placement.wind(moved.mesh.triangles),
        corner_uvs=wound(mesh.placement, moved.mesh.corner_uvs),
        origin=begun.shape.origin(moved, start, mesh.triangles),
        seen=float(seen.mean()) if len(seen) else 1.0,
        upscaled_by=upscaled_by,
        **vars(maps),
    )
    studio.loop.reporter.advance("baking", subject_id, 0.0, BAKING_STEPS)
    studio.loop.memory.finish(result)
    studio.events.finished(result)


def _load(recipe: Recipe, subject: Subject, read: ArrayReader) -> _Loaded:
    positions = np.asarray(read(subject.mesh.positions), np.float32)
    triangles = np.asarray(read(subject.mesh.triangles), np.int32)
    uvs = None if subject.mesh.corner_uvs is None else np.asarray(read(subject.mesh.corner_uvs), np.float32)
    check_mesh(subject.name, positions, triangles)
    shape = positions[np.unique(triangles)].astype(np.float64)  # a loose vertex is nothing to look at
    world = np.array(subject.world_from_object, np.float64).reshape(4, 4)
    if recipe.rig.cameras and not recipe.rig.orbit:
        check_seen(subject.name, recipe.rig.cameras, shape @ world[:3, :3].T + world[:3, 3])
    placement = place(subject.name, shape, subject.world_from_object)
    controls = read_controls(subject, positions, triangles, read)
    return _Loaded(positions, triangles, uvs, placement, controls, read_given(subject, read, controls.share))


__all__ = ["RefinedSubject", "refine_job"]
