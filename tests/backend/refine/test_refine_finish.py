"""The finish: exact sampling from an exact prior, a texture fitted to it, and nothing else touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from job_in_memory import Shelf, Store, run
from maquette_backend.priors.prior import Modality, Views
from maquette_backend.refine.uv_finish import denoised
from maquette_protocol.recipe import Recipe
from paint_shapes import FEW, SIZE, noise_texture, red_prior, textured
from torch import Tensor

from tests.backend.guidance.gaussian_prior import GaussianPrior

FINISHED = replace(FEW, appearance_steps=2, finish_steps=6)


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf()


def test_denoising_in_many_steps_samples_an_exact_prior() -> None:
    """DDIM is the probability-flow ODE: from N(0,1) at time 1 it ends at N(mean, spread²), each noise at its own quantile."""
    wanted, spread = 0.7, 0.2

    def mean(text: Tensor, views: Views | None, modality: Modality) -> Tensor:
        return torch.full((1, 1, 64, 64), wanted)

    prior = GaussianPrior(mean, spread)
    noise = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    words = prior.encode_text(["a"]).data

    def estimate(noisy: Tensor, time: Tensor) -> Tensor:
        return prior.predict_denoised(noisy, time, words, None, "color")

    found = denoised(prior, torch.zeros(1, 1, 64, 64), noise, 1.0, 200, estimate, "color")
    torch.testing.assert_close(found, wanted + spread * noise, atol=0.02, rtol=0)


def test_a_little_noise_changes_a_picture_little() -> None:
    def mean(text: Tensor, views: Views | None, modality: Modality) -> Tensor:
        return torch.zeros(1, 1, 8, 8)

    prior = GaussianPrior(mean, 0.5)
    picture = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    words = prior.encode_text(["a"]).data

    def estimate(noisy: Tensor, time: Tensor) -> Tensor:
        return prior.predict_denoised(noisy, time, words, None, "color")

    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(2))
    changes = [
        float((denoised(prior, picture, noise, time, 5, estimate, "color") - picture).abs().mean()) for time in (0.02, 0.2, 0.6)
    ]
    assert changes == sorted(changes)
    assert changes[0] < 0.05


def test_the_texture_goes_where_the_prior_says_and_kept_texels_stay(shelf: Shelf) -> None:
    mask = np.full((SIZE, SIZE), 255, np.uint8)
    mask[:, : SIZE // 2] = 0
    recipe = Recipe((textured(shelf, texel_mask=shelf.put(mask)),), stages=FINISHED)
    finished = run(recipe, shelf, priors=red_prior).results[0].base_color
    plain = run(replace(recipe, stages=replace(FINISHED, finish_steps=0)), shelf, priors=red_prior).results[0].base_color
    assert finished is not None
    assert plain is not None
    free = (mask > 0) & (finished != plain).any(-1)
    assert free.mean() > 0.1
    towards = finished[free].astype(float) - plain[free]
    assert towards[:, 0].mean() > 2
    assert towards[:, 2].mean() < -2
    assert np.array_equal(finished[mask == 0], noise_texture()[mask == 0])


@pytest.mark.parametrize("material", ["color", "pbr"])
def test_interrupted_and_resumed_equals_uninterrupted(material: str, shelf: Shelf) -> None:
    recipe = Recipe((replace(textured(shelf), material=material),), stages=FINISHED)  # type: ignore[arg-type]
    whole = run(recipe, shelf, priors=red_prior).results[0]
    store = Store()
    run(recipe, shelf, store, lambda asked: "cancel" if asked >= 5 else "go_on", red_prior)
    assert store.kept is not None
    assert store.kept[1]["stage/name"].startswith("finish:")
    assert store.kept[1]["stage/step"] == "3"
    again = run(recipe, shelf, store, priors=red_prior)
    assert again.asked == 6 - 3 + 1
    assert again.results[0].base_color is not None
    assert np.array_equal(again.results[0].base_color, whole.base_color)  # type: ignore[arg-type]
    assert again.reports[-1].step == again.reports[-1].steps
