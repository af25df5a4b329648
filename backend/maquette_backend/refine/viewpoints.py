"""Where a step looks from: drawn from the artist's cameras and an automatic orbit, framed tightly on the subject."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import CameraRig, Recipe
from torch import Tensor

from maquette_backend.priors.prior import Settings, Views
from maquette_backend.refine.placement import Placement
from maquette_backend.render.cameras import Cameras, orbit_camera, perspective

FOV_Y = math.radians(40.0)
"""The field of view the starter prior was trained with; priors without cameras do not mind."""
DISTANCES = (1.8, 2.1)
"""Camera distances that frame a subject of longest side 1 tightly at that field of view."""
SPREAD = math.radians(20.0)
"""Jitter of the orbit's evenly spread azimuths."""
ELEVATIONS = (math.radians(-10.0), math.radians(60.0))
"""Views are kept inside this; beyond it the priors have seen next to nothing."""


@dataclass(frozen=True)
class ViewSampler:
    """Draws viewpoints around one subject, in its unit space."""

    rig: CameraRig
    directions: Tensor
    """[cameras,2] azimuth and elevation at which the artist's cameras see the subject, radians."""
    reaches: Tensor
    """[cameras] how far from the subject's centre they stand, units of its longest side."""

    def sample(self, count: int, generator: torch.Generator) -> Views:
        """``count`` views: half from each source where the rig has both, spread evenly over the orbit."""
        return self.sample_with_reach(count, generator)[0]

    def sample_with_reach(self, count: int, generator: torch.Generator) -> tuple[Views, Tensor]:
        """The same, and for each view how far off the artist's camera stands that it was drawn near; 0: the orbit [count]."""
        from_cameras = self._from_cameras(count, generator)
        orbit = self._orbit(count - from_cameras, generator)
        near, which = self._near_cameras(from_cameras, generator)
        reach = torch.cat([self.reaches[which], torch.zeros(count - from_cameras)])
        azimuth, elevation = torch.cat([near, orbit]).unbind(1)
        distance = DISTANCES[0] + (DISTANCES[1] - DISTANCES[0]) * torch.rand(count, generator=generator)
        return Views(azimuth, elevation.clamp(*ELEVATIONS), distance, torch.full((count,), FOV_Y)), reach

    def _from_cameras(self, count: int, generator: torch.Generator) -> int:
        """How many of ``count`` views the artist's cameras get; an odd one falls to either source by chance."""
        if not len(self.directions):
            return 0
        if not self.rig.orbit:
            return count
        odd = int(torch.randint(2, (1,), generator=generator)) if count % 2 else 0
        return count // 2 + odd

    def _orbit(self, count: int, generator: torch.Generator) -> Tensor:
        start = torch.rand(1, generator=generator) * math.tau
        even = torch.arange(count) * (math.tau / max(count, 1))
        azimuth = start + even + SPREAD * (2 * torch.rand(count, generator=generator) - 1)
        low, high = self.rig.orbit_elevation_min, self.rig.orbit_elevation_max
        return torch.stack([azimuth, low + (high - low) * torch.rand(count, generator=generator)], 1)

    def _near_cameras(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Angles [count,2], and which camera each is of."""
        order = torch.randperm(len(self.directions), generator=generator)
        which = order[torch.arange(count) % max(len(order), 1)]
        return self.directions[which] + self.rig.jitter * (2 * torch.rand(count, 2, generator=generator) - 1), which


def view_sampler(rig: CameraRig, placement: Placement) -> ViewSampler:
    """A sampler for one subject. A camera in the subject's very centre has no direction and is left out."""
    found, reaches = [], []
    for camera in rig.cameras:
        eye = np.array(camera.world_from_camera, np.float64).reshape(4, 4)[:3, 3]
        x, y, z = placement.unit_from_world[:3, :3] @ eye + placement.unit_from_world[:3, 3]
        if math.hypot(x, y, z) > 1e-6:
            found.append([math.atan2(x, -y), math.atan2(z, math.hypot(x, y))])
            reaches.append(math.hypot(x, y, z))
    directions = torch.tensor(found, dtype=torch.float32).reshape(-1, 2)
    return ViewSampler(rig, directions, torch.tensor(reaches, dtype=torch.float32))


def check_views(recipe: Recipe, prior: str, advice: Settings) -> None:
    """Raises MaquetteError INVALID_RECIPE if the prior of that name can't share out a step's views among its subjects."""
    count, together = recipe.stages.views_per_step, advice.views_together
    if count % together:
        raise MaquetteError(
            ErrorCode.INVALID_RECIPE,
            f"The prior “{prior}” looks at {together} views at a time; a step has {count}.",
            f"Set Views per Step to {max(together, round(count / together) * together)}, or choose another prior.",
        )


def cameras_for(views: Views) -> Cameras:
    """Render cameras for viewpoints around the origin of unit space."""
    near = 0.5
    clip_from_camera = perspective(views.fov_y, 1.0, near, 5.0)
    return Cameras(orbit_camera(views.azimuth, views.elevation, views.distance), clip_from_camera)
