"""From a recipe and a prior's advice to the settings of each stage of each subject."""

from __future__ import annotations

from dataclasses import dataclass, replace

from maquette_protocol.recipe import Guidance, MaterialKind, Recipe, Subject

from maquette_backend.guidance.from_recipe import times_of, weighting_of
from maquette_backend.guidance.guided import Distillation
from maquette_backend.guidance.schedule import TimeSchedule
from maquette_backend.guidance.weights import Weighting, clean_distance
from maquette_backend.priors.prior import Settings
from maquette_backend.refine.stage_settings import StageSettings

REACH = 0.10
"""Strength 1 lets the surface move this far, in units of the longest side."""
NORMAL_SHARE = 0.6
"""Share of geometry steps that look at normals; the rest keep colour in step with the shape. Not so with a joint prior,
where every step sees both."""
JOINT_WEIGHTS = (0.3, 1.0, 4.0)
"""What the shape listens to, under a joint prior. Colour little: shading says what normals say better, and texture says
nothing about shape. Coverage more: it differs along outlines alone, and is the one channel that only shape can change.
Under an exact prior equal weights come only a third as near to its shape in as many steps."""
COLOR_RATE = 0.005
"""Adam's, of colours on a surface that does not move. A prior's answers scatter widely around what they mean, so at .02, four
levels of a field each, colours strayed: yellow ended pale, white grey."""
BASE_AGAIN = 0.25
"""Share of the later steps that learn the overall colour again."""
BAKING_STEPS = 10
"""What unwrapping and baking count for in a job's progress."""


@dataclass(frozen=True)
class SubjectPlan:
    """What will be done to one subject."""

    subject: Subject
    geometry_steps: int
    appearance_steps: int
    bound: float
    """Units of the longest side."""
    seed: int
    """Of all its random numbers."""
    finish_steps: int = 0

    @property
    def steps(self) -> int:
        """Everything, in steps of the job's progress."""
        return self.geometry_steps + self.appearance_steps + self.finish_steps + BAKING_STEPS


def plan_subject(recipe: Recipe, subject: Subject) -> SubjectPlan:
    """Texture only, and a strength of 0, skip the geometry."""
    moves = subject.mode != "texture_only" and subject.strength > 0
    return SubjectPlan(
        subject,
        geometry_steps=recipe.stages.geometry_steps if moves else 0,
        appearance_steps=recipe.stages.appearance_steps,
        bound=REACH * subject.strength,
        seed=recipe.seed if subject.seed is None else subject.seed,
        finish_steps=recipe.stages.finish_steps,
    )


def geometry_settings(recipe: Recipe, advice: Settings) -> StageSettings:
    """Normals and colour (and outlines, where the prior sees them together), times annealed, moderate guidance."""
    asked = recipe.guidance
    scale = advice.geometry_scale if asked.geometry_scale is None else asked.geometry_scale
    times = TimeSchedule(advice.geometry_time_start, advice.geometry_time_end)
    return StageSettings(
        schedule=times_of(asked.geometry_times, times, asked.switch_at),
        distillation=Distillation(
            scale,
            asked.rescale,
            joint_weights=JOINT_WEIGHTS,
            weighting=_geometry_weighting(asked, advice),
        ),
        views=recipe.stages.views_per_step,
        size=nearest_size(recipe.stages.render_size, advice.sizes),
        modality="joint" if "joint" in advice.modalities else "color",
        normal_share=_normal_share(asked.normal_share, advice),
        color_rate=0.02,
        image_loss=asked.image_loss,
        scale_end=asked.geometry_scale_end,
        latent_share=asked.latent_normals,
    )


def _geometry_weighting(asked: Guidance, advice: Settings) -> Weighting | None:
    """The prior's advice is for plain SDS at its own times: a recipe that names others is taken at its word."""
    plain = (asked.geometry_method or asked.method) == "sds" and asked.geometry_weighting == "method"
    if plain and asked.geometry_times is None and advice.geometry_weighting == "clean_distance":
        return clean_distance
    return weighting_of(asked.geometry_weighting, asked.switch_at)


def _normal_share(asked: float | None, advice: Settings) -> float:
    """A prior that sees colour and normals together has no use for turns."""
    if "normal" not in advice.modalities:
        return 0.0
    return NORMAL_SHARE if asked is None else asked


def appearance_settings(recipe: Recipe, advice: Settings, material: MaterialKind = "color") -> StageSettings:
    """On a fixed surface, which the prior is shown, where it can be. Only the scale depends on what is painted.

    Times that a recipe names hold from the first step on: none are set apart for the overall colour.
    """
    asked = recipe.guidance
    own_scale = advice.appearance_scale if material == "color" or advice.material_scale is None else advice.material_scale
    scale = own_scale if asked.appearance_scale is None else asked.appearance_scale
    own = asked.appearance_times is None
    times = TimeSchedule(advice.appearance_time_start, advice.appearance_time_end)
    return StageSettings(
        schedule=times_of(asked.appearance_times, times, asked.switch_at),
        distillation=Distillation(
            scale,
            asked.rescale,
            background_margin=advice.background_margin,
            weighting=weighting_of(asked.appearance_weighting, asked.switch_at),
        ),
        views=recipe.stages.views_per_step,
        size=nearest_size(recipe.stages.render_size, advice.sizes),
        modality="surface" if "surface" in advice.modalities else "color",
        normal_share=0.0,
        color_rate=COLOR_RATE,
        base_emphasis=advice.overall_color_emphasis * advice.appearance_scale / own_scale if own else 1.0,
        base_times=advice.overall_color_times if own else None,
        base_again=BASE_AGAIN if own and advice.overall_color_times else 0.0,
        image_loss=asked.image_loss,
        scale_end=asked.appearance_scale_end,
    )


def scene_settings(recipe: Recipe, advice: Settings) -> StageSettings:
    """As for one subject, from where its own steps end: what it is made of is settled, what fits together is not.

    Guided as full materials are where any is among the subjects: what is too weak for a colour is only slower.
    """
    full = any(subject.material == "pbr" for subject in recipe.subjects)
    settings = appearance_settings(recipe, advice, "pbr" if full else "color")
    return replace(settings, base_share=0.0, base_again=0.0)


def nearest_size(wanted: int, sizes: tuple[int, ...]) -> int:
    """The size the prior takes that is nearest to the wanted one, pixels."""
    return min(sizes, key=lambda size: abs(size - wanted))
