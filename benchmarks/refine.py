"""Refinement: what a step of score distillation costs besides the prior's own forward passes."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar

import torch
from maquette_backend.appearance.fields import ColorField
from maquette_backend.priors.cores import share_cores
from maquette_backend.priors.load import load_prior
from maquette_backend.priors.prior import Condition, Modality, Prior, Settings, Views
from maquette_backend.refine.distil import Scene, step, trained
from maquette_backend.refine.placement import place
from maquette_backend.refine.plan import geometry_settings
from maquette_backend.refine.randomness import generator_for
from maquette_backend.refine.remesh import RemeshBody, RemeshSettings
from maquette_backend.refine.viewpoints import view_sampler
from maquette_backend.render.choose import choose_rasterizer
from maquette_protocol.recipe import IDENTITY, CameraRig, Recipe, Stages
from torch import Tensor

from benchmarks.rows import Row
from tests.backend.render.surfaces import bumpy_torus

_Result = TypeVar("_Result", bound="Tensor | tuple[Tensor, Tensor]")
_VIEWS = 4
_SIDE_PX = 64
_GRID_CLASS = 64
_STEPS = 25
_WARM_UP = 4
_TARGET = 2.0
_TARGET_MS = 150


def rows() -> list[Row]:
    """The rows of this part."""
    share_cores()  # as a worker does
    return _sds_steps()


@dataclass
class _TimedPrior:
    """The prior, with a count of what its forward passes take."""

    inner: Prior
    secs: float = 0.0
    images: int = 0
    settings: Settings = field(init=False)
    identity: str = field(init=False)

    def __post_init__(self) -> None:
        self.settings, self.identity = self.inner.settings, self.inner.identity

    def encode_text(self, texts: list[str]) -> Condition:
        return self.inner.encode_text(texts)

    def encode_image(self, images: Tensor) -> Tensor:
        return self.inner.encode_image(images)

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner.alpha_sigma(time)

    def add_noise(self, encoded: Tensor, noise: Tensor, time: Tensor, modality: Modality) -> Tensor:
        return self.inner.add_noise(encoded, noise, time, modality)

    def predict_noise(self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality) -> Tensor:
        return self._timed(self.inner.predict_noise, noisy, time, text, views, modality)

    def predict_denoised(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        return self._timed(self.inner.predict_denoised, noisy, time, text, views, modality)

    def predict_told_and_untold(
        self, noisy: Tensor, time: Tensor, text: Tensor, negative: Tensor, views: Views | None, modality: Modality
    ) -> tuple[Tensor, Tensor]:
        self.images += len(noisy)  # and as many again in _timed
        return self._timed(self.inner.predict_told_and_untold, noisy, time, text, negative, views, modality)

    def _timed(self, predict: Callable[..., _Result], noisy: Tensor, *rest: object) -> _Result:
        start = perf_counter()
        result = predict(noisy, *rest)
        self.secs += perf_counter() - start
        self.images += len(noisy)
        return result


def _sds_steps() -> list[Row]:
    """The step against its own forward passes, and against the clock."""
    prior = _TimedPrior(load_prior("starter", "cpu"))
    positions, triangles = bumpy_torus(60, 30)
    placed = place("Torus", positions.numpy(), IDENTITY)
    body = RemeshBody(
        placed.to_unit(positions.numpy()), triangles.int().numpy(), RemeshSettings(grid_class=_GRID_CLASS)
    )
    settings = geometry_settings(Recipe((), stages=Stages(views_per_step=_VIEWS, render_size=_SIDE_PX)), prior.settings)
    sampler = view_sampler(CameraRig(), placed)
    scene = Scene(prior, choose_rasterizer("cpu"), sampler, "a red sofa", "", view_dependent=True)
    state = trained(body, ColorField(), settings)
    whole, forward = [], []
    for number in range(_WARM_UP + _STEPS):
        prior.secs, prior.images = 0.0, 0
        start = perf_counter()
        step(state, scene, settings, number / (_WARM_UP + _STEPS), generator_for(0, "bench", number))
        whole.append(1000 * (perf_counter() - start))
        forward.append(1000 * prior.secs)
    faces = len(body.surface().triangles)
    step_ms, prior_ms = statistics.median(whole[_WARM_UP:]), statistics.median(forward[_WARM_UP:])
    value = step_ms / prior_ms
    how = (
        f"medians of {_STEPS} geometry steps: whole step {step_ms:.0f} ms, of it the prior's forward passes"
        f" {prior_ms:.0f} ms ({prior.images} images a step); {_VIEWS} views of {_SIDE_PX}², {_GRID_CLASS}-class grid,"
        f" {faces:,} triangles, starter prior, CPU, {torch.get_num_threads()} threads,"
        f" load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    return [
        Row("refine.sds_step_over_prior", value, "x", f"<= {_TARGET:g}", value <= _TARGET, how),
        Row("refine.sds_step_ms", step_ms, "ms", f"<= {_TARGET_MS}", step_ms <= _TARGET_MS, how),
    ]
