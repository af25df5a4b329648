"""The light that materials are judged in: the artist's own, or a studio that varies so that no light is learned as paint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from maquette_protocol.recipe import Lighting, Recipe
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.appearance.color_space import srgb_from_linear
from maquette_backend.refine.events import ArrayReader
from maquette_backend.render.environment import Environment
from maquette_backend.render.environments import random_environment, studio
from maquette_backend.render.lamps import Lamp

WHITE = 0.6
"""What a white matt ball shows on average, linear: sRGB 0.8, which is what the light of the starter prior's training
pictures multiplies colours by. So a colour's word means the same colour."""
_VARIED_MEAN = 1.17
"""What it sends out under ``random_environment``, on average."""
_AMBIENCE = 0.3
"""Share of the light that comes from all around where lamps are given, but no environment."""
_LUMINANCE = (0.2126, 0.7152, 0.0722)


@dataclass
class Light:
    """What shines in one space; changes from step to step unless the artist's light is given."""

    environment: Environment
    lamps: tuple[Lamp, ...] = ()
    varies: bool = True
    device: str = "cpu"
    exposure: float = WHITE / _VARIED_MEAN

    def prepare(self, generator: torch.Generator) -> None:
        """Light for the next step."""
        if self.varies:
            self.environment = random_environment(generator, self.device)

    def shown(self, radiance: Tensor) -> Tensor:
        """Linear radiance as a picture has it: exposed, sRGB, cut off at white. No curve: it would change colours."""
        return srgb_from_linear((radiance * self.exposure).clamp(0, 1))


@dataclass(frozen=True)
class LightSource:
    """The recipe's light in the world, read and prefiltered once."""

    environment: Environment | None
    lighting: Lighting

    def standing(self, picture_from_world: NDArray[np.floating], device: torch.device) -> Light:
        """As it is in a space that is turned about Z, scaled evenly and moved from the world."""
        name = str(device)
        if self.environment is None and not self.lighting.lamps:
            return Light(studio(device=name), device=name)
        matrix = np.asarray(picture_from_world, np.float64)
        scale = float(np.linalg.norm(matrix[:3, 0]))
        lamps = tuple(_placed(lamp.kind, lamp.world_from_lamp, lamp.color, lamp.strength, matrix, scale, device)
                      for lamp in self.lighting.lamps)  # fmt: skip
        from_lamps = sum(_mean_of(lamp) for lamp in lamps)
        if self.environment is None:
            around = studio(device=name).scaled(max(from_lamps, 1e-9) * _AMBIENCE / (1 - _AMBIENCE))
        else:
            around = self.environment.to(name).rotated(math.atan2(matrix[1, 0], matrix[0, 0]))
        mean = from_lamps + _mean_radiance(around)
        return Light(around, lamps, varies=False, device=name, exposure=WHITE / max(mean, 1e-9))


def read_light(recipe: Recipe, read: ArrayReader) -> LightSource:
    """The recipe's light. Raises MaquetteError where its picture is not to be had."""
    ref = recipe.lighting.environment
    if ref is None:
        return LightSource(None, recipe.lighting)
    image = torch.from_numpy(np.array(read(ref), np.float32))
    return LightSource(Environment.from_equirect(image), recipe.lighting)


def _placed(
    kind: str, world_from_lamp: Sequence[float], color: tuple[float, float, float], strength: float,
    matrix: NDArray[np.float64], scale: float, device: torch.device,
) -> Lamp:  # fmt: skip
    """A point lamp's light falls off with metres: where a metre is ``scale`` long, it is that squared times as strong."""
    placed = torch.from_numpy(matrix @ np.array(world_from_lamp, np.float64).reshape(4, 4)).float().to(device)
    if kind == "sun":
        return Lamp("sun", placed, color, strength)
    return Lamp("point", placed, color, strength * scale**2)


def _mean_of(lamp: Lamp) -> float:
    """Luminance that a white matt ball in the middle sends out on average: a quarter of what crosses it, over π."""
    arriving = lamp.strength
    if lamp.kind == "point":
        arriving /= 4 * math.pi * max(float(lamp.world_from_lamp[:3, 3].square().sum()), 1e-3)
    return arriving / (4 * math.pi) * sum(share * part for share, part in zip(_LUMINANCE, lamp.color, strict=True))


def _mean_radiance(environment: Environment) -> float:
    """Luminance over directions spread evenly (a Fibonacci lattice)."""
    count = 256
    height = 1 - (2 * torch.arange(count) + 1) / count
    turn = torch.arange(count) * (math.pi * (3 - math.sqrt(5)))
    level = (1 - height.square()).sqrt()
    directions = torch.stack([level * turn.cos(), level * turn.sin(), height], 1)
    light = environment.diffuse(directions.to(environment.irradiance))
    return float((light.mean(0).cpu() * torch.tensor(_LUMINANCE)).sum())
