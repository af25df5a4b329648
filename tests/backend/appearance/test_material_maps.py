"""Texels that learn: eight bits in and out unchanged, lookups, and gradients that stay where they belong."""

import numpy as np
import pytest
import torch
from maquette_backend.appearance.color_space import linear_from_srgb
from maquette_backend.appearance.material_maps import MaterialMaps, SurfaceImages, blank_images, with_maps
from maquette_backend.render.texturing import sample_texture


def random_images(size: int, seed: int = 0) -> SurfaceImages:
    rng = np.random.default_rng(seed)

    def noise(*shape: int) -> np.ndarray:
        return rng.integers(0, 256, (size, size, *shape), dtype=np.uint8)

    return SurfaceImages(noise(3), noise(), noise(), noise(3))


def assert_same(one: SurfaceImages, two: SurfaceImages) -> None:
    for name in ("base_color", "roughness", "metallic", "normal"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_untouched_maps_come_back_bit_for_bit() -> None:
    images = random_images(64)
    assert set(np.unique(images.base_color)) == set(range(256))
    assert_same(MaterialMaps(images, sample_texture).to_images(), images)


def test_a_texels_centre_shows_the_texel() -> None:
    images = random_images(8)
    maps = MaterialMaps(images, sample_texture)
    material = maps(torch.tensor([[2.5 / 8, 5.5 / 8]]))
    torch.testing.assert_close(material.albedo[0], linear_from_srgb(torch.tensor(images.base_color[5, 2] / 255.0)).float())
    assert float(material.roughness) == pytest.approx(images.roughness[5, 2] / 255)
    assert float(material.metallic) == pytest.approx(images.metallic[5, 2] / 255)
    normal = images.normal[5, 2] / 127.5 - 1
    np.testing.assert_allclose(material.tangent_normal[0].detach(), normal / np.linalg.norm(normal), atol=1e-5)


def test_the_last_level_is_the_mean_of_light() -> None:
    images = random_images(8)
    material = MaterialMaps(images, sample_texture)(torch.rand(5, 2), torch.full((5,), 3.0))
    mean = linear_from_srgb(torch.from_numpy(images.base_color / 255.0).float()).mean((0, 1))
    torch.testing.assert_close(material.albedo, mean.expand(5, 3))


def test_only_texels_that_are_seen_move_and_normals_stay_unit() -> None:
    images = blank_images((16, 16))
    maps = MaterialMaps(images, sample_texture)
    optimizer = torch.optim.Adam(maps.parameters(), 0.3)
    uv = torch.tensor([[3.5 / 16, 4.5 / 16]])
    for _ in range(30):
        optimizer.zero_grad()
        material = maps(uv)
        (material.albedo.sum() - material.roughness.sum() + 9 * material.tangent_normal[:, 0].sum()).backward()
        optimizer.step()
        maps.project()
    learned = maps.to_images()
    assert learned.base_color[4, 3].tolist() == [0, 0, 0]
    assert learned.roughness[4, 3] == 255
    assert float(maps.texels[0, 4, 3, 5:].norm()) <= 1.0101
    moved = learned.base_color[4, 3].copy()
    learned.base_color[4, 3] = images.base_color[4, 3]
    np.testing.assert_array_equal(learned.base_color, images.base_color)
    assert moved.max() == 0


def test_maps_of_different_sizes_are_refused() -> None:
    images = blank_images((4, 8))
    assert_same(with_maps(images, roughness=images.roughness), images)
    with pytest.raises(ValueError, match="one size"):
        with_maps(images, roughness=np.zeros((4, 4), np.uint8))
