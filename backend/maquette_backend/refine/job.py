"""A whole job: every subject of a recipe, one after the other, resumable at any step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from maquette_protocol.cameras import check_seen
from maquette_protocol.mesh import check_mesh
from maquette_protocol.recipe import Recipe, Subject
from numpy.typing import NDArray

from maquette_backend.priors.prior import Prior
from maquette_backend.refine.controls import Controls, read_controls
from maquette_backend.refine.events import ArrayReader, CheckpointStore, JobEvents, RefinedSubject
from maquette_backend.refine.memory import JobMemory
from maquette_backend.refine.placement import Placement, place
from maquette_backend.refine.plan import SubjectPlan, plan_subject
from maquette_backend.refine.progress import ProgressReporter
from maquette_backend.refine.prompts_read import prompts_read
from maquette_backend.refine.subject_run import Cancelled, SubjectRun
from maquette_backend.refine.viewpoints import check_views
from maquette_backend.render.choose import choose_rasterizer


@dataclass(frozen=True)
class _Loaded:
    """One subject's arrays, checked, in object space."""

    positions: NDArray[np.float32]
    triangles: NDArray[np.int32]
    corner_uvs: NDArray[np.float32] | None
    placement: Placement
    controls: Controls


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
    finishes the present subject from the state it is in, and leaves those not yet begun as they were.
    """
    loaded = {subject.subject_id: _load(recipe, subject, read) for subject in recipe.subjects}
    plans = [plan_subject(recipe, subject) for subject in recipe.subjects]
    reporter = ProgressReporter(events, sum(plan.steps for plan in plans))
    reporter.begin("preparing", recipe.subjects[0].subject_id)
    memory = JobMemory(checkpoints)
    prior = priors(recipe.prior)
    check_views(recipe, prior.settings)
    readings = prompts_read(prior, recipe)
    if readings:
        events.prompts_read(readings)
    rasterizer = choose_rasterizer(prior.settings.device)
    for plan in plans:
        mesh = loaded[plan.subject.subject_id]
        result = memory.finished(plan.subject.subject_id)
        if result is None:
            run = SubjectRun(recipe, plan, mesh.placement, mesh.controls, prior, rasterizer, events, reporter, memory)
            try:
                result = run.refine(mesh.positions, mesh.triangles, mesh.corner_uvs)
            except Cancelled:
                return
            memory.finish(result)
        reporter.done = _done_after(plans, plan)
        events.finished(result)
        if events.wish() == "stop_and_keep":
            return


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
    return _Loaded(positions, triangles, uvs, placement, read_controls(subject, positions, triangles, read))


def _done_after(plans: list[SubjectPlan], last: SubjectPlan) -> int:
    return sum(plan.steps for plan in plans[: plans.index(last) + 1])


__all__ = ["RefinedSubject", "refine_job"]
