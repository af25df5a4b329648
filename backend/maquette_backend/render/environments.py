"""Computed surroundings: soft boxes in a studio, a clear sky, an overcast one. No picture is shipped or downloaded."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from maquette_backend.render.environment import Environment, environments_from_equirects, mixed

HEIGHT, WIDTH = 128, 256
"""Pixels of a computed picture: 1.4° each."""
BOXES = ((-40.0, 40.0, 22.0, 1.0), (60.0, 15.0, 30.0, 0.35), (165.0, 50.0, 16.0, 0.8), (-110.0, 5.0, 25.0, 0.2))
"""Azimuth, elevation and half width of soft boxes, degrees, and how strong the light of each is: key, fill, rim, kick."""
ROOM = 0.5
"""Strength of the light from the walls, beside that of the boxes."""


def equirect_directions(height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """Unit directions [h,w,3] of the pixels of a picture in the layout of ``Environment.from_equirect``."""
    azimuth = (0.5 - (torch.arange(width) + 0.5) / width) * 2 * math.pi
    elevation = ((torch.arange(height) + 0.5) / height - 0.5) * math.pi
    up, around = torch.meshgrid(elevation, azimuth, indexing="ij")
    return torch.stack([up.cos() * around.cos(), up.cos() * around.sin(), up.sin()], -1)


def soft_box(azimuth_deg: float, elevation_deg: float, half_width_deg: float) -> Tensor:
    """A square light [h,w,3] with soft edges in an unlit room, mean radiance 1."""
    directions = equirect_directions()
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    level = math.cos(elevation)
    axis = torch.tensor([level * math.cos(azimuth), level * math.sin(azimuth), math.sin(elevation)])
    right = torch.tensor([-math.sin(azimuth), math.cos(azimuth), 0.0])
    above = torch.linalg.cross(axis, right)
    ahead = (directions @ axis).clamp(min=1e-3)
    across = torch.maximum((directions @ right).abs(), (directions @ above).abs()) / ahead
    edge = math.tan(math.radians(half_width_deg))
    shape = torch.sigmoid((edge - across) / (0.08 * edge)) * (directions @ axis > 0)
    return _normalised(shape[..., None].expand(-1, -1, 3).contiguous())


def room() -> Tensor:
    """Walls that send a little light back from everywhere, less from the floor, mean radiance 1."""
    up = equirect_directions()[..., 2:]
    return _normalised((0.75 + 0.25 * up).expand(-1, -1, 3).contiguous())


def sky() -> Tensor:
    """A clear sky [h,w,3] with a low warm sun at azimuth 0 and a grey ground, mean radiance 1."""
    directions = equirect_directions()
    up = directions[..., 2:]
    height = up.clamp(min=0).sqrt()
    blue = (1 - height) * torch.tensor([0.80, 0.90, 1.00]) + height * torch.tensor([0.25, 0.45, 0.90])
    ground = torch.tensor([0.28, 0.26, 0.23])
    scene = torch.where(up > 0, blue, ground)
    towards = torch.tensor([math.cos(math.radians(35)), 0.0, math.sin(math.radians(35))])
    near = (directions @ towards)[..., None]
    glow = torch.exp((near - 1) * 12) * 0.8 + torch.sigmoid((near - math.cos(math.radians(4))) * 2000) * 45
    return _normalised(scene + glow * torch.tensor([1.0, 0.93, 0.80]))


def overcast() -> Tensor:
    """The CIE's standard overcast sky [h,w,3], three times brighter above than at the horizon; mean radiance 1."""
    up = equirect_directions()[..., 2:]
    return _normalised(torch.where(up > 0, (1 + 2 * up) / 3, torch.full_like(up, 0.12)).expand(-1, -1, 3).contiguous())


def _normalised(image: Tensor) -> Tensor:
    """``image`` [h,w,3] scaled to a mean radiance of 1 over all directions, all channels together."""
    weight = equirect_directions(*image.shape[:2])[..., :2].norm(dim=-1, keepdim=True)
    return image * (3 * weight.sum() / (image * weight).sum())


@lru_cache(maxsize=4)
def _lights(device: str) -> tuple[Environment, ...]:
    """Prefiltered: every soft box, the room, the sky, the overcast sky."""
    pictures = [soft_box(azimuth, elevation, width) for azimuth, elevation, width, _ in BOXES]
    return tuple(e.to(device) for e in environments_from_equirects([*pictures, room(), sky(), overcast()]))


def studio(strengths: tuple[float, ...] | None = None, device: str = "cpu") -> Environment:
    """Soft boxes in a room; ``strengths``: key, fill, rim, kick and room (None: a plain three-point light)."""
    chosen = strengths or (*(box[3] for box in BOXES), ROOM)
    return mixed(_lights(device)[: len(BOXES) + 1], [share / sum(chosen) for share in chosen])


def clear_sky(device: str = "cpu") -> Environment:
    """``sky``, prefiltered."""
    return _lights(device)[-2]


def overcast_sky(device: str = "cpu") -> Environment:
    """``overcast``, prefiltered."""
    return _lights(device)[-1]


def random_environment(generator: torch.Generator, device: str = "cpu") -> Environment:
    """Varied light for one step: mostly studios whose boxes differ in strength, some skies; turned and scaled at random.

    Light that changes from step to step cannot be learned into the albedo.
    """
    choice, turn, strength = torch.rand(3, generator=generator).tolist()
    shares = torch.rand(len(BOXES) + 1, generator=generator).square() + 0.05
    kinds: list[Callable[[], Environment]] = [
        lambda: studio(tuple(shares.tolist()), device),
        lambda: clear_sky(device),
        lambda: overcast_sky(device),
    ]
    kind = kinds[0 if choice < 0.6 else 1 if choice < 0.8 else 2]
    return kind().rotated(turn * 2 * math.pi).scaled(0.6 + 0.8 * strength)
