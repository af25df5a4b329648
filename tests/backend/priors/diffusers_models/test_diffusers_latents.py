"""The coarse phase of the geometry in whole jobs: normals as latents, past the VAE, then through it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from job_in_memory import SMALL, Shelf, run, starter
from maquette_backend.priors.load import load_prior
from maquette_backend.priors.registry import describe, register
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import Guidance, Recipe
from refine_shapes import box
from tiny_models import FAMILIES, SIDE

STAGES = replace(SMALL, geometry_steps=4, appearance_steps=0, views_per_step=4, render_size=16, preview_every=0)
BEARS = [name for name in FAMILIES if name != "stable-diffusion-3"]


def recipe_for(shelf: Shelf, share: float, prior: str = "mine") -> Recipe:
    guidance = Guidance(latent_normals=share, normal_share=1.0, rescale=0.0)
    return Recipe((shelf.subject(*box(), mode="keep_topology"),), stages=STAGES, prior=prior, guidance=guidance)


@pytest.mark.parametrize("family", BEARS)
def test_the_vae_is_not_asked_in_the_phase_and_is_after_it(family, folder_of, tmp_path, monkeypatch):
    register(tmp_path, describe("mine", folder_of(family)))
    prior = load_prior("mine", "cpu", tmp_path)
    assert prior.latent_shape == (4, SIDE, SIDE)
    asked = []
    encode, output = prior.parts.pictures.encode, prior._output
    monkeypatch.setattr(prior.parts.pictures, "encode", lambda images: asked.append("vae") or encode(images))
    monkeypatch.setattr(prior, "_output", lambda *given: asked.append("network") or output(*given))
    found = {}
    for share in (0.0, 0.5, 1.0):
        shelf = Shelf()
        asked.clear()
        (result,) = run(recipe_for(shelf, share), shelf, priors=lambda name: prior).results
        late = round(4 * (1 - share))
        assert asked == ["network"] * (4 - late) + ["vae", "network"] * late
        moved = np.abs(result.positions - box()[0]).max()
        assert np.isfinite(result.positions).all()
        assert moved > 1e-5, "the gradient reaches the shape"
        found[share] = result.positions.tobytes()
    assert len(set(found.values())) == 3


@pytest.mark.parametrize(("family", "said"), [("stable-diffusion-3", "those of “mine” have 6"), (None, "“starter” has no latents")])
def test_a_prior_without_latents_of_four_channels_says_so_before_the_first_step(family, said, folder_of, tmp_path):
    shelf = Shelf()
    if family:
        register(tmp_path, describe("mine", folder_of(family)))
    priors = partial(load_prior, device="cpu", models=tmp_path) if family else starter
    with pytest.raises(MaquetteError) as caught:
        run(recipe_for(shelf, 0.5, "mine" if family else "starter"), shelf, priors=priors)
    assert caught.value.code == ErrorCode.INVALID_RECIPE
    assert said in caught.value.message
    assert "latent_normals to 0" in caught.value.remedy
