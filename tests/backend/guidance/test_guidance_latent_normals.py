"""Normals as latents: what is put where, how it is turned, and what the gradient is."""

from __future__ import annotations

import math

import pytest
import torch
from maquette_backend.guidance.guided import Distillation
from maquette_backend.guidance.latent_normals import as_latents, random_turn
from maquette_backend.guidance.schedule import TimeSchedule
from maquette_backend.guidance.weights import one_minus_alpha_bar, uniform
from maquette_backend.priors.prior import Views
from maquette_backend.refine.stage_settings import StageSettings, at_stage
from maquette_backend.refine.viewpoints import FOV_Y, cameras_for
from maquette_backend.render.cameras import orbit_camera
from maquette_backend.render.choose import choose_rasterizer
from maquette_backend.render.shading import render_views

ANGLES = torch.tensor([0.0, 1.2, 2.9, -1.6])


def test_a_flat_side_has_the_colour_of_its_world_normal_whichever_camera_sees_it() -> None:
    """A quad that faces −Y, seen from four places on that side: after the turn its latents are the turned −Y."""
    normal = torch.tensor([0.0, -1.0, 0.0])
    cameras = orbit_camera(torch.tensor([0.0, 0.5, -0.7, 0.2]), torch.tensor([0.0, 0.4, -0.3, 0.9]), torch.full((4,), 2.0))
    in_camera = cameras[:, :3, :3] @ normal
    normals = in_camera[:, :, None, None].expand(4, 3, 16, 16)
    turn = random_turn(torch.Generator().manual_seed(3))
    latents = as_latents(normals, torch.ones(4, 1, 16, 16), cameras, turn, (4, 4))
    assert latents.shape == (4, 4, 4, 4)
    torch.testing.assert_close(latents[:, :3], (turn @ normal).view(1, 3, 1, 1).expand(4, 3, 4, 4))
    torch.testing.assert_close(latents[:, 3], torch.ones(4, 4, 4))


def test_of_a_rendered_box_the_background_is_black_and_normals_are_units() -> None:
    corners = torch.tensor([[x, y, z] for z in (-0.4, 0.4) for y in (-0.4, 0.4) for x in (-0.4, 0.4)])
    faces = torch.tensor([[0, 2, 3], [0, 3, 1], [4, 5, 7], [4, 7, 6], [0, 1, 5], [0, 5, 4], [2, 6, 7], [2, 7, 3], [0, 4, 6],
                          [0, 6, 2], [1, 3, 7], [1, 7, 5]])  # fmt: skip
    alone = corners[faces].reshape(-1, 3)  # corners of their own: flat sides
    views = Views(ANGLES, torch.full((4,), 0.3), torch.full((4,), 2.0), torch.full((4,), FOV_Y))
    cameras = cameras_for(views)
    seen = render_views(choose_rasterizer("cpu"), alone, torch.arange(36).view(12, 3), None, cameras, 64)
    latents = as_latents(seen.normal, seen.mask, cameras.camera_from_world, torch.eye(3), (64, 64))
    inside, outside = seen.mask[:, 0] == 1, seen.mask[:, 0] == 0
    assert inside.any()
    assert outside.any()
    colors = latents.permute(0, 2, 3, 1)
    assert not colors[outside].any()
    shown = colors[inside]
    sides = torch.cat([torch.eye(3), -torch.eye(3)])
    gap = torch.cdist(shown[:, :3], sides).amin(1)
    assert (gap < 1e-4).float().mean() > 0.9, "a side's own axis, but along the edges between sides"
    hit = torch.cdist(shown[:, :3], sides).argmin(1)[gap < 1e-4].unique()
    assert hit.tolist() == [0, 1, 2, 3, 4], "every side but the one below"
    assert shown[:, :3].norm(dim=1).max() <= 1 + 1e-5
    assert torch.equal(shown[:, 3], torch.ones(len(shown)))


def test_turns_are_rotations_and_go_everywhere() -> None:
    generator = torch.Generator().manual_seed(0)
    turns = torch.stack([random_turn(generator) for _ in range(20_000)])
    eye = torch.eye(3).expand(20_000, 3, 3)
    torch.testing.assert_close(turns @ turns.mT, eye, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(20_000), atol=1e-5, rtol=0)
    # Haar: the mean is 0, and the trace, 1 + 2 cos of the angle, has variance 1
    assert turns.mean(0).abs().max() < 0.02
    traces = turns.diagonal(dim1=1, dim2=2).sum(1)
    assert abs(float(traces.mean())) < 0.03
    assert float(traces.var()) == pytest.approx(1.0, abs=0.04)


def test_the_gradient_is_the_finite_difference() -> None:
    normals = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    mask = torch.rand(2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    cameras = orbit_camera(torch.tensor([0.3, 2.0]), torch.tensor([0.1, 0.2]), torch.tensor([2.0, 2.0])).double()
    turn = random_turn(torch.Generator().manual_seed(4)).double()
    assert torch.autograd.gradcheck(lambda n, m: as_latents(n, m, cameras, turn, (4, 4)), (normals, mask))


def test_the_weight_is_one_minus_alpha_bar_in_the_phase_and_the_recipes_after_it() -> None:
    times = TimeSchedule((0.02, 0.5), (0.02, 0.5))
    settings = StageSettings(times, Distillation(50.0, weighting=uniform), 4, 64, "color", 1.0, 0.02, latent_share=0.75)
    assert at_stage(settings, 0.0)[1].weighting is one_minus_alpha_bar
    assert at_stage(settings, math.nextafter(0.75, 0))[1].weighting is one_minus_alpha_bar
    assert at_stage(settings, 0.75)[1].weighting is uniform
