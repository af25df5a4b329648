"""Batches: repeatable, true to their augmentations, never a held-out model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from maquette_backend.priors.starter.training.batches import Augmentation, cameras_to_vectors, draw_batch, training_pool
from maquette_backend.priors.starter.training.dataset import load_views, sampling_weight, save_tables
from small_views import record, small_views

PLAIN = Augmentation(0, 0, 0, 0, 0, 0, 0.5)


def test_a_step_repeats_and_steps_differ() -> None:
    pool = training_pool(small_views())
    first, again, other = (draw_batch(pool, 8, 16, Augmentation(), 1, step) for step in (5, 5, 6))
    for name, tensor in vars(first).items():
        assert torch.equal(tensor, vars(again)[name]), name
    assert not torch.equal(first.noise, other.noise)


def test_held_out_models_are_never_drawn() -> None:
    views = small_views()
    views.images[:, :2] = 0
    batches = [draw_batch(training_pool(views), 32, 16, Augmentation(), 0, step) for step in range(10)]
    assert all(batch.clean.amax((1, 2, 3)).min() > -0.5 for batch in batches)


def test_mirrored_pictures_are_seen_from_the_mirrored_side() -> None:
    """The made-up scene is its own mirror image, so a mirrored sample must equal the render at −azimuth."""
    views = small_views(size=15)
    batch = draw_batch(training_pool(views), 64, 15, replace(PLAIN, mirrored=1.0), 0, 0)
    known = cameras_to_vectors(views.cameras[1])  # [views,6]
    for picture, camera in zip(batch.clean, batch.camera, strict=True):
        view = int((known - camera).abs().sum(1).argmin())
        left_to_right = (picture.abs().sum(0) > 0.1).float().sum(0)
        expected = (torch.from_numpy(views.images[1, 1, view].astype(int)) - 128).abs().sum(-1) > 0
        assert torch.equal(left_to_right, expected.float().sum(0))


def test_mirrored_normals_point_to_the_other_side() -> None:
    views = small_views()
    plain, mirrored = (
        draw_batch(training_pool(views), 16, 16, replace(PLAIN, normals=1.0, mirrored=share), 0, 0) for share in (0, 1)
    )
    flipped = plain.clean.flip(-1)
    torch.testing.assert_close(mirrored.clean[:, 0], -flipped[:, 0])
    torch.testing.assert_close(mirrored.clean[:, 1:], flipped[:, 1:])


def test_reordered_pictures_carry_the_text_of_their_order() -> None:
    views = small_views()
    batch = draw_batch(training_pool(views), 32, 16, replace(PLAIN, reordered=1.0), 0, 0)
    for picture, text in zip(batch.clean, batch.text, strict=True):
        model, order, _ = (int(i) for i in (views.texts == text).all(-1).nonzero()[0])
        assert order > 0
        colors = torch.from_numpy(views.images[0, model].reshape(-1, 3))
        disc = colors[(colors.int() - 128).abs().sum(1) > 0][0].float() / 127.5 - 1
        permutation = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)][order]
        seen = picture.flatten(1)[:, picture.abs().sum(0).flatten().argmax()]
        torch.testing.assert_close(seen, disc[list(permutation)])


def test_conditions_are_dropped_in_their_shares() -> None:
    batch = draw_batch(training_pool(small_views()), 4000, 16, Augmentation(), 0, 0)
    no_text, no_camera = (~t.any(1) for t in (batch.text, batch.camera))
    shares = [(no_text & no_camera), (no_text & ~no_camera), (~no_text & no_camera)]
    assert [share.float().mean().item() for share in shares] == pytest.approx([0.05, 0.07, 0.03], abs=0.015)
    assert (batch.time > 0.6).float().mean().item() == pytest.approx(0.7, abs=0.03)
    assert (batch.modality == 1).float().mean().item() == pytest.approx(0.3, abs=0.03)


def test_smaller_pictures_are_averages() -> None:
    pool = training_pool(small_views())
    full, half = (draw_batch(pool, 4, size, PLAIN, 0, 0) for size in (16, 8))
    torch.testing.assert_close(half.clean, torch.nn.functional.avg_pool2d(full.clean, 2))
    assert half.noise.shape == half.clean.shape


def test_furniture_is_drawn_more_often_than_doors() -> None:
    assert sampling_weight(record("Red armchair")) == 6
    assert sampling_weight(record("Teapot")) == 1
    assert sampling_weight(record("Door with bench", category="Doors and windows")) == 0.4


def test_views_survive_the_disk(tmp_path: Path) -> None:
    views = small_views()
    np.save(tmp_path / "images.npy", views.images)
    save_tables(tmp_path, views.cameras, views.texts, views.models)
    loaded = load_views(tmp_path)
    assert np.array_equal(loaded.images, views.images)
    assert loaded.models == views.models
    torch.testing.assert_close(loaded.texts, views.texts, atol=1e-4, rtol=1e-3)
    np.save(tmp_path / "images.npy", views.images[:, :2])
    with pytest.raises(ValueError, match="belong together"):
        load_views(tmp_path)
    with pytest.raises(FileNotFoundError, match="prior-data"):
        load_views(tmp_path / "nowhere")
