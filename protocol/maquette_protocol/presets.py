"""Guidance and lengths as the literature has them, by name, for recipes.

Where the figures are from, and what of a method a recipe can't say:

- ``dreamfusion``: Poole et al. 2022: scale 100, t ~ U(0.02, 0.98), w = 1 − ᾱ, words for sides, pictures of 64²,
  15 000 steps of four views (one on each of four chips). It finds shape and colour at once; here each has half the steps.
- ``magic3d``: Lin et al. 2023, the fine stage, by threestudio's ``magic3d-refine-sd``: scale 100, t ~ U(0.02, 0.5), 512²,
  grid 128, 5000 steps of one view, for shape and colour at once; here each has half.
- ``fantasia3d``: Chen et al. 2023, its README and ``configs/sandcastle_appearance_strategy2.json``: scale 50, 512²; geometry: t ~ U(0.02, 0.5),
  w = √ᾱ(1 − ᾱ), grid 128, 3000 steps of six views; appearance: strategy 2, which changes after 300 of 2000 steps, t ~ U(0.02,
  0.98). Its first phase shows normals as if they were latents, for 400 steps where a good shape is refined (its README's advice; half of
  the steps for one from nothing). Its authors also advise the negative prompt "shadow, oversaturated, low quality, unrealistic".
- ``prolificdreamer``: Wang et al. 2023, stages 2 and 3 of its README: shape by SDS at scale 100 for 15 000 steps, looks by VSD
  at 7.5 for 30 000 (here ``MAX_STEPS``), 512², one view; t ~ U(0.02, 0.98), after 5000 steps U(0.02, 0.5).
- ``xdreamer``: Ma et al. 2023, its paper and the release's ``configs/cupcake_*.json``: scale 50, 512², grid 256, 2000 and 1000
  steps of four views (one on each of four GPUs), alignment of weight 0.1 from half of each stage on; w = √ᾱ(1 − ᾱ); geometry: t ~
  U(0.02, 0.5), normals as latents for 1500 of the steps (``configs/Batman_geometry.json``, which begins from a mesh); appearance:
  U(0.1, 0.98), after 400 steps U(0.1, 0.5).

The last two look at nothing but normals while the shape is refined. Normals as latents need latents of four channels, as Stable Diffusion
1, 2 and XL have them; version 3 takes the other presets.

None of them pulls contrast back (``rescale`` 0). Their scales, times, sizes and lengths belong to the models that they were
found with, Imagen and Stable Diffusion. The built-in priors keep their own: with those a preset only chooses the method.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from . import limits
from .recipe import Guidance, Recipe, Stages, Times

PresetName = Literal["maquette", "dreamfusion", "magic3d", "fantasia3d", "prolificdreamer", "xdreamer"]
BUILT_IN_PRIORS = ("starter", "starter-4-views")
"""Priors that come with the backend, and keep their own figures."""
_WIDE, _LOW = (0.02, 0.98), (0.02, 0.5)


@dataclass(frozen=True)
class Preset:
    """One method's settings."""

    title: str
    about: str
    """A sentence for the artist."""
    guidance: Guidance
    stages: Stages
    """Of which ``preview_every``, ``scene_steps`` and ``finish_steps`` are nobody's concern here."""


PRESETS: dict[PresetName, Preset] = {
    "maquette": Preset("Maquette", "Score distillation with the prior's own figures", Guidance(), Stages()),
    "dreamfusion": Preset(
        "DreamFusion",
        "Plain score distillation at a strong scale, small pictures, any noise",
        Guidance(100.0, 100.0, rescale=0.0, geometry_times=Times(_WIDE, _WIDE), appearance_times=Times(_WIDE, _WIDE)),
        Stages(7500, 7500, views_per_step=4, render_size=64),
    ),
    "magic3d": Preset(
        "Magic3D Refine",
        "Large pictures and little noise: detail on a shape that is already good",
        Guidance(100.0, 100.0, rescale=0.0, geometry_times=Times(_LOW, _LOW), appearance_times=Times(_LOW, _LOW)),
        Stages(2500, 2500, grid_resolution=128, views_per_step=1, render_size=512),
    ),
    "fantasia3d": Preset(
        "Fantasia3D",
        "Shape from little noise, then looks with weights that favour fine detail late",
        Guidance(
            50.0, 50.0, rescale=0.0, geometry_times=Times(_LOW, _LOW), appearance_times=Times(_WIDE, _WIDE),
            geometry_weighting="fantasia_early", appearance_weighting="fantasia_switch", switch_at=0.15,
            latent_normals=400 / 3000, normal_share=1.0,
        ),
        Stages(3000, 2000, grid_resolution=128, views_per_step=6, render_size=512),
    ),
    "prolificdreamer": Preset(
        "ProlificDreamer",
        "Looks by variational score distillation: rich at a moderate scale, and slow",
        Guidance(
            100.0, 7.5, method="vsd", geometry_method="sds", rescale=0.0,
            geometry_times=Times(_WIDE, _LOW, "switch"), appearance_times=Times(_WIDE, _LOW, "switch"), switch_at=0.25,
        ),
        Stages(15_000, limits.MAX_STEPS, grid_resolution=128, views_per_step=1, render_size=512),
    ),
    "xdreamer": Preset(
        "X-Dreamer",
        "Adapters that know the camera, taught where the object is by its mask",
        Guidance(
            50.0, 50.0, rescale=0.0, geometry_times=Times(_LOW, _LOW), appearance_times=Times((0.1, 0.98), (0.1, 0.5), "switch"),
            geometry_weighting="fantasia_early", appearance_weighting="fantasia_early", switch_at=0.4,
            cg_lora=True, ama=0.1, ama_start=0.5, latent_normals=0.75, normal_share=1.0,
        ),
        Stages(2000, 1000, grid_resolution=256, views_per_step=4, render_size=512),
    ),
}  # fmt: skip


def preset_names() -> tuple[PresetName, ...]:
    """Names to choose from, the default first."""
    return get_args(PresetName)


def guidance_of(name: PresetName, prior: str) -> Guidance:
    """A preset's guidance for the prior of that name: a built-in one keeps its own scales and times."""
    guidance = PRESETS[name].guidance
    if prior not in BUILT_IN_PRIORS:
        return guidance
    return replace(
        guidance, geometry_scale=None, appearance_scale=None, geometry_times=None, appearance_times=None,
        latent_normals=0.0, normal_share=None,
    )  # fmt: skip


def stages_of(name: PresetName, prior: str, stages: Stages) -> Stages:
    """``stages`` with a preset's lengths and sizes, unless the prior is a built-in one."""
    if prior in BUILT_IN_PRIORS:
        return stages
    own = PRESETS[name].stages
    return replace(own, preview_every=stages.preview_every, scene_steps=stages.scene_steps, finish_steps=stages.finish_steps)


def with_preset(recipe: Recipe, name: PresetName) -> Recipe:
    """The recipe with a preset's guidance and lengths in place of its own."""
    guidance, stages = guidance_of(name, recipe.prior), stages_of(name, recipe.prior, recipe.stages)
    return replace(recipe, guidance=guidance, stages=stages)
