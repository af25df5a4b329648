"""A box with a texture, and a prior that paints everything one colour: cheap subjects for tests of painting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from job_in_memory import Events, Shelf, Store, run
from maquette_backend.priors.prior import Modality, Prior, Views
from maquette_protocol.recipe import Recipe, Stages, Subject, SurfaceMaps
from numpy.typing import NDArray
from refine_shapes import box_uvs, grid_box
from torch import Tensor

from tests.backend.guidance.gaussian_prior import GaussianPrior, plain_settings

SIZE = 64
FEW = Stages(geometry_steps=0, appearance_steps=8, views_per_step=2, render_size=32, preview_every=0)
POSITIONS, TRIANGLES = grid_box(side=2)
UVS = box_uvs(TRIANGLES)


def red_prior(name: str = "starter") -> Prior:
    """Holds red pictures likely, whatever the words and wherever from."""

    def mean(text: Tensor, views: Views | None, modality: Modality) -> Tensor:
        return torch.tensor([0.9, -0.9, -0.9])[None, :, None, None].expand(len(text), 3, 32, 32)

    return GaussianPrior(mean, spread=0.3, settings=replace(plain_settings(modalities=("color",)), sizes=(32,)))


def noise_texture(size: int = SIZE) -> NDArray[np.uint8]:
    """[size,size,3] with every byte in it, 0 and 255 too."""
    return np.random.default_rng(5).integers(0, 256, (size, size, 3)).astype(np.uint8)


def textured(shelf: Shelf, base: NDArray[np.uint8] | None = None, number: int = 1, **changes: object) -> Subject:
    """A box in texture only, that starts from ``base``."""
    subject = shelf.subject(POSITIONS, TRIANGLES, UVS, mode="texture_only", number=number, name="Box")
    maps = SurfaceMaps(shelf.put(noise_texture() if base is None else base))
    return replace(subject, maps=maps, **changes)  # type: ignore[arg-type]


def painted(
    shelf: Shelf, *subjects: Subject, stages: Stages = FEW, store: Store | None = None, **changes: object
) -> Events:
    """What the job with ``subjects`` reported."""
    recipe = replace(Recipe(subjects, stages=stages), **changes)  # type: ignore[arg-type]
    return run(recipe, shelf, store, priors=red_prior)
