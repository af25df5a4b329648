"""Cameras of multi-view models, and views that are seen together."""

from __future__ import annotations

import math

import torch
from maquette_backend.priors.diffusers.camera import camera_rows
from maquette_backend.priors.prior import Views
from maquette_backend.priors.starter.views_together import show_together
from maquette_backend.render.cameras import orbit_camera


def views(azimuths, elevation=0.3, distance=2.0):
    count = len(azimuths)
    return Views(
        torch.tensor(azimuths), torch.full((count,), elevation), torch.full((count,), distance), torch.full((count,), 0.7)
    )


def test_a_camera_s_numbers_are_the_renderers_matrix_on_the_unit_sphere():
    azimuth = torch.linspace(-3, 3, 9)
    elevation = torch.linspace(-0.5, 1.2, 9)
    rows = camera_rows(Views(azimuth, elevation, torch.full((9,), 1.9), torch.full((9,), 0.7)))
    world_from_camera = torch.linalg.inv(orbit_camera(azimuth, elevation, torch.ones(9)))
    torch.testing.assert_close(rows[:, :16].view(9, 4, 4), world_from_camera, atol=1e-6, rtol=1e-6)
    assert torch.equal(rows[:, 16], torch.ones(9))


def test_the_front_camera_is_the_one_that_mvdream_calls_azimuth_zero():
    """At −Y in a world with z up, looking along +Y."""
    (row,) = camera_rows(views([0.0], elevation=0.0))[:, :16].view(1, 4, 4)
    expected = torch.tensor([[1.0, 0, 0, 0], [0, 0, -1, -1], [0, 1, 0, 0], [0, 0, 0, 1]])
    torch.testing.assert_close(row, expected)


def setting(prior, seed=1):
    generator = torch.Generator().manual_seed(seed)
    noisy = torch.randn(4, 4, 8, 8, generator=generator)
    return noisy, torch.full((4,), 0.5), prior.encode_text(["a chair"] * 4).data


def test_each_view_hears_the_other_three_and_their_cameras(prior_of):
    prior = prior_of("multi-view")
    noisy, time, text = setting(prior)
    quarter = [0.0, math.pi / 2, math.pi, -math.pi / 2]
    before = prior.predict_noise(noisy, time, text, views(quarter), "color")
    changed = noisy.clone()
    changed[3] += 1
    after = prior.predict_noise(changed, time, text, views(quarter), "color")
    assert (after[0] - before[0]).abs().max() > 1e-6
    turned = prior.predict_noise(noisy, time, text, views([0.0, math.pi / 2, math.pi, 2.0]), "color")
    assert (turned[0] - before[0]).abs().max() > 1e-6


def test_two_subjects_in_one_batch_do_not_hear_each_other(prior_of):
    prior = prior_of("multi-view")
    noisy, time, text = setting(prior)
    other, _, _ = setting(prior, seed=2)
    quarter = [0.0, math.pi / 2, math.pi, -math.pi / 2]
    alone = prior.predict_noise(noisy, time, text, views(quarter), "color")
    pair = prior.predict_noise(
        torch.cat([noisy, other]), time.repeat(2), torch.cat([text, text]), views(quarter * 2), "color"
    )
    torch.testing.assert_close(pair[:4], alone, atol=1e-5, rtol=1e-4)


def test_the_joint_attention_is_one_sequence_of_four_views_tokens(prior_of):
    """With the same picture, camera and text in all four places, four views are one view: softmax over four equal
    copies of the keys is the softmax over one."""
    prior = prior_of("multi-view")
    noisy, time, text = setting(prior)
    same = noisy[:1].expand(4, -1, -1, -1)
    together = prior.predict_noise(same, time, text, views([0.4] * 4), "color")
    network = prior.parts.denoiser.network
    show_together(network, 1)
    try:
        alone = prior.predict_noise(noisy[:1], time[:1], text[:1], views([0.4]), "color")
    finally:
        show_together(network, 4)
    torch.testing.assert_close(together, alone.expand(4, -1, -1, -1), atol=1e-5, rtol=1e-4)


def test_a_camera_that_is_not_told_adds_nothing_to_the_time(prior_of):
    network = prior_of("multi-view").parts.denoiser.network
    rows = torch.cat([torch.zeros(1, 17), camera_rows(views([0.2]))])
    embedded = network.class_embedding(rows)
    assert torch.equal(embedded[0], torch.zeros_like(embedded[0]))
    torch.testing.assert_close(embedded[1:], network.class_embedding.embedding(rows[1:, :16]))
    assert prior_of("multi-view").settings.views_together == 4
    assert prior_of("multi-view").settings.camera_conditioned
