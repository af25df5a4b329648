"""What cannot pass while the science is broken: distillation makes subjects what the prior holds likely."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import pytest
import torch
from job_in_memory import Shelf, run
from maquette_backend.appearance.fields import ColorField
from maquette_backend.guidance.schedule import TimeSchedule
from maquette_backend.guidance.sds import Distillation
from maquette_backend.priors.prior import Modality, Views
from maquette_backend.priors.starter.training.color_words import names_of
from maquette_backend.refine.distil import Scene, StageSettings, step, trained
from maquette_backend.refine.finish import frozen
from maquette_backend.refine.keep_topology import FixedBody
from maquette_backend.refine.placement import place
from maquette_backend.refine.plan import JOINT_WEIGHTS
from maquette_backend.refine.randomness import generator_for
from maquette_backend.refine.remesh import RemeshBody, RemeshSettings
from maquette_backend.refine.viewpoints import cameras_for, view_sampler
from maquette_backend.render.choose import choose_rasterizer
from maquette_backend.render.shading import render_views
from maquette_protocol.recipe import IDENTITY, CameraRig, Recipe, Stages
from numpy.typing import NDArray
from refine_shapes import Positions, Triangles, box_sofa, distances, samples
from torch import Tensor

from tests.backend.guidance.gaussian_prior import GaussianPrior, plain_settings
from tests.backend.render.surfaces import sphere


def red_minus_blue(prompt: str) -> float:
    """Of the texture that the shipped prior gives a box sofa, −255..255."""
    shelf = Shelf()
    subject = replace(shelf.subject(*box_sofa(), prompt=prompt, mode="texture_only"), texture_size=64)
    stages = Stages(appearance_steps=60, views_per_step=2, preview_every=0)
    (result,) = run(Recipe((subject,), stages=stages), shelf).results
    assert result.base_color is not None
    red, _, blue = result.base_color.reshape(-1, 3).mean(0)
    return float(red - blue)


def test_a_red_sofa_turns_red_and_a_blue_one_blue() -> None:
    assert red_minus_blue("a red sofa") > 25
    assert red_minus_blue("a blue sofa") < -25


def test_a_yellow_cabinet_stays_yellow() -> None:
    """Over many steps chance carried its colour away to where a prior at moderate times has no opinion: pale and white."""
    shelf = Shelf()
    subject = replace(shelf.subject(*box_sofa(), prompt="a yellow cabinet", mode="texture_only"), texture_size=64)
    stages = Stages(appearance_steps=160, views_per_step=2, preview_every=0)
    (result,) = run(Recipe((subject,), stages=stages), shelf).results
    assert result.base_color is not None
    named = names_of(result.base_color.reshape(-1, 3) / 255)
    assert (named == "yellow").mean() > 0.8


def ellipsoid(*radii: float) -> tuple[Positions, Triangles]:
    positions, triangles = sphere(16, radius=1.0)
    return (positions.numpy() * np.array(radii)).astype(np.float32), triangles.numpy().astype(np.int32)


START = ellipsoid(0.4, 0.4, 0.4)
TARGET = ellipsoid(0.44, 0.36, 0.42)
BOUND = 0.06
SCHEDULE = TimeSchedule((0.2, 0.7), (0.2, 0.5))
CONTRAST = 3.5
"""As the shipped prior's encodings, which the regularisers' weights are made for."""


def rendered(
    mesh: tuple[Positions, Triangles], views: Views, modality: Modality, tint: tuple[float, ...] = (1.0, 1.0, 1.0)
) -> Tensor:
    """[views,3,64,64], or [views,7,64,64] where the modality shows colour and geometry together."""
    positions, triangles = torch.from_numpy(mesh[0]), torch.from_numpy(mesh[1].astype(np.int64))
    albedo = torch.tensor(tint).expand(len(positions), 3)
    rendering = render_views(choose_rasterizer("cpu"), positions, triangles, albedo, cameras_for(views), 64)
    if modality == "normal":
        return rendering.normal
    together = torch.cat([rendering.color, rendering.normal, 2 * rendering.mask - 1], 1)
    return rendering.color if modality == "color" else together


def target_prior(modalities: tuple[Modality, ...], tint: tuple[float, ...] = (1.0, 1.0, 1.0)) -> GaussianPrior:
    """Holds likely what the target looks like from each view; the ideal denoiser of that belief."""

    def mean(text: Tensor, views: Views | None, modality: Modality) -> Tensor:
        channels = 7 if modality in ("joint", "surface") else 3
        blank = torch.zeros(1, channels, 64, 64)
        return blank if views is None else CONTRAST * rendered(TARGET, views, modality, tint)

    settings = plain_settings(modalities=modalities)
    return GaussianPrior(mean, spread=0.3 * CONTRAST, contrast=CONTRAST, settings=settings)


def chamfer(one: tuple[NDArray[np.floating], Triangles], other: tuple[NDArray[np.floating], Triangles]) -> float:
    """Mean distance, both ways."""
    return float((distances(samples(*one), *other).mean() + distances(samples(*other), *one).mean()) / 2)


def distilled(steps: int, modality: Modality) -> tuple[NDArray[np.float32], Triangles]:
    """The start after ``steps`` of geometry under the target's prior."""
    body = RemeshBody(*START, RemeshSettings(grid_class=48, bound=BOUND))
    distillation = Distillation(1.0, rescale=0.0, joint_weights=JOINT_WEIGHTS)
    share = 1.0 if modality == "normal" else 0.0
    settings = StageSettings(SCHEDULE, distillation, 4, 64, modality, normal_share=share, color_rate=0.02)
    sampler = view_sampler(CameraRig(), place("Ball", START[0], IDENTITY))
    prior = target_prior((modality,))
    scene = Scene(prior, choose_rasterizer("cpu"), sampler, "an ellipsoid", "", view_dependent=True)
    state = trained(body, ColorField(), settings)
    for number in range(steps):
        step(state, scene, settings, number / steps, generator_for(0, "geometry", number))
    mesh = frozen(body.surface())
    return mesh.positions, mesh.triangles


