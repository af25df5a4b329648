"""Filling off the islands: plain islands stay plain at every mip, and mips are what the islands alone average to."""

import numpy as np
import pytest
from maquette_backend.appearance.dilation import fill_off_islands
from maquette_backend.appearance.seams import mip_of
from numpy.typing import NDArray


def islands(size: int, seed: int) -> NDArray[np.bool_]:
    rng = np.random.default_rng(seed)
    covered = np.zeros((size, size), bool)
    for _ in range(6):
        x, y = rng.integers(0, size - 9, 2)
        w, h = rng.integers(5, size // 3, 2)
        covered[y : y + h, x : x + w] = True
    return covered


@pytest.mark.parametrize("size", [64, 57, 1])
def test_one_colour_stays_one_colour(size: int) -> None:
    covered = islands(size, 1) if size > 1 else np.ones((1, 1), bool)
    texels = np.zeros((size, size, 4), np.uint8)
    texels[covered] = (200, 3, 77, 255)
    fill_off_islands(texels, covered)
    assert (texels == np.array([200, 3, 77, 255], np.uint8)).all()


def test_what_is_covered_is_left_alone_and_all_values_lie_between() -> None:
    covered = islands(64, 2)
    rng = np.random.default_rng(0)
    before = rng.integers(90, 160, (64, 64, 3), dtype=np.uint8)
    texels = np.where(covered[..., None], before, 0).astype(np.uint8)
    fill_off_islands(texels, covered)
    np.testing.assert_array_equal(texels[covered], before[covered])
    assert texels.min() >= 90
    assert texels.max() < 160


def test_every_mip_is_near_the_mean_over_the_islands_alone() -> None:
    size, covered = 128, islands(128, 3)
    y, x = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    smooth = np.stack([40 + x, 200 - y, 100 + 0.3 * (x + y)], -1).astype(np.uint8)
    texels = np.where(covered[..., None], smooth, 0).astype(np.uint8)
    fill_off_islands(texels, covered)
    dark = np.where(covered[..., None], smooth, 0).astype(np.uint8)
    for level in range(8):
        share = mip_of(covered.astype(np.uint8), level)
        seen = share[..., 0] > 0
        expected = mip_of(dark, level)[seen] / share[seen]
        # a slope of one a texel: where the mean of what is covered may lie, at most a texel of that level away
        assert np.abs(mip_of(texels, level)[seen] - expected).max() <= 2**level + 1


def test_nothing_covered_changes_nothing() -> None:
    texels = np.full((8, 8, 3), 9, np.uint8)
    fill_off_islands(texels, np.zeros((8, 8), bool))
    assert (texels == 9).all()
