"""Whole jobs with registered models, and what happens to models between jobs."""

from __future__ import annotations

import shutil
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from job_in_memory import SMALL, Shelf, Store, equal, run
from maquette_backend.priors.catalogue import prior_identity
from maquette_backend.priors.diffusers.pictures import Pictures
from maquette_backend.priors.keep import LastPrior
from maquette_backend.priors.load import load_prior
from maquette_backend.priors.registry import describe, register, unregister
from maquette_backend.refine.job import refine_job
from maquette_backend.server.blob_store import BlobStore
from maquette_backend.workers.executor import Noticed, RunJob
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


def test_out_of_memory_in_the_backward_pass_is_said_and_the_step_done_again_with_less(folder_of, tmp_path, monkeypatch):
    """As CUDA says it, where the gradient of several pictures is taken at once. The result is that of a plan which had
    taken one at a time from the beginning: the steps that failed left nothing behind."""
    register(tmp_path, describe("mine", folder_of("stable-diffusion")))
    shelf = Shelf()
    recipe = recipe_for("mine", shelf, prompt="a chair")

    def frugal(name):
        prior = load_prior(name, "cpu", tmp_path)
        prior.parts.pictures.give_way()
        return prior

    expected = run(recipe, shelf, priors=frugal)
    encode, failed = Pictures._encode, []

    class Gradient(torch.autograd.Function):
        @staticmethod
        def forward(ctx, latents):
            return latents.clone()

        @staticmethod
        def backward(ctx, gradient):
            if len(gradient) > 1:
                failed.append(len(gradient))
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return gradient

    monkeypatch.setattr(Pictures, "_encode", lambda self, images: Gradient.apply(encode(self, images)))
    events = run(recipe, shelf, priors=LastPrior(partial(load_prior, device="cpu", models=tmp_path)))
    assert failed == [4]
    assert events.notices == expected.notices == [
        "Out of memory: the VAE takes one picture at a time now, and computes it again for its gradient.",
    ]
    assert equal(events.results[0], expected.results[0])


def test_a_job_is_told_what_an_earlier_one_had_its_prior_give_up(folder_of, tmp_path):
    register(tmp_path, describe("mine", folder_of("stable-diffusion")))
    shelf, short = Shelf(), replace(STAGES, geometry_steps=0, appearance_steps=1)
    priors = LastPrior(partial(load_prior, device="cpu", models=tmp_path))
    priors("mine").parts.pictures.give_way()
    for _ in range(2):
        events = run(replace(recipe_for("mine", shelf), stages=short), shelf, priors=priors)
        assert [sentence.partition(":")[0] for sentence in events.notices] == ["Out of memory"]


def test_with_nothing_left_to_give_up_the_job_fails_and_says_what_would_help(folder_of, tmp_path, monkeypatch):
    models = tmp_path / "models"
    register(models, describe("mine", folder_of("stable-diffusion")))
    shelf, store = Shelf(), BlobStore(tmp_path / "blobs")
    order, outlet = RunJob("a" * 32, 1, recipe_for("mine", shelf)), Silent()

    def exhausted(self, images):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Pictures, "_encode", exhausted)

    def job(recipe, read, events, checkpoints, priors):
        refine_job(recipe, shelf, events, Store(), priors)

    ended = run_job(order, job, ChannelEvents(order, store, outlet), store, tmp_path / "jobs", PriorLoader(models))
    assert (ended.outcome, ended.error_code) == ("failed", ErrorCode.OUT_OF_MEMORY)
    assert "Lower" in ended.error_remedy
    assert [one.sentence for one in outlet.reports if isinstance(one, Noticed)] == [
        "Out of memory: the VAE takes one picture at a time now, and computes it again for its gradient.",
        "Out of memory: the VAE takes one picture at a time now, and computes within a picture again, too.",
    ]


class Silent:
    """An ``Outlet`` that keeps what was said and drops the rest."""

    def __init__(self):
        self.reports = []

    def told(self, report):
        self.reports.append(report)

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