def outline_overlap(one: tuple[Positions, Triangles], other: tuple[Positions, Triangles]) -> float:
    """Intersection over union of silhouettes, over views that were not trained on exactly."""
    views = view_sampler(CameraRig(), place("Ball", START[0], IDENTITY)).sample(8, torch.Generator().manual_seed(99))
    seen = [rendered(mesh, views, "normal").abs().amax(1) > 0.3 for mesh in (one, other)]
    return float((seen[0] & seen[1]).sum() / (seen[0] | seen[1]).sum())


@pytest.mark.parametrize("modality", ["normal", "joint"])
def test_geometry_goes_where_an_exact_prior_says(modality: Modality) -> None:
    """A ball under the score of an ellipsoid's pictures becomes that ellipsoid."""
    moved = distilled(40, modality)
    assert chamfer(moved, TARGET) < 0.3 * chamfer(START, TARGET)
    assert 1 - outline_overlap(moved, TARGET) < 0.35 * (1 - outline_overlap(START, TARGET))
    assert distances(moved[0], *START).max() < BOUND + 0.02


TINT = (0.7, 0.3, 0.2)


@pytest.mark.parametrize("modality", ["color", "surface"])
def test_colour_goes_where_an_exact_prior_says(modality: Modality) -> None:
    """Every point of a fixed surface that is seen gets the colour that the prior's pictures show there."""
    body = FixedBody(*TARGET)
    settings = StageSettings(SCHEDULE, Distillation(1.0, rescale=0.0), 4, 64, modality, 0.0, color_rate=0.02)
    sampler = view_sampler(CameraRig(), place("Ball", TARGET[0], IDENTITY))
    scene = Scene(target_prior((modality,), TINT), choose_rasterizer("cpu"), sampler, "red", "", view_dependent=True)
    color = ColorField()
    state = trained(body, color, settings)
    for number in range(60):
        step(state, scene, settings, number / 60, generator_for(0, "appearance", number))
    with torch.no_grad():
        off = (color(body.surface().positions) - torch.tensor(TINT)).abs()
    assert float(off.mean()) < 0.06
    assert float((0.5 - torch.tensor(TINT)).abs().mean()) > 0.2  # where it began


class Listening(GaussianPrior):
    """Notes the diffusion times at which it is asked."""

    def predict_told_and_untold(
        self, noisy: Tensor, time: Tensor, text: Tensor, negative: Tensor, views: Views | None, modality: Modality
    ) -> tuple[Tensor, Tensor]:
        self.heard.append(time)
        return super().predict_told_and_untold(noisy, time, text, negative, views, modality)

    @cached_property
    def heard(self) -> list[Tensor]:
        return []


@pytest.mark.parametrize("together", [1, 2, 4])
def test_views_that_are_looked_at_together_are_at_one_diffusion_time(together: int) -> None:
    plain = target_prior(("color",))
    prior = Listening(plain.mean, plain.spread, replace(plain.settings, views_together=together), contrast=CONTRAST)
    sampler = view_sampler(CameraRig(), place("Ball", TARGET[0], IDENTITY))
    scene = Scene(prior, choose_rasterizer("cpu"), sampler, "red", "", view_dependent=True)
    settings = StageSettings(SCHEDULE, Distillation(1.0), 4, 64, "color", 0.0, color_rate=0.02)
    step(trained(FixedBody(*TARGET), ColorField(), settings), scene, settings, 0.0, generator_for(0, "appearance", 0))
    (times,) = prior.heard
    groups = times.view(-1, together)
    assert (groups == groups[:, :1]).all()
    assert len(set(times.tolist())) == 4 // together
