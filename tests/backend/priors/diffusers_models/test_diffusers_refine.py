"""Whole jobs with registered models, and what happens to models between jobs."""

from __future__ import annotations

import shutil
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from job_in_memory import SMALL, Shelf, Store, run
from maquette_backend.priors.catalogue import prior_identity
from maquette_backend.priors.keep import LastPrior
from maquette_backend.priors.load import load_prior
from maquette_backend.priors.registry import describe, register, unregister
from maquette_backend.refine.job import refine_job
from maquette_backend.server.blob_store import BlobStore
from maquette_backend.workers.executor import RunJob
from maquette_backend.workers.process import PriorLoader
from maquette_backend.workers.runner import ChannelEvents, run_job
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import Recipe
from refine_shapes import box
from tiny_models import FAMILIES

STAGES = replace(SMALL, geometry_steps=2, appearance_steps=2, views_per_step=4, render_size=16, preview_every=0)


def recipe_for(prior: str, shelf: Shelf, **about) -> Recipe:
    return Recipe((shelf.subject(*box(), mode="keep_topology", **about),), stages=STAGES, prior=prior)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_job_refines_shape_and_colour_with_each_family(family, folder_of, tmp_path):
    register(tmp_path, describe("mine", folder_of(family)))
    shelf = Shelf()
    priors = partial(load_prior, device="cpu", models=tmp_path)
    events = run(recipe_for("mine", shelf, prompt="a chair " * 60), shelf, priors=priors)
    (result,) = events.results
    start, _ = box()
    assert np.isfinite(result.positions).all()
    assert np.abs(result.positions - start).max() > 1e-5
    assert result.base_color is not None
    assert all(np.isfinite(report.loss) for report in events.reports)
    ((reading,),) = events.readings
    assert 0 < reading.chars_read < len("a chair " * 60)
    assert reading.verdict is None


def test_switching_models_lets_the_old_one_go_before_the_new_one_is_loaded(folder_of, tmp_path):
    """After a whole job, by weak references to the networks, at the moment when the second is about to be loaded."""
    for name in ("stable-diffusion", "stable-diffusion-2"):
        register(tmp_path, describe(name, folder_of(name)))
    alive: list[weakref.ref] = []
    still_there: list[int] = []

    def load(name: str):
        still_there.append(sum(one() is not None for one in alive))
        prior = load_prior(name, "cpu", tmp_path)
        alive.extend(map(weakref.ref, (prior, prior.parts.denoiser.network, prior.parts.pictures._vae)))
        return prior

    priors = LastPrior(load, partial(prior_identity, tmp_path))
    shelf = Shelf()
    short = replace(STAGES, geometry_steps=0, appearance_steps=1)
    run(replace(recipe_for("stable-diffusion", shelf), stages=short), shelf, priors=priors)
    priors("stable-diffusion")
    priors("stable-diffusion-2")
    assert still_there == [0, 0]
    assert len(alive) == 6


def test_a_name_that_was_registered_anew_is_loaded_anew(folder_of, tmp_path):
    register(tmp_path, describe("mine", folder_of("stable-diffusion")))
    priors = PriorLoader(tmp_path)
    first = priors("mine")
    assert priors("mine") is first
    unregister(tmp_path, "mine")
    with pytest.raises(MaquetteError, match="no prior called “mine”"):
        priors("mine")
    register(tmp_path, describe("mine", folder_of("stable-diffusion-2")))
    assert priors("mine").identity != first.identity


class Silent:
    """An ``Outlet`` nobody reads."""

    def prompts_read(self, report): ...
    def progress(self, token, progress): ...
    def preview(self, token, preview, arrays): ...

    def preview_pending(self):
        return False


@pytest.mark.parametrize("gone", ["folder", "weights", "registration"])
def test_a_model_that_vanishes_while_its_job_is_queued_fails_the_job_in_plain_words(gone, folder_of, tmp_path):
    folder = Path(shutil.copytree(folder_of("stable-diffusion"), tmp_path / "model"))
    models = tmp_path / "models"
    register(models, describe("mine", folder))
    shelf, store = Shelf(), BlobStore(tmp_path / "blobs")
    order = RunJob("a" * 32, 1, recipe_for("mine", shelf))
    if gone == "folder":
        shutil.rmtree(folder)
    elif gone == "weights":
        (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    else:
        unregister(models, "mine")

    def job(recipe, read, events, checkpoints, priors):
        refine_job(recipe, shelf, events, Store(), priors)

    ended = run_job(order, job, ChannelEvents(order, store, Silent()), store, tmp_path / "jobs", PriorLoader(models))
    assert ended.outcome == "failed"
    assert ended.error_code == ErrorCode.UNKNOWN_PRIOR
    assert "“mine”" in ended.error_message
    assert str(tmp_path) not in ended.error_message
    assert ended.error_remedy
