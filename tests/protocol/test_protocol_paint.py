"""Textures, masks and lamps that cannot be used are named with the thing, the value and the remedy."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from maquette_protocol import limits
from maquette_protocol.checks import check_recipe
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import ArrayRef, Lamp, Lighting, MeshRef, Recipe, Stages, SurfaceMaps
from protocol_samples import PAINTED, PAINTED_SCENE, RECIPE

PRIORS = ("starter",)
FLAT = (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)


def ref(dtype: str, *shape: int) -> ArrayRef:
    return ArrayRef("44" * 32, dtype, shape)


def painted(**changes: object) -> Recipe:
    return replace(RECIPE, subjects=(replace(PAINTED, **changes),))  # type: ignore[arg-type]


def lit(*lamps: Lamp, environment: ArrayRef | None = None) -> Recipe:
    return replace(RECIPE, lighting=Lighting(environment, lamps))


def refused(recipe: Recipe) -> MaquetteError:
    with pytest.raises(MaquetteError) as caught:
        check_recipe(recipe, PRIORS)
    assert caught.value.code == ErrorCode.INVALID_RECIPE
    assert caught.value.remedy
    return caught.value


def test_everything_of_version_1_3_is_accepted() -> None:
    check_recipe(PAINTED_SCENE, PRIORS)
    check_recipe(painted(mode="keep_topology"), PRIORS)
    check_recipe(painted(maps=None, texel_mask=None, mode="remesh"), PRIORS)
    check_recipe(painted(maps=SurfaceMaps(base_color=ref("u1", 1, 8192, 3))), PRIORS)
    check_recipe(lit(environment=ref("f4", 2, 4096, 3)), PRIORS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"keep_look": -0.1}, "-0.1"),
        ({"keep_look": math.nan}, "keep_look"),
        ({"maps": SurfaceMaps(base_color=ref("u1", 8, 8))}, r"base colour.*u1 \[8, 8\]"),
        ({"maps": SurfaceMaps(base_color=ref("f4", 8, 8, 3))}, "base colour"),
        ({"maps": SurfaceMaps(base_color=ref("u1", 8, 8, 4))}, "base colour"),
        ({"maps": SurfaceMaps(base_color=ref("u1", 8193, 8, 3))}, "8193"),
        ({"maps": SurfaceMaps(roughness=ref("u1", 8, 8, 1))}, "roughness"),
        ({"maps": SurfaceMaps(metallic=ref("u1", 8))}, "metallic"),
        ({"maps": SurfaceMaps(normal=ref("u1", 8, 8))}, "normal map"),
        ({"maps": SurfaceMaps(normal=ref("u1", 0, 8, 3))}, "normal map"),
        ({"texel_mask": ref("f4", 8, 8)}, "texel mask"),
        ({"texel_mask": ref("u1", 8, 8, 3)}, "texel mask"),
        ({"painted_triangles": ref("u1", 11)}, "painted triangles"),
        ({"painted_triangles": ref("i4", 12)}, "painted triangles"),
        ({"maps": None}, "texel mask"),
        ({"maps": SurfaceMaps()}, "texel mask"),
        ({"mode": "remesh"}, "Remesh"),
        ({"mesh": MeshRef(PAINTED.mesh.positions, PAINTED.mesh.triangles)}, "UVs"),
        ({"material": "velvet"}, "velvet"),
        ({"seed": 0.5}, "seed"),
    ],
)
def test_paint_that_cannot_be_used_is_named(changes: dict[str, object], said: str) -> None:
    error = refused(painted(**changes))
    assert re.search(said, error.message), error.message


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (lit(Lamp("sun", strength=-1.0)), "lamp's strength is -1"),
        (lit(Lamp("point", strength=1e10)), "lamp's strength"),
        (lit(Lamp("point", color=(0.0, -0.5, 0.0))), "lamp's colour is -0.5"),
        (lit(Lamp("sun", FLAT)), "flattens"),
        (lit(*[Lamp("sun")] * (limits.MAX_LAMPS + 1)), "17 lamps"),
        (lit(environment=ref("u1", 8, 8, 3)), "environment is u1"),
        (lit(environment=ref("f4", 8, 8)), "environment"),
        (lit(environment=ref("f4", 1, 8, 3)), "environment"),
        (lit(environment=ref("f4", 8, 4097, 3)), "4097"),
        (replace(RECIPE, scene_prompt="x" * 501), "scene's prompt has 501"),
        (replace(RECIPE, scene_prompt="x" * 5000), "scene's prompt has 5000"),
        (replace(RECIPE, stages=Stages(finish_steps=51)), "finish steps is 51"),
        (replace(RECIPE, stages=Stages(scene_steps=-1)), "scene steps is -1"),
    ],
)
def test_scenes_that_cannot_be_used_are_named(recipe: Recipe, said: str) -> None:
    assert said in refused(recipe).message
