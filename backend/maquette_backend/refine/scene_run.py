"""All subjects together: the whole scene in view, one text for it, every subject's looks in tune with the others'."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from maquette_protocol import limits
from maquette_protocol.recipe import Recipe

from maquette_backend.guidance.distiller import Distiller
from maquette_backend.guidance.sds import Sds
from maquette_backend.refine import adam_state
from maquette_backend.refine.appearance_run import AppearanceRun, Studio
from maquette_backend.refine.company import distilling, voices_of
from maquette_backend.refine.distil import Scene
from maquette_backend.refine.distilling import restore_stage, stage_arrays
from maquette_backend.refine.painting import Painter, Stand, paint_step, plain_paint
from maquette_backend.refine.plan import scene_settings
from maquette_backend.refine.randomness import generator_for
from maquette_backend.refine.stage_loop import Task
from maquette_backend.refine.stage_settings import StageSettings
from maquette_backend.refine.surroundings import Surroundings
from maquette_backend.refine.viewpoints import view_sampler
from maquette_backend.render.scene_render import lay_out
from maquette_backend.render.shading import HeadLight

CONTEXT_COLOR = (0.6, 0.6, 0.6)
"""sRGB of what is only there to be seen: a recipe does not say more of it than its shape."""


def paint_scene(studio: Studio, runs: Sequence[AppearanceRun], surroundings: Surroundings) -> None:
    """Every scene step that is left. Only what the subjects' skins learn changes. Raises Cancelled.

    After Set-the-Scene (Cohen-Bar et al. 2023), which takes turns between single objects and the scene; here every
    subject has had its turn before.
    """
    recipe, memory = studio.recipe, studio.loop.memory
    skins = {run.canvas.subject_id: run.skin for run in runs}
    held = memory.held("scene/together")
    if held is not None:
        adam_state.restore_parts(skins, held)
        studio.loop.skip(recipe.stages.scene_steps)
        return
    with distilling(recipe, studio.company, "appearance", scene_words(recipe)) as distiller:
        _paint(studio, runs, scene_stand(studio, runs, surroundings, distiller))
    memory.hold("scene/together", adam_state.parts_to_arrays(skins))


def _paint(studio: Studio, runs: Sequence[AppearanceRun], stand: Stand) -> None:
    recipe, distiller = studio.recipe, stand.scene.distiller
    first, steps = runs[0].canvas.subject_id, recipe.stages.scene_steps
    settings = scene_settings(recipe, studio.prior.settings)
    state = _together(runs, settings)

    def step(number: int) -> float:
        return paint_step(state, stand, settings, number / steps, generator_for(recipe.seed, "scene", number))

    def show(number: int) -> None:
        runs[number // max(1, recipe.stages.preview_every) % len(runs)].show(number)

    studio.loop.run(
        Task(
            "appearance",
            "scene",
            first,
            steps,
            step,
            lambda: stage_arrays(state, distiller),
            lambda arrays: restore_stage(state, distiller, arrays),
            show,
        )
    )


def _together(runs: Sequence[AppearanceRun], settings: StageSettings) -> Painter:
    """Every skin at the rate of its own steps: what suits a volume would paint a map anew in twenty steps."""
    groups = [{"params": run.skin.overall(), "lr": settings.base_rate} for run in runs]
    groups += [{"params": run.skin.detail(), "lr": run.rate(settings)} for run in runs]
    optimiser = torch.optim.Adam([group for group in groups if group["params"]], betas=(0.9, 0.99))

    def settle() -> None:
        for run in runs:
            run.settle()

    return Painter({run.canvas.subject_id: run.skin for run in runs}, optimiser, settle)


def scene_stand(
    studio: Studio, runs: Sequence[AppearanceRun], surroundings: Surroundings, distiller: Distiller | None = None
) -> Stand:
    """Subjects as they are by now, and the context, framed on the subjects."""
    recipe, device = studio.recipe, studio.prior.settings.device
    placement = surroundings.scene_placement()
    light = studio.light.standing(placement.unit_from_world, device)
    objects, paints = [], []
    for run in runs:
        picture_from_unit = placement.unit_from_world @ run.canvas.placement.world_from_unit
        objects.append(run.canvas.standing(picture_from_unit))
        paints.append(run.paint_in(light, picture_from_unit))
    for thing in surroundings.context:
        objects.append(thing.standing(placement.unit_from_world, device))
        paints.append(plain_paint(CONTEXT_COLOR, HeadLight().shade))
    scene = Scene(
        studio.prior,
        studio.rasterizer,
        view_sampler(recipe.rig, placement),
        scene_words(recipe),
        ", ".join(dict.fromkeys(one.negative_prompt for one in recipe.subjects if one.negative_prompt)),
        recipe.guidance.view_dependent_prompts,
        distiller or Sds(),
        voices_of(recipe, distiller, scene_settings),
        studio.company.controls,
    )
    return Stand(scene, lay_out(objects), tuple(paints), prepare=light.prepare)


def scene_words(recipe: Recipe) -> str:
    """The scene's prompt, or those of the subjects in a row."""
    joined = ", ".join(dict.fromkeys(subject.prompt.strip() for subject in recipe.subjects))
    return recipe.scene_prompt.strip() or joined[: limits.MAX_PROMPT_CHARS]
