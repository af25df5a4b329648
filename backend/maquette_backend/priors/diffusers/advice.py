"""What a diffusers model is asked for by default, by its family. A recipe may override the scales."""

from __future__ import annotations

from maquette_backend.priors.families import MULTI_VIEW, Family
from maquette_backend.priors.prior import Settings


def advice(family: Family, size: int) -> Settings:
    """Settings for a model whose pictures have ``size`` pixels a side.

    Scale 50: MVDream's, and Fantasia3D's where a coarse shape is given (100 disperses it). Times: X-Dreamer's, 0.02 to
    0.5 for the shape, which shall be kept, and 0.1 to 0.98 narrowing to 0.5 for the appearance. Half the native
    size is accepted, too, and enlarged before the VAE: a render costs a quarter, and there is less detail to learn.
    """
    return Settings(
        geometry_scale=50.0,
        appearance_scale=50.0,
        geometry_time_start=(0.02, 0.5),
        geometry_time_end=(0.02, 0.5),
        appearance_time_start=(0.1, 0.98),
        appearance_time_end=(0.1, 0.5),
        overall_color_emphasis=1.0,
        sizes=(max(size // 2, 1), size),
        modalities=("color", "normal"),
        camera_conditioned=family is MULTI_VIEW,
        views_together=4 if family is MULTI_VIEW else 1,
    )
