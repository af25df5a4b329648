"""Materials: four maps come of it, given ones keep what they are told to keep, and a stop makes no difference."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from job_in_memory import Shelf, Store, run
from maquette_backend.refine.events import RefinedSubject
from maquette_backend.refine.light import WHITE, Light, LightSource, read_light
from maquette_backend.render.environment import Environment
from maquette_protocol.recipe import CameraRig, Lamp, Lighting, Recipe, SurfaceMaps
from paint_shapes import FEW, POSITIONS, SIZE, TRIANGLES, UVS, noise_texture, painted, red_prior, textured

MAPS = ("base_color", "roughness", "metallic", "normal")


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture(scope="module")
def recipe(shelf: Shelf) -> Recipe:
    subject = shelf.subject(POSITIONS, TRIANGLES, UVS, mode="texture_only")
    return Recipe((replace(subject, material="pbr"),), stages=FEW)


@pytest.fixture(scope="module")
def result(recipe: Recipe, shelf: Shelf) -> RefinedSubject:
    return run(recipe, shelf, priors=red_prior).results[0]


def same(one: RefinedSubject, other: RefinedSubject) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in MAPS)


def test_four_maps_on_the_meshs_own_uvs(result: RefinedSubject) -> None:
    shapes = [getattr(result, name).shape for name in MAPS]
    assert shapes == [(SIZE, SIZE, 3), (SIZE, SIZE), (SIZE, SIZE), (SIZE, SIZE, 3)]
    assert all(getattr(result, name).dtype == np.uint8 for name in MAPS)
    assert result.corner_uvs is not None
    assert np.array_equal(result.corner_uvs, UVS)
    assert result.base_color is not None
    assert result.normal is not None
    red, green, blue = result.base_color.reshape(-1, 3).mean(0)
    assert red > max(green, blue) + 25
    leaning = result.normal.astype(float) / 127.5 - 1
    assert np.abs(np.linalg.norm(leaning, axis=-1) - 1).max() < 0.03
    assert leaning[..., 2].min() > 0.5


@pytest.mark.parametrize("number", [3, 7])
def test_interrupted_and_resumed_equals_uninterrupted(
    number: int, recipe: Recipe, result: RefinedSubject, shelf: Shelf
) -> None:
    """Within the volume, and within the maps."""
    store = Store()
    stopped = run(recipe, shelf, store, lambda asked: "cancel" if asked >= number else "go_on", red_prior)
    assert stopped.results == []
    assert store.kept is not None
    assert store.kept[1]["stage/name"].split(":")[0] == ("appearance" if number < 6 else "maps")
    again = run(recipe, shelf, store, priors=red_prior)
    assert same(again.results[0], result)
    assert again.asked == 8 - number + 1


def test_masked_texels_of_every_map_keep_their_bits(shelf: Shelf) -> None:
    mask = np.full((SIZE, SIZE), 255, np.uint8)
    mask[: SIZE // 2] = 0
    random = np.random.default_rng(1)
    given = {
        "base_color": noise_texture(),
        "roughness": random.integers(0, 256, (SIZE, SIZE)).astype(np.uint8),
        "metallic": random.integers(0, 256, (SIZE, SIZE)).astype(np.uint8),
        "normal": random.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8),
    }
    maps = SurfaceMaps(**{name: shelf.put(image) for name, image in given.items()})
    subject = replace(textured(shelf), maps=maps, texel_mask=shelf.put(mask), material="pbr")
    (found,) = painted(shelf, subject).results
    for name, image in given.items():
        assert np.array_equal(getattr(found, name)[mask == 0], image[mask == 0]), name
    assert found.base_color is not None
    assert (found.base_color != given["base_color"])[mask > 0].any(-1).mean() > 0.3


def test_keeping_the_look_wholly_keeps_the_base_colour_and_nothing_else(shelf: Shelf) -> None:
    (found,) = painted(shelf, textured(shelf, keep_look=1.0, material="pbr")).results
    assert np.array_equal(found.base_color, noise_texture())  # type: ignore[arg-type]
    assert found.roughness is not None
    assert len(np.unique(found.roughness)) > 1


# ---- light ------------------------------------------------------------------------------------------
def light_of(*lamps: Lamp, turn: float = 0.0, scale: float = 1.0) -> Light:
    matrix = np.eye(4)
    matrix[:2, :2] = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    matrix[:3, :3] *= scale
    return LightSource(None, Lighting(lamps=lamps)).standing(matrix, torch.device("cpu"))


def test_light_varies_from_step_to_step_unless_it_is_given() -> None:
    varied, given = light_of(), light_of(Lamp("sun"))
    up = torch.tensor([[0.0, 0.0, 1.0]])
    seen = []
    for light in (varied, given):
        looks = set()
        for seed in range(5):
            light.prepare(torch.Generator().manual_seed(seed))
            looks.add(round(float(light.environment.diffuse(up).sum()), 5))
        seen.append(len(looks))
    assert seen == [5, 1]


def test_varied_light_is_on_average_as_bright_as_it_is_exposed_for() -> None:
    light = light_of()
    total = 0.0
    normals = torch.nn.functional.normalize(torch.randn(64, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    for seed in range(60):
        light.prepare(torch.Generator().manual_seed(seed))
        total += float(light.environment.diffuse(normals).mean()) / 60
    assert total * light.exposure == pytest.approx(WHITE, abs=0.04)


def test_exposure_takes_no_notice_of_how_strong_given_light_is() -> None:
    weak, strong = light_of(Lamp("sun", strength=0.1)), light_of(Lamp("sun", strength=1000.0))
    assert weak.exposure * 0.1 == pytest.approx(strong.exposure * 1000.0)


def test_a_point_lamp_falls_off_with_metres_however_large_the_subject_is() -> None:
    """Two metres off, at a scale of ½ a unit: 100 W / (4π · 2²) arrive either way."""
    placed = (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1)
    for scale in (1.0, 0.5, 3.0):
        (lamp,) = light_of(Lamp("point", placed, strength=100.0), scale=scale).lamps
        distance = float(lamp.world_from_lamp[:3, 3].norm())
        assert distance == pytest.approx(2 * scale)
        assert lamp.strength / (4 * math.pi * distance**2) == pytest.approx(100 / (16 * math.pi))


def test_an_environment_turns_with_the_space(shelf: Shelf) -> None:
    """Light from +X in the world comes from +Y where the subject's space is turned a quarter."""
    image = np.full((16, 32, 3), 0.05, np.float32)
    image[6:10, 15:17] = 20.0  # the middle: +X
    recipe = Recipe((), CameraRig(), lighting=Lighting(shelf.put(image)))
    matrix = np.eye(4)
    matrix[:2, :2] = [[0, -1], [1, 0]]
    light = read_light(recipe, shelf).standing(matrix, torch.device("cpu"))
    axes = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [-1.0, 0, 0], [0, -1.0, 0]])
    assert int(light.environment.diffuse(axes).sum(1).argmax()) == 1
    assert isinstance(light.environment, Environment)
