"""Guidance that cannot be used, or whose parts don't go together, is named with the thing, the value and the remedy."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maquette_protocol.checks import check_recipe
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import Control, FurtherPrior, Guidance, Recipe, Times
from maquette_protocol.recipe_text import recipe_from_json, recipe_to_json
from protocol_samples import COMBINED, GUIDED, RECIPE

PRIORS = ("starter",)
SEVERAL, CONTROLS = ("starter", "zero-1", "xl"), ("depth", "normals")
SUBJECT = RECIPE.subjects[0]


def guided(**changes: object) -> Recipe:
    return replace(RECIPE, guidance=replace(Guidance(), **changes))  # type: ignore[arg-type]


def refused(recipe: Recipe) -> MaquetteError:
    with pytest.raises(MaquetteError) as caught:
        check_recipe(recipe, PRIORS)
    assert caught.value.code == ErrorCode.INVALID_RECIPE
    assert caught.value.remedy
    return caught.value


def test_everything_of_version_1_4_is_accepted() -> None:
    check_recipe(GUIDED, PRIORS)
    check_recipe(guided(method="csd"), PRIORS)
    check_recipe(guided(cg_lora=True, cg_lora_denoising=1.0), PRIORS)
    check_recipe(guided(geometry_times=Times((0.0, 1.0), (0.0, 1.0))), PRIORS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "magic"}, "method should be one of sds, csd, vsd, ism, sjc, not 'magic'"),
        ({"geometry_weighting": "most"}, "geometry_weighting"),
        ({"rescale": 1.5}, "rescale is 1.5"),
        ({"rescale": math.nan}, "rescale"),
        ({"switch_at": -0.5}, "switch is -0.5"),
        ({"image_loss": 2.0}, "image loss is 2"),
        ({"ama_start": 1.01}, "1.01"),
        ({"ama": 101.0, "cg_lora": True}, "alignment is 101"),
        ({"cg_lora_denoising": -1.0, "cg_lora": True}, "denoising loss is -1"),
        ({"geometry_times": Times((-0.1, 0.5))}, "lowest diffusion time for geometry at its start is -0.1"),
        ({"appearance_times": Times((0.5, 0.4))}, "highest diffusion time for appearance at its start is 0.4"),
        ({"appearance_times": Times(end=(0.5, 1.1))}, "highest diffusion time for appearance at its end is 1.1"),
        ({"geometry_times": Times((0.1, 0.2), (0.3, 0.4), "square_root")}, "from 0.2 to 0.3, which is no fall"),
        ({"perp_neg": True, "method": "csd"}, "Perp-Neg"),
        ({"perp_neg": True, "geometry_method": "csd"}, "Perp-Neg"),
        ({"ama": 0.1}, "Attention-mask alignment (weight 0.1) teaches CG-LoRA, which is off"),
        ({"cg_lora_denoising": 1.0}, "denoising loss of the renders (weight 1)"),
        ({"cg_lora": True}, "nothing to learn from"),
    ],
)
def test_guidance_that_cannot_be_used_is_named(changes: dict[str, object], said: str) -> None:
    assert re.search(re.escape(said), refused(guided(**changes)).message)


def test_everything_of_version_1_5_is_accepted() -> None:
    check_recipe(COMBINED, SEVERAL, CONTROLS)
    check_recipe(guided(geometry_scale_end=0.0, latent_normals=1.0, normal_share=0.0), PRIORS)
    check_recipe(replace(RECIPE, prior_weight=0.0, further_priors=(FurtherPrior("xl"),)), SEVERAL)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"further_priors": (FurtherPrior("mine"),)}, "no prior “mine”. (Choose one of: starter, xl, zero-1.)"),
        ({"further_priors": (FurtherPrior("starter"),)}, "The prior “starter” is named twice"),
        ({"further_priors": (FurtherPrior("xl"), FurtherPrior("xl"))}, "The prior “xl” is named twice"),
        ({"further_priors": (FurtherPrior("xl", -1.0),)}, "The weight of the prior “xl” is -1"),
        ({"further_priors": (FurtherPrior("xl", math.nan),)}, "should be a finite number, not nan"),
        ({"further_priors": (FurtherPrior("xl", appearance_scale=2000.0),)}, "appearance of “xl” is 2000"),
        ({"further_priors": (FurtherPrior("xl", method="magic"),)}, "method should be one of"),  # type: ignore[arg-type]
        ({"further_priors": tuple(FurtherPrior(f"p{n}") for n in range(4))}, "4 further priors; the limit is 3"),
        ({"prior_weight": 1e4}, "The weight of the prior “starter” is 10000"),
        ({"prior_weight": 0.0}, "every weight is 0"),
        ({"controls": (Control("canny"),)}, "no ControlNet “canny”. (Choose one of: depth, normals.)"),
        ({"controls": (Control("xl"),)}, "no ControlNet “xl”"),
        ({"controls": (Control("depth"), Control("depth"))}, "The ControlNet “depth” is named twice"),
        ({"controls": (Control("depth", 3.0),)}, "The weight of the ControlNet “depth” is 3"),
        ({"controls": tuple(Control(f"c{n}") for n in range(5))}, "5 ControlNets; the limit is 4"),
    ],
)
def test_priors_and_controls_that_cannot_be_used_are_named(changes: dict[str, object], said: str) -> None:
    with pytest.raises(MaquetteError) as caught:
        check_recipe(replace(RECIPE, **changes), SEVERAL, CONTROLS)  # type: ignore[arg-type]
    assert said in f"{caught.value.message} ({caught.value.remedy})"


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Guidance) if field.type in ("float", "float | None")])
def test_every_number_is_bounded(field: str) -> None:
    for value in (-1.0, 1e9):
        refused(replace(GUIDED, guidance=replace(GUIDED.guidance, **{field: value})))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"upscale": 0}, "is 0"),
        ({"upscale": 3}, "The upscaling of “Fauteuil é” is 3."),
        ({"upscale": 8}, "is 8"),
        ({"upscale": 2.0}, "upscale"),
        ({"upscale": 4, "texture_size": 4096}, "4096 pixels upscaled 4 times, would have 16384"),
    ],
)
def test_upscaling_out_of_bounds_is_named(changes: dict[str, object], said: str) -> None:
    assert said in refused(replace(RECIPE, subjects=(replace(SUBJECT, **changes),))).message


def test_upscaling_up_to_the_largest_texture_is_accepted() -> None:
    for upscale, size in ((1, 8192), (2, 4096), (4, 2048)):
        check_recipe(replace(RECIPE, subjects=(replace(SUBJECT, upscale=upscale, texture_size=size),)), PRIORS)


share = st.floats(0, 1)
times = st.builds(
    lambda start, end, change: Times(tuple(sorted(start)), tuple(sorted(end)), change),  # type: ignore[arg-type]
    st.tuples(share, share), st.tuples(share, share), st.sampled_from(["linear", "switch"]),
)  # fmt: skip


@given(
    st.builds(
        Guidance, st.none() | st.floats(0, 1000), st.none() | st.floats(0, 1000), st.booleans(),
        st.sampled_from(["sds", "vsd", "ism", "sjc"]), st.none() | st.just("sjc"), share, st.none() | times, st.none() | times,
        switch_at=share, perp_neg=st.booleans(), image_loss=share, cg_lora=st.just(True), ama=st.floats(0.01, 100),
        ama_start=share,
    )
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_any_guidance_within_bounds_is_accepted_and_stored_as_it_is(guidance: Guidance) -> None:
    recipe = replace(RECIPE, guidance=guidance)
    check_recipe(recipe, PRIORS)
    assert recipe_from_json(recipe_to_json(recipe)) == recipe
