"""Recolouring: one colour becomes another, light, background, geometry and the other colours stay; the words follow."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from maquette_backend.priors.starter import picture
from maquette_backend.priors.starter.training.color_words import COLORS, color_word, names_of
from maquette_backend.priors.starter.training.recoloring import (
    BACKGROUND,
    Recoloring,
    draw_recoloring,
    recolor_picture,
    recolored_caption,
    swatches,
)

OAK, RED, CHROME = torch.tensor([0.6, 0.4, 0.2]), torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.6, 0.62, 0.65])


@pytest.mark.parametrize("light", [0.4, 0.7, 1.0])
def test_light_and_shade_stay(light: float) -> None:
    torch.testing.assert_close(Recoloring(OAK, RED)(light * OAK), light * RED)


def test_another_colour_stays() -> None:
    torch.testing.assert_close(Recoloring(OAK, RED)(CHROME), CHROME, atol=0.02, rtol=0)


def test_white_on_black_iron_stays_white() -> None:
    black, white = torch.full((3,), 0.1), torch.full((3,), 0.95)
    torch.testing.assert_close(Recoloring(black, RED)(white), white, atol=0.02, rtol=0)


def test_every_name_has_swatches_of_that_name() -> None:
    assert set(swatches()) == set(COLORS)
    for name, colors in swatches().items():
        assert len(colors) > 100
        assert (names_of(colors) == name).all()


def test_every_name_is_drawn_alike_and_the_caption_says_what_is_seen() -> None:
    random = np.random.default_rng(0)
    palette = np.tile((OAK.numpy() * 255).astype(np.uint8), (64, 1))
    seen: Counter[str] = Counter()
    for _ in range(600):
        coloring = draw_recoloring(palette, random)
        word = color_word(coloring(torch.from_numpy(palette[:1]).float() / 255).double().numpy())
        seen[word] += 1
        assert word in recolored_caption("chair", palette, coloring, random)
    assert set(seen) == set(COLORS)
    assert min(seen.values()) > 25


def test_only_the_thing_changes_and_its_outline_blends() -> None:
    covered = torch.tensor([0.0, 0.5, 1.0])
    shown = torch.zeros(7, 1, 3)
    shown[picture.COLOR, 0] = (covered * OAK[:, None] + (1 - covered) * BACKGROUND) * 2 - 1
    shown[picture.NORMAL] = 0.3
    shown[picture.COVERAGE, 0] = covered * 2 - 1
    changed = recolor_picture(shown, Recoloring(OAK, RED))
    assert torch.equal(changed[picture.GEOMETRY], shown[picture.GEOMETRY])
    expected = (covered * RED[:, None] + (1 - covered) * BACKGROUND) * 2 - 1
    torch.testing.assert_close(changed[picture.COLOR, 0], expected)
