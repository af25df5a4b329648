"""Every preset makes a recipe that is accepted; built-in priors keep their own figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maquette_protocol.checks import check_recipe
from maquette_protocol.presets import (
    BUILT_IN_PRIORS,
    PRESETS,
    PresetName,
    guidance_of,
    preset_names,
    stages_of,
    with_preset,
)
from maquette_protocol.recipe import Guidance, Recipe, Stages
from maquette_protocol.recipe_text import recipe_from_json, recipe_to_json
from protocol_samples import RECIPE

NAMES = preset_names()
PLAIN = replace(RECIPE, guidance=Guidance(), stages=Stages(30, 40, preview_every=3, scene_steps=5, finish_steps=6))


def test_every_name_has_a_preset_and_the_default_comes_first() -> None:
    assert tuple(PRESETS) == NAMES
    assert NAMES[0] == "maquette"
    assert PRESETS["maquette"].guidance == Guidance()
    assert PRESETS["maquette"].stages == Stages()


@pytest.mark.parametrize("prior", ["sd15", *BUILT_IN_PRIORS])
@pytest.mark.parametrize("name", NAMES)
def test_it_makes_a_recipe_that_is_accepted_and_stored(name: PresetName, prior: str) -> None:
    made = with_preset(replace(PLAIN, prior=prior), name)
    check_recipe(made, (prior,))
    assert recipe_from_json(recipe_to_json(made)) == made
    changed = (made.guidance, made.stages)
    assert replace(made, guidance=PLAIN.guidance, stages=PLAIN.stages) == replace(PLAIN, prior=prior)
    assert changed == (guidance_of(name, prior), stages_of(name, prior, PLAIN.stages))


def test_a_model_gets_the_papers_figures_and_the_artists_previews() -> None:
    made = with_preset(replace(PLAIN, prior="sd15"), "xdreamer")
    assert made.guidance == PRESETS["xdreamer"].guidance
    assert (made.stages.geometry_steps, made.stages.appearance_steps, made.stages.render_size) == (2000, 1000, 512)
    assert (made.stages.preview_every, made.stages.scene_steps, made.stages.finish_steps) == (3, 5, 6)


@pytest.mark.parametrize("prior", BUILT_IN_PRIORS)
@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_prior_keeps_its_scales_times_and_lengths(name: PresetName, prior: str) -> None:
    made: Recipe = with_preset(replace(PLAIN, prior=prior), name)
    own = PRESETS[name].guidance
    assert made.stages == PLAIN.stages
    figures = (made.guidance.geometry_scale, made.guidance.appearance_scale, made.guidance.geometry_times, made.guidance.appearance_times)
    assert figures == (None, None, None, None)
    assert (made.guidance.method, made.guidance.cg_lora, made.guidance.ama) == (own.method, own.cg_lora, own.ama)
