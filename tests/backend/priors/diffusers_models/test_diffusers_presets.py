"""Presets in whole jobs with each family: those whose text is the network's own take all, the others say what they can't do."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from job_in_memory import SMALL, Shelf, run
from maquette_backend.priors.denoiser import HasDenoiser
from maquette_backend.priors.load import load_prior
from maquette_backend.priors.registry import describe, register
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.presets import with_preset
from maquette_protocol.recipe import Recipe
from refine_shapes import box
from tiny_models import FAMILIES

STAGES = replace(SMALL, geometry_steps=2, appearance_steps=2, views_per_step=4, render_size=16, preview_every=0)
PRESETS = ("dreamfusion", "fantasia3d", "prolificdreamer", "xdreamer")
CLOSED = ("stable-diffusion-xl", "stable-diffusion-3")


def recipe_for(preset: str, shelf: Shelf) -> Recipe:
    """The preset's guidance, learning from the first step on, and few steps."""
    plain = Recipe((shelf.subject(*box(), mode="keep_topology"),), prior="mine")
    made = with_preset(plain, preset)  # type: ignore[arg-type]
    return replace(made, stages=STAGES, guidance=replace(made.guidance, ama_start=0.0))


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in CLOSED])
def test_every_preset_runs_and_leaves_the_model_as_it_was(family, folder_of, tmp_path):
    register(tmp_path, describe("mine", folder_of(family)))
    prior = load_prior("mine", "cpu", tmp_path)
    assert isinstance(prior, HasDenoiser)
    before = {name: value.clone() for name, value in prior.denoiser().state_dict().items()}
    processors = [getattr(module, "processor", None) for module in prior.denoiser().modules()]
    looks = []
    for preset in PRESETS:
        shelf = Shelf()
        events = run(recipe_for(preset, shelf), shelf, priors=lambda name: prior)
        (result,) = events.results
        assert all(np.isfinite(report.loss) for report in events.reports)
        assert result.base_color is not None
        looks.append((result.positions.tobytes(), result.base_color.tobytes()))
    assert len(set(looks)) == len(looks)
    assert all(torch.equal(value, before[name]) for name, value in prior.denoiser().state_dict().items())
    assert [getattr(module, "processor", None) for module in prior.denoiser().modules()] == processors


@pytest.mark.parametrize("family", CLOSED)
@pytest.mark.parametrize("preset", ["prolificdreamer", "xdreamer"])
def test_what_a_family_cannot_do_is_said_before_the_first_step(family, preset, folder_of, tmp_path):
    register(tmp_path, describe("mine", folder_of(family)))
    shelf = Shelf()
    with pytest.raises(MaquetteError, match="“mine” lets nothing into it") as caught:
        run(recipe_for(preset, shelf), shelf, priors=partial(load_prior, device="cpu", models=tmp_path))
    assert caught.value.code == ErrorCode.INVALID_RECIPE
