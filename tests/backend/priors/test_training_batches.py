"""Batches: repeatable, true to their augmentations, never a held-out model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from maquette_backend.priors.starter import picture
from maquette_backend.priors.starter.training.batches import (
    Augmentation,
    Batch,
    cameras_to_features,
    draw_batch,
    training_pool,
)
from maquette_backend.priors.starter.training.captions import CHANNEL_ORDERS
from maquette_backend.priors.starter.training.color_words import color_word
from maquette_backend.priors.starter.training.dataset import ViewSet
from small_views import bytes_as_words, small_views

PLAIN = Augmentation(0, 0, 0, 0, 0, 0, 0.5, 0, 0, 0)
NOTHING_SAID = bytes_as_words([""])[0]


def drawn(
    count: int,
    shares: Augmentation = PLAIN,
    views: ViewSet | None = None,
    step: int = 0,
    size: int = 16,
    together: int = 1,
) -> Batch:
    pool = training_pool(small_views() if views is None else views)
    return draw_batch(pool, bytes_as_words, count, size, shares, 0, step, together)


def test_a_step_repeats_and_steps_differ() -> None:
    first, again, other = (drawn(8, Augmentation(), step=step) for step in (5, 5, 6))
    for name in ("clean", "noise", "learned"):
        assert torch.equal(getattr(first, name), getattr(again, name)), name
    for name, tensor in vars(first.told).items():
        assert torch.equal(tensor, getattr(again.told, name)), name
    assert not torch.equal(first.noise, other.noise)


def test_held_out_models_are_never_drawn() -> None:
    views = small_views()
    views.images[:2, :, :3] = 0
    batches = [drawn(32, Augmentation(), views, step) for step in range(10)]
    assert all(picture.decode(batch.clean)[:, :3].amax((1, 2, 3)).min() > -0.5 for batch in batches)


def test_mirrored_pictures_are_seen_from_the_mirrored_side() -> None:
    """The made-up scene is its own mirror image, so a mirrored sample must equal the render at −azimuth."""
    views = small_views(size=15)
    batch = drawn(64, replace(PLAIN, mirrored=1.0), views, size=15)
    known = cameras_to_features(views.cameras[2])  # [views,24]
    for clean, camera in zip(picture.decode(batch.clean), batch.told.camera, strict=True):
        view = int((known - camera).abs().sum(1).argmin())
        coverage = torch.from_numpy(views.images[2, view, 6]).float() / 127.5 - 1
        torch.testing.assert_close(clean[6], coverage)


def test_mirrored_normals_point_to_the_other_side() -> None:
    plain, mirrored = (drawn(16, replace(PLAIN, mirrored=share)) for share in (0.0, 1.0))
    sign = torch.ones(7)
    sign[3] = -1
    torch.testing.assert_close(mirrored.clean, plain.clean.flip(-1) * sign.view(1, 7, 1, 1))


def test_reordered_pictures_carry_the_caption_of_their_order() -> None:
    views = small_views()
    batch = drawn(32, replace(PLAIN, reordered=1.0), views)
    captions = {
        caption: (row, order)
        for row, model in enumerate(views.models)
        for order, wordings in enumerate(model.captions)
        for caption in wordings
    }
    words = bytes_as_words(list(captions))
    for clean, told in zip(picture.decode(batch.clean), batch.told.words, strict=True):
        row, order = list(captions.values())[int((words - told).abs().sum((1, 2)).argmin())]
        assert order > 0
        row_of_disc = views.images[row, 0, :, views.images[row, 0, 6] == 255][0]
        disc = torch.from_numpy(row_of_disc[:3]).float() / 127.5 - 1
        seen = clean[:3, clean[6] == 1][:, 0]
        torch.testing.assert_close(seen, disc[list(CHANNEL_ORDERS[order])])


def test_recoloured_pictures_are_told_in_their_new_colour() -> None:
    """Views of one model get one new colour, and a caption that names it."""
    views = small_views()
    told: list[str] = []

    def heard(texts: Sequence[str]) -> torch.Tensor:
        told.extend(texts)
        return bytes_as_words(texts)

    batch = draw_batch(training_pool(views), heard, 64, 16, replace(PLAIN, recolored=1.0), 0, 0, 4)
    discs = [(clean[:3, clean[6] == 1].T + 1) / 2 for clean in picture.decode(batch.clean)]
    words = [color_word(disc.double().numpy().clip(0, 1)) for disc in discs]
    assert all(word in text for word, text in zip(words, told, strict=True))
    assert all(len(set(words[first : first + 4])) == 1 for first in range(0, 64, 4))
    assert len(set(words)) > 6


def test_conditions_are_dropped_in_their_shares() -> None:
    batch = drawn(4000, Augmentation())
    no_text = (batch.told.words == NOTHING_SAID).all(-1).all(-1)
    no_camera = ~batch.told.camera.any(1)
    shares = [(no_text & no_camera), (no_text & ~no_camera), (~no_text & no_camera)]
    assert [share.float().mean().item() for share in shares] == pytest.approx([0.05, 0.07, 0.03], abs=0.015)


def test_both_noise_levels_are_drawn_in_their_shares() -> None:
    batch = drawn(4000, Augmentation())
    color, geometry, learned = batch.told.color_time, batch.told.geometry_time, batch.learned[:, :, 0, 0]
    given, alone, color_only = geometry == 0, color == 1, geometry == 1
    shares = [part.float().mean().item() for part in (given, alone, color_only)]
    assert shares == pytest.approx([0.2, 0.15, 0.1], abs=0.02)
    both = ~(given | alone | color_only)
    assert torch.equal(color[both], geometry[both])
    assert learned[both].all()
    assert torch.equal(learned[alone], torch.tensor([0.0] * 3 + [1.0] * 4).expand(int(alone.sum()), 7))
    assert torch.equal(learned[given | color_only, 3:].any(1), torch.zeros(int((given | color_only).sum())).bool())
    assert (color[both] > 0.6).float().mean().item() == pytest.approx(0.7, abs=0.03)


def test_smaller_pictures_are_averages() -> None:
    full, half = (drawn(4, size=size) for size in (16, 8))
    torch.testing.assert_close(half.clean, torch.nn.functional.avg_pool2d(full.clean, 2))
    assert half.noise.shape == half.clean.shape


def test_cameras_become_the_features_of_their_views() -> None:
    one, turned = cameras_to_features(np.array([[0, 20, 2, 40], [360, 20, 2, 40]], np.float32))
    torch.testing.assert_close(one, turned, atol=1e-5, rtol=0)


def test_views_together_are_one_model_from_evenly_spaced_sides() -> None:
    views = small_views()
    batch = drawn(16, replace(PLAIN, mirrored=0.5), views, together=4)
    known = cameras_to_features(views.cameras[2])  # [views,24]
    for subject in range(4):
        own = slice(4 * subject, 4 * subject + 4)
        shown = [int((known - camera).abs().sum(1).argmin()) for camera in batch.told.camera[own]]
        assert sorted(shown) == [0, 2, 4, 6], "as its author made it, from four sides"
        for part in (batch.told.color_time, batch.told.geometry_time, batch.told.words, batch.learned):
            assert (part[own] == part[own][:1]).all()
        colors = picture.decode(batch.clean)[own, :3].amax((2, 3))
        torch.testing.assert_close(colors, colors[:1].expand(4, -1))
        assert not torch.equal(batch.noise[own][0], batch.noise[own][1])


def test_views_together_lose_their_conditions_together() -> None:
    batch = drawn(400, Augmentation(), together=4)
    silent = (batch.told.words == NOTHING_SAID).flatten(1).all(1).view(-1, 4)
    unseen = (batch.told.camera == 0).all(1).view(-1, 4)
    for lost in (silent, unseen):
        assert lost.any()
        assert not lost.all()
        assert (lost.all(1) == lost.any(1)).all()


def test_views_that_cannot_be_shared_out_are_refused() -> None:
    with pytest.raises(ValueError, match="8 views of a model can't be shared out to turns of 3"):
        drawn(9, together=3)
